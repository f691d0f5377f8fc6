package server

import (
	"os"
	"time"

	"edgerouter/wire"
)

// bodyPatience is how much longer a client is waited for within the body of one
// request: Limits.BodyTimeout at first and at most. Time spent waiting goes off,
// what was received goes on at Limits.BodyRate. So a body may come in bursts, but
// a byte now and then does not hold the request open. The time in which the
// backend takes nothing is not the client's, and does not count.
type bodyPatience time.Duration

// spend takes off what was waited for n bytes.
func (p *bodyPatience) spend(waited time.Duration, n, rate int, most time.Duration) {
	left := time.Duration(*p) - waited + time.Duration(n)*time.Second/time.Duration(rate)
	*p = bodyPatience(min(left, most))
}

// readBody reads once for the body of a request.
func (c *conn) readBody(p []byte) (int, error) {
	l := &c.srv.Limits
	now, timeout := wire.Now(), l.BodyTimeout
	slow := false
	if l.BodyRate > 0 {
		timeout = time.Duration(c.patience)
		slow = timeout < l.BodyTimeout-time.Duration(slackOf(l.BodyTimeout))
	}
	if timeout <= 0 {
		c.limitedBodyRate()
		return 0, os.ErrDeadlineExceeded
	}
	c.setReadDeadline(now, timeout, slackOf(timeout))
	// Looked at after the deadline is set: StopReading sets its own after it said
	// so.
	if c.stopped.Load() {
		return 0, wire.ErrInterrupted
	}
	n, err := c.Conn.Read(p)
	if l.BodyRate > 0 {
		c.patience.spend(time.Duration(wire.Now()-now), n, l.BodyRate, l.BodyTimeout)
		if err != nil && slow && timedOut(err) && !c.stopped.Load() {
			c.limitedBodyRate()
		}
	}
	if err != nil && n == 0 && c.stopped.Load() && timedOut(err) {
		err = wire.ErrInterrupted
	}
	return n, err
}

func (c *conn) limitedBodyRate() { c.srv.limited(limitBodyRate, c.client) }
