package server

import (
	"fmt"
	"time"

	"edgerouter/wire"
)

const (
	// drainLimit and drainTime bound how much of a body that nobody read is thrown
	// away to keep the connection.
	drainLimit = 256 << 10
	drainTime  = 5 * time.Second
	// lingerLimit and lingerTime bound what is still read of a client that has
	// its last response.
	lingerLimit = 1 << 20
	lingerTime  = 2 * time.Second
)

// settle makes the connection ready for the next request, or tells false.
func (c *conn) settle() bool {
	x := &c.x
	if x.Broken {
		c.abort()
		return false
	}
	if x.Close { // while draining too: a client that was not told may have sent its next request
		// A client that asked for the end sends nothing more.
		if !x.Head.Close || !x.Body.Done() || !x.In.Empty() {
			c.lingeringClose()
		}
		return false
	}
	if !x.Body.Done() && !c.drainBody() {
		c.lingeringClose()
		return false
	}
	x.In.Recycle()
	c.state.Store(-c.idleFrom)
	return true
}

// drainBody reads what nobody has read of the request's body. False: there is
// too much of it, it does not come, or it never will, as 100 was not sent.
func (c *conn) drainBody() bool {
	if c.x.AwaitsContinue() {
		return false
	}
	c.reading = readingRest
	c.setReadDeadline(wire.Now(), drainTime, 0)
	return c.x.Body.Drain(drainLimit)
}

// lingeringClose lets the client read the response although it is still
// sending: a close with unread bytes would reset the connection and with it the
// response (RFC 9112 section 9.6).
func (c *conn) lingeringClose() {
	c.state.Store(busy)
	c.reading = readingRest
	if c.closeWrite() != nil {
		return
	}
	c.Conn.SetReadDeadline(time.Now().Add(lingerTime))
	buf := wire.GetBuffer()
	defer wire.PutBuffer(buf)
	for total := 0; total < lingerLimit; {
		n, err := c.Conn.Read(buf[:])
		if err != nil {
			return
		}
		total += n
	}
}

// closeWrite tells the client that nothing more comes.
func (c *conn) closeWrite() error {
	if c.tls != nil {
		if err := c.tls.CloseWrite(); err != nil {
			return err
		}
	}
	if w, ok := c.raw.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return c.Conn.Close()
}

// abort ends the connection so that a client that waits for the end of a body
// sees that it did not get it.
func (c *conn) abort() {
	if c.tcp != nil {
		c.tcp.SetLinger(0)
	}
	c.raw.Close()
}

// panicked answers a request whose handler panicked, if nothing was sent yet.
// Buffers are left to the collector: who still uses them is not known.
func (c *conn) panicked(p any, stack []byte) {
	s, x := c.srv, &c.x
	s.Stats.Panics.Add(1)
	s.Log.Error().Str("panic", fmt.Sprint(p)).Bytes("stack", stack).Bytes("request_id", x.RequestID).
		Msg("a handler panicked; its connection ends")
	if c.state.Load() <= busy {
		return
	}
	x.Gone() // nobody waits any more for what a peer may be doing
	if x.Status != 0 || x.Broken {
		c.abort()
		return
	}
	c.StopReading()
	x.Status = 500
	c.observe(wire.Now())
	c.say(500, "internal error", x.RequestID)
}
