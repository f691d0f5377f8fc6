package lambda

import (
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"edgerouter/wire"
)

// conn is one connection to the API. It is used by one invocation at a time.
type conn struct {
	net.Conn          // plain or TLS
	socket   net.Conn // below TLS
	raw      syscall.RawConn
	in       wire.Reader
	head     wire.ResponseHead
	body     wire.Body
	used     bool
	idle     int64       // when it was put back, a reading of wire.Now
	deadline int64       // as last set, a reading of wire.Now; 0: none
	aborted  atomic.Bool // closed by us in the middle of a request
	look     func(fd uintptr)
	readable bool
}

// abort makes whatever waits for the connection return.
func (c *conn) abort() {
	c.aborted.Store(true)
	c.socket.Close()
}

// slack is how far off a deadline may be before it is set again: setting one
// costs more than most of what else happens to a request.
const slack = int64(time.Second)

// until sets the deadline of reads and writes, a reading of wire.Now.
func (c *conn) until(now, at int64) {
	tolerance := min(slack, (at-now)/8)
	if off := at - c.deadline; off > tolerance || off < -tolerance {
		c.deadline = at
		c.Conn.SetDeadline(wire.At(at))
	}
}

// stale looks whether the API closed the connection while it was idle. What must
// not be called twice must not be tried on a connection that may be closed: after
// that nobody could tell whether it ran.
func (c *conn) stale() bool {
	if c.raw == nil {
		return false
	}
	c.readable = false
	return c.raw.Control(c.look) != nil || c.readable
}

func (c *conn) lookAt(fd uintptr) {
	p := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(p[:], 0)
	c.readable = err == nil && n > 0
}

// inOneWrite is up to which size a payload is copied behind the head of its
// request, so that both go out in one write.
const inOneWrite = 16 << 10

// send writes a request. sent tells whether all of it may have gone out: what is
// not complete cannot be acted on.
func (c *conn) send(head, payload []byte) (scratch []byte, sent bool, err error) {
	if len(payload) > inOneWrite {
		if _, err = c.Conn.Write(head); err != nil {
			return head, false, err
		}
		n, err := c.Conn.Write(payload)
		return head, n == len(payload), err
	}
	head = append(head, payload...)
	n, err := c.Conn.Write(head)
	return head, n == len(head), err
}

var errManyInterims = errors.New("too many interim responses")

// readHead reads the head of the response and sets body to what follows.
func (c *conn) readHead() error {
	for interims := 0; ; {
		if b := c.in.Buffered(); len(b) > 0 {
			n, err := c.head.Parse(b)
			switch {
			case err == nil && c.head.Status < 200:
				c.in.Skip(n)
				if interims++; interims > 8 || c.head.Status == 101 {
					return errManyInterims
				}
				continue
			case err == nil:
				c.in.Consume(n)
				c.frame()
				return nil
			case err != wire.ErrMore:
				return err
			}
		}
		if _, err := c.in.Fill(); err != nil {
			return err
		}
	}
}

// frame follows RFC 9112 section 6.3.
func (c *conn) frame() {
	h := &c.head
	switch {
	case h.NoBody(false):
		c.body.SetNone()
	case h.Chunked:
		c.body.SetChunked(&c.in)
	case h.Length >= 0:
		c.body.SetLength(&c.in, h.Length)
	default:
		c.body.SetUntilClose(&c.in)
		h.Close = true
	}
}

// reusable tells whether another request may be sent.
func (c *conn) reusable() bool {
	return c.body.Done() && c.in.Empty() && !c.head.Close && !c.aborted.Load()
}
