package server

import (
	"bytes"
	"errors"
	"net"
	"time"

	"edgerouter/wire"
)

const (
	// parkAfter is how long an idle connection keeps its buffers.
	parkAfter = time.Second
	// lastCall is how long a connection that is about to be closed for being idle
	// is still listened to: a request may be in the socket already.
	lastCall = 5 * time.Millisecond
	// parseAgainAt bounds how often an incomplete head is looked at from its
	// start again when it comes in small pieces.
	parseAgainAt = 1 << 10
)

// next waits for a request and parses its head; c.found says foundAnswer when it
// was answered already. It tells false when there is none: the client left, stayed
// idle, or sent what cannot be taken and has been told so.
func (c *conn) next() bool {
	c.borrow()
	c.x.In.Acquire()
	c.reading, c.found = readingIdle, foundBytes
	seen := 0 // buffered bytes in which the head did not end
	for {
		if b := c.x.In.Buffered(); len(b) > 0 {
			if seen == 0 || len(b)-seen >= parseAgainAt || bytes.IndexByte(b[seen:], '\n') >= 0 {
				n, err := c.x.Head.Parse(b, &c.srv.wireLimits)
				if err == nil {
					c.x.In.Consume(n)
					c.reading = readingBody
					return true
				}
				if err != wire.ErrMore {
					c.refuse(err)
					return false
				}
				seen = len(b)
			}
			if c.reading == readingIdle {
				c.reading = readingHead
				c.claim(busy)
				c.setReadDeadline(wire.Now(), c.srv.Limits.HeaderTimeout, 0)
			}
		} else {
			c.setReadDeadline(c.idleFrom, c.idleTurn(), deadlineSlack)
			if c.state.Load() == taken {
				if !c.park() {
					return false
				}
				continue
			}
		}
		if err := c.receive(); err != nil {
			switch {
			case !timedOut(err):
				return false
			case c.reading == readingHead:
				c.refuse(errHeadTimeout)
				return false
			case !c.park():
				return false
			}
		}
		if c.found == foundHead || c.found == foundAnswer {
			return true
		}
	}
}

// idleTurn is how long an idle connection waits before it is parked.
func (c *conn) idleTurn() time.Duration { return min(parkAfter, c.srv.Limits.IdleTimeout) }

// receive reads once. A plain connection that has had a request waits for the next
// one without a buffer.
func (c *conn) receive() error {
	if c.reading == readingIdle && c.requests > 0 && c.tcp != nil && c.Conn == c.raw && c.x.In.Empty() {
		return c.fillIdle()
	}
	c.x.In.Acquire()
	_, err := c.x.In.Fill()
	return err
}

var errHeadTimeout = &wire.Error{Status: 408, Reason: "the request's head did not come in time"}

// park waits for the first byte of the next request without holding buffers.
func (c *conn) park() bool {
	c.handBack()
	c.account()
	c.srv.conns.park(c)
	defer c.srv.conns.unpark(c)
	until := c.idleFrom + int64(c.srv.Limits.IdleTimeout)
	for last := false; ; {
		now := wire.Now()
		left := time.Duration(until - now)
		switch {
		case c.state.Load() == taken:
			if last {
				return false
			}
			last, left = true, lastCall
			c.srv.conns.settled()
		case left <= 0:
			return false
		}
		c.setReadDeadline(now, left, 0)
		if !last && c.state.Load() == taken {
			continue
		}
		n, err := c.Conn.Read(c.one[:])
		if n > 0 {
			c.borrow()
			c.x.In.Acquire()
			c.x.In.Unread(c.one[0])
			return true
		}
		if !timedOut(err) {
			return false
		}
	}
}

// claim makes an idle connection a busy one, to state. If it had just been taken
// to be closed, the request that came is served all the same.
func (c *conn) claim(state int64) {
	if c.state.CompareAndSwap(-c.idleFrom, state) {
		return
	}
	if c.state.Load() == taken {
		c.srv.conns.settled()
		c.readDeadline = 0 // it was set by another
	}
	c.state.Store(state)
}

func timedOut(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
