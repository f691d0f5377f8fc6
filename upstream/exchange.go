package upstream

import (
	"errors"
	"net"
	"strings"
	"time"

	"edgerouter/wire"
)

// attempt has the request answered by p, or says what came of it. It calls p.end
// unless the verdict is to try p again.
func (c *call) attempt(p *peer) verdict {
	if p.addr.H2C {
		if c.upgrade != nil {
			// HTTP/2 has no Upgrade (RFC 9113 section 8.2.2); the client must not
			// wait for a 101 that cannot come.
			p.end(outcomeCanceled, 0, c.now)
			return verdict{retry: freePeer, status: 501, reason: "an upgrade is not passed on over HTTP/2: give the peer an http:// or https:// address in addrs"}
		}
		return c.attemptH2C(p)
	}
	pc, err := c.acquire(p)
	if err != nil {
		return c.notConnected(p, err)
	}
	pc.began = c.now
	pc.in.AcquireLarge()
	c.x.OnGone(&pc.canceler)
	if c.deadline != nil && !c.deadline.watch(pc) {
		pc.Cancel()
	}
	v, reusable := c.exchange(p, pc)
	if v.held {
		return v
	}
	return c.part(pc, v, reusable)
}

// part ends the use of a connection.
func (c *call) part(pc *peerConn, v verdict, reusable bool) verdict {
	if !c.x.Finish(&pc.canceler) {
		reusable = false
		if !v.done {
			v = c.canceled()
		}
	}
	if c.deadline != nil {
		c.deadline.release()
		reusable = reusable && !pc.abandoned.Load()
	}
	pc.in.Release()
	pc.used = true
	pc.giveBack(reusable)
	return v
}

// idleTrust is how long a kept connection is believed in without a look at it.
const idleTrust = int64(time.Second)

// mistrustAll is from how many stale connections on only a new one will do.
const mistrustAll = 3

// acquire takes a connection to p. A kept one is looked at, for a system call,
// when a mistake could not be made good: what must not be sent twice must not be
// tried on a connection that may be closed, for nobody could tell whether it was
// acted on.
func (c *call) acquire(p *peer) (*peerConn, error) {
	for {
		pc, err := p.conns.acquire(c.remaining())
		if err != nil {
			return nil, err
		}
		if !pc.used {
			c.now = wire.Now()
			return pc, nil
		}
		look := c.mistrust > 0 || !c.idempotent || c.streamed || pc.doubtful || c.now-pc.began > idleTrust
		if !look || c.mistrust < mistrustAll && !pc.stale() {
			return pc, nil
		}
		c.s.stats.Stale.Add(1)
		pc.giveBack(false)
	}
}

func (c *call) notConnected(p *peer, err error) verdict {
	now := wire.Now()
	if c.deadline.passed() {
		p.end(outcomeCanceled, 0, now)
		return verdict{status: 504, reason: "timeouts.request was over before there was a connection to the peer", err: err}
	}
	c.s.stats.ConnectErrors.Add(1)
	p.end(outcomeFailed, 0, now)
	v := verdict{status: 502, reason: "connecting to the peer failed", err: err}
	if c.s.retryOn.connect {
		v.retry = otherPeer
	}
	if timedOut(err) {
		v.status, v.reason = 504, "connecting to the peer took too long (timeouts.connect)"
	}
	return v
}

