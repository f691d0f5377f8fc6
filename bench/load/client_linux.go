package load

import (
	"context"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// clientBuf takes a whole small response in one read.
const clientBuf = 32 << 10

// clientConn is one connection of a generator and the request on it.
type clientConn struct {
	g   *generator
	fd  int // -1 when there is none
	tls *tlsWire

	buf  []byte
	have int

	busy      bool  // a request is under way
	broken    bool  // failed; the sweep puts it to work again, so that a dead target is not hammered
	since     int64 // what latency counts from
	startedAt int64 // when it was really sent

	out     []byte // of the request, still to be written
	filling int64  // then this much body

	leaving bool // answered; waits for the other side to close (churn)
	eof     bool // the last event said that the other side has closed

	inBody bool
	head   head
	left   int64 // of a body with a length
	got    int64 // of the body
	chunks chunks
}

var (
	errEarly    = errors.New("the connection ended before the whole response")
	errStale    = errors.New("the connection ended instead of a response")
	errTLSAgain = errors.New("the TLS connection was closed: a TLS run keeps its connections")
)

// open connects and, with TLS, shakes hands; it blocks and is used before the
// clock starts.
func (c *clientConn) open(ctx context.Context) error {
	fd, err := c.g.dialer.dial(c.g.sourceAddr(), true)
	if err != nil {
		return err
	}
	c.fd = fd
	if err := waitConnected(ctx, fd); err != nil {
		return err
	}
	if c.g.cfg.TLS != nil {
		c.tls, err = handshake(ctx, fd, c.g.cfg.TLS)
	}
	return err
}

// send begins the next request. since is what its latency counts from.
func (c *clientConn) send(since int64) {
	g := c.g
	now := g.loop.now()
	r := &g.cfg.Requests[g.next]
	if g.next++; g.next == len(g.cfg.Requests) {
		g.next = 0
	}
	c.busy, c.since, c.startedAt = true, since, now
	c.out, c.filling = r.Head, r.Body
	c.inBody, c.have, c.got = false, 0, 0
	c.chunks = chunks{}
	if c.fd < 0 {
		if c.g.cfg.TLS != nil {
			// A blocking handshake inside the loop would hold up everything else.
			g.count(ErrConnect, errTLSAgain)
			c.busy = false
			return
		}
		c.connect()
		return
	}
	c.flush()
}

// connect opens a connection inside the loop and sends at once: on loopback a
// connect is usually complete when it returns, so that the event that would tell
// can be spared. Room to write makes events only when some is wanted.
func (c *clientConn) connect() {
	g := c.g
	fd, err := g.dialer.dial(g.sourceAddr(), c.filling > 0)
	if err != nil {
		c.lost(ErrConnect, err)
		return
	}
	c.fd = fd
	if g.measuring {
		g.res.Connections++
	}
	events := uint32(edge)
	if c.filling == 0 {
		n, e := sysWrite(fd, c.out)
		switch {
		case e == unix.EAGAIN:
		case e != 0:
			c.lost(ErrConnect, e)
			return
		default:
			if c.out = c.out[n:]; len(c.out) == 0 {
				events &^= unix.EPOLLOUT
			}
		}
	}
	if err := g.loop.add(fd, c, events); err != nil {
		c.lost(ErrConnect, err)
	}
}

// retire lets a connection rest until the next sweep.
func (c *clientConn) retire() {
	c.busy, c.broken = false, true
}

func (c *clientConn) shut() {
	if c.fd < 0 {
		return
	}
	if c.fd < len(c.g.loop.handlers) && c.g.loop.handlers[c.fd] == handler(c) {
		c.g.loop.closeFD(c.fd)
	} else {
		unix.Close(c.fd)
	}
	c.fd, c.tls, c.leaving, c.eof = -1, nil, false, false
}

// lost is a failure in mid-request.
func (c *clientConn) lost(kind ErrorKind, err error) {
	c.g.fail(c, kind, err)
	c.retire()
}

// flush writes what is left of the request.
func (c *clientConn) flush() {
	for len(c.out) > 0 || c.filling > 0 {
		b := c.out
		body := len(b) == 0
		if body {
			b = c.g.filling[:min(c.filling, chunkBody)]
		}
		var n int
		var e unix.Errno
		if c.tls != nil {
			n, e = c.tls.write(b)
		} else {
			n, e = sysWrite(c.fd, b)
		}
		if e == unix.EAGAIN {
			return
		}
		if e != 0 {
			c.lost(ErrWrite, e)
			return
		}
		if body {
			c.filling -= int64(n)
		} else {
			c.out = b[n:]
		}
		if n < len(b) {
			return // full: the next room makes an event
		}
	}
	if c.tls != nil && c.tls.unsent() {
		c.tls.push()
	}
}

func (c *clientConn) ready(events uint32) {
	if events&unix.EPOLLERR != 0 {
		errno, _ := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
		kind := ErrRead
		if c.g.cfg.Churn && len(c.out) > 0 {
			kind = ErrConnect
		}
		c.ended(kind, unix.Errno(errno))
		return
	}
	if events&unix.EPOLLOUT != 0 && (len(c.out) > 0 || c.filling > 0 || c.tls != nil && c.tls.unsent()) {
		c.flush()
	}
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP) != 0 && c.fd >= 0 {
		c.read(events&(unix.EPOLLRDHUP|unix.EPOLLHUP) != 0)
	}
}

