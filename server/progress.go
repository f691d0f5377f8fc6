package server

import (
	"net"

	"edgerouter/wire"
)

// progress is how far a client has come with what is sent to it. A write goes on
// as long as the client takes anything within WriteTimeout: the kernel holds
// megabytes of a response, of which a slow reader takes a few bytes long before
// there is room for more. So it is looked at a few times, by deadlines of writes.
type progress struct {
	held  int   // bytes in the kernel at the last look; 0: there was none
	since int64 // when the client was last seen to take something
}

// looks is how often a write is looked at within WriteTimeout.
const looks = 8

// goesOn reports whether a write that ended with err after n bytes is to go on,
// with a new deadline.
func (c *conn) goesOn(n int, err error) bool {
	if c.writeDeadline == 0 || c.reading == readingTunnel || !timedOut(err) {
		return false
	}
	p, now, held := &c.progress, wire.Now(), c.unacknowledged()
	if n > 0 || p.held == 0 || held < p.held {
		p.since = now
	}
	p.held = held
	if now-p.since >= int64(c.srv.Limits.WriteTimeout) {
		return false
	}
	c.limitWrite(now + int64(c.srv.Limits.WriteTimeout)/looks)
	return true
}

// setWriteDeadline is called before a write; now may be 0.
func (c *conn) setWriteDeadline(now int64) {
	if now == 0 {
		now = wire.Now()
	}
	look := c.srv.Limits.WriteTimeout / looks
	c.progress.held = 0
	if want := now + int64(look); want-c.writeDeadline > slackOf(look) {
		c.limitWrite(want)
	}
}

func (c *conn) limitWrite(until int64) {
	c.writeDeadline = until
	c.raw.SetWriteDeadline(wire.At(until))
}

// patient writes as long as goesOn says. It stands below TLS, whose writes all fail
// after one that was over time.
type patient struct {
	net.Conn
	c *conn
}

// Write is part of net.Conn.
func (p patient) Write(b []byte) (sent int, err error) {
	for {
		n, err := p.Conn.Write(b[sent:])
		sent += n
		if err == nil || !p.c.goesOn(n, err) {
			return sent, err
		}
	}
}