// exchange sends the request over pc and relays the response.
func (c *call) exchange(p *peer, pc *peerConn) (v verdict, reusable bool) {
	c.interims = 0
	pc.within(c.now, c.s.times.header)
	n, err := c.send(p, pc)
	if err != nil {
		return c.notSent(p, pc, n, err), false
	}
	c.sent = n
	var up *uploader
	if c.streamed {
		// Once the client's body is taken nothing can be made good any more.
		if pc.used && pc.stale() && pc.unseen(n) {
			return verdict{again: true}, false
		}
		if c.x.Proceed() != nil {
			p.end(outcomeCanceled, 0, c.now)
			return c.canceled(), false
		}
		up = startUpload(c, pc)
	}
	size, err := c.readHead(pc)
	if err != nil {
		return c.broken(p, pc, up, err), false
	}
	if up != nil {
		up.answered()
	}
	pc.in.Consume(size)
	if pc.head.Status == 101 {
		return c.tunnel(p, pc), false
	}
	if next := c.elsewhere(p, pc.head.Status); next != nil {
		p.end(outcomeFailed, 0, wire.Now())
		return verdict{next: next, status: pc.head.Status, reason: "the peer answered that it cannot serve"}, c.whole(pc)
	}
	c.frame(pc)
	if !c.direct {
		return c.structured(p, pc, up)
	}
	reusable = c.relay(p, pc, up)
	if up != nil && !up.end() {
		reusable = false
	}
	return verdict{done: true}, reusable && !pc.head.Close
}

// send writes head and body, in one piece when the body is small. It tells how
// many bytes went out.
func (c *call) send(p *peer, pc *peerConn) (int64, error) {
	msg := c.appendRequest(c.x.Scratch[:0], p)
	if len(c.body) > 8<<10 {
		c.x.Scratch = msg
		bufs := net.Buffers{msg, c.body}
		return bufs.WriteTo(pc.Conn)
	}
	msg = append(msg, c.body...)
	c.x.Scratch = msg
	n, err := pc.Conn.Write(msg)
	return int64(n), err
}

// notSent judges a request that could not be written.
func (c *call) notSent(p *peer, pc *peerConn, n int64, err error) verdict {
	if n > 0 || pc.Conn != pc.socket || timedOut(err) || pc.abandoned.Load() {
		return c.broken(p, pc, nil, err)
	}
	// Not one byte of it can have been acted on, whatever the method.
	if pc.used {
		return verdict{again: true}
	}
	p.end(outcomeFailed, 0, wire.Now())
	v := verdict{status: 502, reason: "the peer closed the connection at once", err: err}
	if c.s.retryOn.connect {
		v.retry = otherPeer
	}
	return v
}

// maxInterims bounds the 1xx responses to one request.
const maxInterims = 32

var (
	errUnaskedUpgrade = errors.New("the peer switched protocols (101) without having been asked to")
	errManyInterims   = errors.New("the peer sent too many interim (1xx) responses")
	errClientWrite    = errors.New("the client takes no interim response")
)

// readHead reads the head of the final response; interim ones go to the client
// as they come (RFC 9110 section 15.2).
func (c *call) readHead(pc *peerConn) (int, error) {
	for {
		if b := pc.in.Buffered(); len(b) > 0 {
			n, err := pc.head.Parse(b)
			switch {
			case err == nil && pc.head.Status == 101:
				if !c.askedFor(pc.head.Upgrade) {
					return 0, errUnaskedUpgrade
				}
				return n, nil
			case err == nil && pc.head.Status < 200:
				if err := c.interim(&pc.head); err != nil {
					return 0, err
				}
				pc.in.Skip(n)
				continue
			case err == nil:
				return n, nil
			case err != wire.ErrMore:
				return 0, err
			}
		}
		if _, err := pc.in.Fill(); err != nil {
			return 0, err
		}
	}
}

// askedFor tells whether a 101 switches to what the client asked for. Peers that
// do not name the protocol are believed.
func (c *call) askedFor(protocol []byte) bool {
	return c.upgrade != nil && (len(protocol) == 0 || wire.HasToken(c.upgrade, strings.ToLower(string(protocol))))
}

// interim passes a 1xx response on; 100 (Continue) was this proxy's to send.
func (c *call) interim(h *wire.ResponseHead) error {
	if c.interims++; c.interims > maxInterims {
		return errManyInterims
	}
	if h.Status == 100 {
		return nil
	}
	b := c.x.AppendInterim(nil, h, c.s.fixed.rules)
	if c.x.Interim(b) != nil {
		return errClientWrite
	}
	return nil
}