// read takes what has come. ended tells that the other side has closed, so that
// reading goes on to the end of the stream.
func (c *clientConn) read(ended bool) {
	if c.tls != nil {
		c.tls.arrived(ended)
	}
	c.eof = ended
	if c.leaving {
		if ended {
			c.leave()
		}
		return
	}
	for {
		room := len(c.buf) - c.have
		var n int
		var e unix.Errno
		discard := false
		switch {
		case c.tls != nil:
			n, e = c.tls.read(c.buf[c.have:])
		case c.inBody && !c.head.chunked && c.left > clientBuf:
			// A large body is counted and not copied: the copy would cost the load
			// core more than all else.
			discard = true
			room = int(min(c.left, 4<<20))
			n, e = sysDiscard(c.fd, room)
		default:
			n, e = sysRead(c.fd, c.buf[c.have:])
		}
		switch {
		case e == unix.EAGAIN:
			return
		case e != 0:
			c.ended(ErrRead, e)
			return
		case n == 0:
			c.ended(ErrClosed, errEarly)
			return
		}
		if c.g.measuring {
			c.g.res.Bytes += int64(n)
		}
		if discard {
			c.left -= int64(n)
			c.got += int64(n)
			if c.left == 0 && !c.complete(nil) {
				return
			}
		} else {
			c.have += n
			if !c.parse() {
				return
			}
		}
		if c.tls == nil && n < room && !ended {
			return // drained; the next byte makes an event
		}
	}
}

// ended is called when the connection is gone. Between requests that is the
// proxy's right.
func (c *clientConn) ended(kind ErrorKind, err error) {
	switch {
	case !c.busy:
		c.g.res.Dropped++
		c.shut()
	case !c.inBody && c.have == 0 && !c.g.cfg.Churn:
		c.lost(ErrStale, errStale)
	default:
		c.lost(kind, err)
	}
}

// parse works on what is in the buffer; false when the connection was lost or
// handed on to its next request.
func (c *clientConn) parse() bool {
	if !c.busy {
		c.lost(ErrProtocol, fmt.Errorf("%d bytes that nobody asked for", c.have))
		return false
	}
	b := c.buf[:c.have]
	for !c.inBody {
		h, size, err := parseHead(b)
		if err != nil {
			c.lost(ErrProtocol, fmt.Errorf("%w: %.60q", err, b))
			return false
		}
		if size == 0 {
			return true
		}
		b = b[size:]
		if h.status >= 100 && h.status < 200 {
			continue
		}
		c.head, c.inBody = h, true
		c.left = h.length
		if h.length < 0 && !h.chunked && !h.close {
			c.lost(ErrProtocol, errors.New("a response with neither Content-Length nor chunks"))
			return false
		}
	}
	done := false
	if c.head.chunked {
		used, data, end, err := c.chunks.feed(b)
		if err != nil {
			c.lost(ErrProtocol, err)
			return false
		}
		b = b[used:]
		c.got += data
		done = end
	} else {
		n := min(c.left, int64(len(b)))
		c.left -= n
		c.got += n
		b = b[n:]
		done = c.left == 0
	}
	c.have = 0
	if !done {
		return true
	}
	return c.complete(b)
}

// leave ends a connection that the other side has closed. A reset instead of a
// last exchange of FIN and ACK spares this core work that nobody looks at: the
// other side has let go of the connection.
func (c *clientConn) leave() {
	c.leaving = false
	linger := [2]int32{1, 0} // struct linger: on, 0 seconds
	_, _, _ = unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(c.fd), unix.SOL_SOCKET, unix.SO_LINGER, uintptr(unsafe.Pointer(&linger)), unsafe.Sizeof(linger), 0)
	c.shut()
	c.g.settled(c, c.g.loop.now())
}

// complete checks a whole response; rest is what came after it.
func (c *clientConn) complete(rest []byte) bool {
	g := c.g
	switch {
	case len(rest) > 0:
		c.lost(ErrProtocol, fmt.Errorf("%d bytes after the response", len(rest)))
		return false
	case c.head.status != g.cfg.Status:
		c.lost(ErrStatus, fmt.Errorf("status %d instead of %d", c.head.status, g.cfg.Status))
		return false
	case g.cfg.Length >= 0 && c.got != g.cfg.Length:
		c.lost(ErrLength, fmt.Errorf("a body of %d bytes instead of %d", c.got, g.cfg.Length))
		return false
	}
	now := g.loop.now()
	g.answered(c, now)
	c.busy, c.inBody = false, false
	if g.cfg.Churn {
		// The request said Connection: close. Closing first would put the burden of
		// the close on this core and use up its ports.
		c.leaving = true
		if c.eof {
			c.leave()
		}
		return false
	}
	keep := !c.head.close && len(c.out) == 0 && c.filling == 0
	if !keep {
		c.shut()
	}
	g.settled(c, now)
	return keep && c.fd >= 0
}
