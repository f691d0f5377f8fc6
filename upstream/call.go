package upstream

import (
	"errors"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/wire"
)

// call is one request of a client and the attempts to have it answered. It lives
// on the stack of the handler.
type call struct {
	s      *Set
	x      *wire.Exchange
	ctx    *fasthttp.RequestCtx
	direct bool
	choice choice
	// now is when the next attempt begins, near enough: time-outs and the peer's
	// latency count from it. The clock is read again only after something that
	// may have taken long.
	now      int64
	deadline *deadline // of timeouts.request; nil without one

	method     []byte
	head       bool // HEAD: the response has no body
	idempotent bool
	upgrade    []byte // protocol asked for
	sticky     []byte // the client's cookie

	hasBody  bool
	length   int64    // of the body; -1: not known
	body     []byte   // all of it, when it is small enough to be kept for another attempt
	buffer   buffer   // where body is
	trailers trailers // of the request
	streamed bool     // the body is passed on as it comes
	sent     int64    // bytes of the attempt, without a body that is passed on

	mistrust int // connections to the peer that were stale
	interims int // 1xx responses of the attempt
	retries  int // further attempts so far
	turned   int // peers so far that had no place
}

// verdict is what an attempt came to.
type verdict struct {
	done   bool // the client has its answer, or as much of it as there is
	held   bool // and the peer is still needed: the body is read after the handler has returned
	again  bool // a stale connection: try the same peer, free of charge
	retry  retry
	next   *peer  // chosen already for the next attempt
	status int    // what to answer when there is no further attempt
	reason string // with it, for the log
	err    error
}

// retry says where else a request may be tried.
type retry uint8

const (
	noRetry     retry = iota
	anyPeer           // the same one too, when there is no other
	otherPeer         // trying the same again is of no use
	freePeer          // otherPeer, and free of charge: this one had no place
	presentPeer       // free of charge as well: this one left before it had the request
)

// serve finds a peer that answers, or says why there is none.
func (s *Set) serve(ctx *fasthttp.RequestCtx, x *wire.Exchange, direct bool) {
	c := call{s: s, x: x, ctx: ctx, direct: direct, now: x.Began}
	c.understand()
	if limit := int64(s.opts.MaxRequestBody); limit > 0 && c.length > limit {
		wire.Fail(ctx, 413, "the request's body is too large")
		return
	} else if limit > 0 {
		x.Body.Limit(limit, errTooLarge)
	}
	s.budget.request(x.Began)
	c.choice.Now = x.Began
	p := s.balancer.pick(&c.choice)
	if p == nil {
		s.unavailable(ctx)
		return
	}
	if s.times.request > 0 {
		c.deadline = newDeadline(s.times.request)
	}
	if c.hasBody {
		if !c.takeBody() {
			c.release()
			return
		}
		if p.flags.Load() != 0 { // it went out of service meanwhile
			if p = s.balancer.pick(&c.choice); p == nil {
				s.unavailable(ctx)
				c.release()
				return
			}
		}
	}
	held := c.run(p)
	if c.hasBody {
		c.releaseBody()
	}
	if !held {
		c.deadline.stop()
	}
}

// run loops over attempts; each tells in its verdict whether another may follow.
// It tells whether the request goes on after the handler has returned.
func (c *call) run(p *peer) (held bool) {
	for {
		v := c.visit(p)
		if v.done {
			return v.held
		}
		next := v.next
		if next == nil {
			next = c.another(p, v.retry)
		}
		if next == nil {
			c.giveUp(p, &v)
			return false
		}
		c.s.log.Debug().Err(v.err).Str("peer", p.addr.Raw).Str("next", next.addr.Raw).
			Bytes("request_id", c.x.RequestID).Msg("trying another peer: " + v.reason)
		p = next
	}
}

// visit has p answer. Stale connections cost an attempt each, but no retry: the
// peer knows nothing of them. Each attempt trusts kept connections less than the
// one before, until it opens one of its own, which cannot be stale.
func (c *call) visit(p *peer) verdict {
	if p.gate != nil && !p.gate.step() {
		if v, in := c.queue(p); !in {
			return v
		}
	}
	p.begin()
	c.mistrust = 0
	v := c.attempt(p)
	for v.again {
		c.s.stats.Stale.Add(1)
		c.mistrust++
		c.now = wire.Now()
		if p.flags.Load()&flagDraining != 0 {
			if next := c.another(p, presentPeer); next != nil {
				p.end(outcomeCanceled, 0, c.now)
				v = verdict{next: next, reason: "the peer left the set and closed its connections"}
				break
			}
		}
		v = c.attempt(p)
	}
	if p.gate != nil && !v.held {
		p.gate.leave()
	}
	return v
}