// frame sets pc.body to what the response's head says (RFC 9112 section 6.3).
func (c *call) frame(pc *peerConn) {
	h := &pc.head
	pc.doubtful = false
	switch {
	case h.NoBody(c.head):
		pc.body.SetNone()
		// Some peers send the body nevertheless, and later than the head.
		pc.doubtful = h.Length > 0 || h.Chunked
	case h.Chunked:
		pc.body.SetChunked(&pc.in)
	case h.Length >= 0:
		pc.body.SetLength(&pc.in, h.Length)
	default:
		pc.body.SetUntilClose(&pc.in)
		h.Close = true
	}
}

// whole tells whether all of the response is in the buffer, and nothing else, so
// that the connection may be used again although nobody reads the body.
func (c *call) whole(pc *peerConn) bool {
	h := &pc.head
	if h.Close {
		return false
	}
	if h.NoBody(c.head) {
		return pc.in.Empty()
	}
	return h.Length >= 0 && int64(pc.in.Len()) == h.Length
}

// elsewhere chooses the peer that shall be asked instead of one that answered
// 502, 503 or 504, where retries.on lists it. Nil: the answer stands.
func (c *call) elsewhere(p *peer, status int) *peer {
	if status < 502 || status > 504 || !c.s.retryOn.status[status-502] || !c.idempotent || c.streamed {
		return nil
	}
	return c.another(p, otherPeer)
}

// broken judges an exchange that failed before there was a response.
func (c *call) broken(p *peer, pc *peerConn, up *uploader, err error) verdict {
	now, abandoned := wire.Now(), pc.abandoned.Load()
	if up != nil {
		failure := up.failure.Load() // before the upload is ended, which makes it fail too
		up.end()
		if failure != nil {
			p.end(outcomeCanceled, 0, now)
			c.x.Close = true
			return verdict{status: bodyStatus(*failure), reason: "the request's body did not come whole", err: *failure}
		}
	}
	var malformed *wire.Error
	switch untouched := pc.in.Empty() && c.interims == 0; {
	case c.deadline.passed():
		return c.overdue(p, now, up == nil || up.taken.Load(), err)
	case abandoned || err == errClientWrite:
		p.end(outcomeCanceled, 0, now)
		return c.canceled()
	case timedOut(err):
		p.end(outcomeFailed, 0, now)
		return verdict{status: 504, reason: "the peer did not answer in time (timeouts.response_header)", err: err}
	case errors.As(err, &malformed) || err == errUnaskedUpgrade || err == errManyInterims:
		if pc.used && c.replayable() && c.interims == 0 && malformed != nil {
			c.mistrust = mistrustAll // left over from an earlier response, most likely
			return verdict{again: true}
		}
		p.end(outcomeFailed, 0, now)
		return verdict{status: 502, reason: "the peer sent a malformed response", err: err}
	case pc.used && untouched && c.replayable():
		return verdict{again: true} // it was closed just when it was taken: no fault
	case untouched && !c.streamed && pc.unseen(c.sent):
		return c.notSent(p, pc, 0, err) // so was this, and what may not be sent twice was not sent once
	default:
		p.end(outcomeFailed, 0, now)
		v := verdict{status: 502, reason: "the peer closed the connection before it answered", err: err}
		if untouched && c.replayable() && c.s.retryOn.reset {
			v.retry = anyPeer
		}
		return v
	}
}

// overdue is the verdict when timeouts.request is over; taken tells whether the
// client had sent all of its request.
func (c *call) overdue(p *peer, now int64, taken bool, err error) verdict {
	if !taken {
		p.end(outcomeCanceled, 0, now)
		return verdict{status: 408, reason: "the request's body took too long (timeouts.request)", err: err}
	}
	p.end(outcomeFailed, 0, now)
	return verdict{status: 504, reason: "the request took too long (timeouts.request)", err: err}
}

// replayable tells whether the request may be sent again although it may have
// been acted on.
func (c *call) replayable() bool { return c.idempotent && !c.streamed }