// queue waits for a place at p, as long as the client stays and there is time.
func (c *call) queue(p *peer) (v verdict, in bool) {
	l := newLeaving()
	c.x.OnGone(&l.canceler)
	err := errGone
	if c.deadline.watch(l) {
		err = p.gate.enter(l.done)
	}
	c.deadline.release()
	gone := !c.x.Finish(&l.canceler)
	c.now = wire.Now()
	switch {
	case c.deadline.passed():
		v = verdict{status: 504, reason: "timeouts.request was over before the request got its turn", err: err}
	case gone:
		v = c.canceled()
	case err == nil:
		return verdict{}, true
	case err == errPeerLeft:
		return verdict{retry: presentPeer, status: 503, reason: "the peer left the set and there is no other", err: err}, false
	case err == errQueueFull:
		return verdict{retry: freePeer, status: 503, reason: "too many requests for the peers (max_requests, max_connections, max_pending)", err: err}, false
	default:
		return verdict{status: 503, reason: "no turn within pending_timeout (max_requests, max_connections)", err: err}, false
	}
	if err == nil {
		p.gate.leave()
	}
	return v, false
}

// another chooses the peer for a further attempt; nil: there shall be none.
func (c *call) another(p *peer, how retry) *peer {
	s := c.s
	c.now = wire.Now()
	c.choice.Now = c.now
	if how == presentPeer { // it may have come back, so that it counts as not tried
		return s.balancer.pick(&c.choice)
	}
	if how == noRetry || how != freePeer && c.retries >= s.retries || c.turned > len(c.choice.Tried) {
		return nil
	}
	c.choice.try(p)
	next := s.balancer.pick(&c.choice)
	if next == nil || how != anyPeer && c.choice.hasTried(next) {
		return nil
	}
	if how == freePeer {
		c.turned++
		return next
	}
	if !s.budget.tryRetry(c.now) {
		s.stats.RetriesDenied.Add(1)
		return nil
	}
	c.retries++
	s.stats.Retries.Add(1)
	return next
}

// giveUp tells log and client what the last attempt came to.
func (c *call) giveUp(p *peer, v *verdict) {
	e := c.s.log.Warn()
	if v.status < 500 {
		e = c.s.log.Debug() // the client's doing
	}
	e.Err(v.err).Str("peer", p.addr.Raw).Int("status", v.status).Bytes("request_id", c.x.RequestID).Msg(v.reason)
	c.fail(v.status)
}

func (s *Set) unavailable(ctx *fasthttp.RequestCtx) {
	wire.Fail(ctx, 503, "no peer of this application is available")
	ctx.Response.Header.Set("Retry-After", "5")
}

// understand reads from the head what the attempts need to know.
func (c *call) understand() {
	h := &c.x.Head
	c.method = h.Method
	if !c.direct {
		c.method = c.ctx.Request.Header.Method()
	}
	switch string(c.method) {
	case "GET", "OPTIONS", "PUT", "DELETE", "TRACE":
		c.idempotent = true
	case "HEAD":
		c.idempotent, c.head = true, true
	}
	c.hasBody, c.length = h.HasBody(), h.Length
	c.trailers = c.requestTrailers()
	if len(h.Upgrade) > 0 && !c.hasBody {
		c.upgrade = c.s.upgrades.of(h)
	}
	b := c.s.balancer
	if b.sticky != nil {
		c.sticky = cookieValue(h, b.sticky.name)
		c.choice.Sticky = c.sticky
	}
	if b.needsHash() {
		c.choice.Hash, c.choice.HasHash = c.hash(b.hashOf())
	}
}

// hash makes the number that the hash policy chooses by; false when the request
// lacks what hash_on names.
func (c *call) hash(on hashOn) (uint64, bool) {
	var v []byte
	switch on.Source {
	case hashClientIP:
		ip := c.x.ClientIP.As16()
		return hashBytes(ip[:]), true
	case hashHeader:
		v = c.x.Head.GetAnyCase(on.Name)
	case hashCookie:
		v = cookieValue(&c.x.Head, on.Name)
	case hashPath:
		v = c.x.Head.Path
	}
	return hashBytes(v), len(v) > 0
}

// remaining is how much of timeouts.request is left; 0 stands for no bound.
func (c *call) remaining() time.Duration {
	if c.deadline == nil {
		return 0
	}
	return max(c.s.times.request-time.Duration(c.now-c.x.Began), time.Millisecond)
}

// canceled is the verdict when the client went away.
func (c *call) canceled() verdict {
	c.s.stats.Canceled.Add(1)
	c.x.Status, c.x.Responded, c.x.Broken = statusClientGone, true, true
	return verdict{done: true}
}

// statusClientGone is what logs and metrics show for a client that left before
// it had an answer, as nginx does.
const statusClientGone = 499

// fail answers the client in words that say nothing of the peers.
func (c *call) fail(status int) {
	text := "the request could not be read"
	switch status {
	case 408:
		text = "the request's body did not come in time"
	case 501:
		text = "the application's peer speaks HTTP/2, over which this upgrade is not passed on"
	case 413:
		text = "the request's body is too large"
	case 502:
		text = "the application could not be reached or did not answer properly"
	case 503:
		text = "too many requests are waiting for this application"
	case 504:
		text = "the application did not answer in time"
	}
	wire.Fail(c.ctx, status, text)
	if status == 503 {
		c.ctx.Response.Header.Set("Retry-After", "1")
	}
}

func (c *call) release() {
	c.releaseBody()
	c.deadline.stop()
}

func (c *call) releaseBody() {
	c.buffer.release()
	c.body = nil
}

func timedOut(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
