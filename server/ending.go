package server

import (
	"fmt"

	"edgerouter/wire"
)

// settle makes the connection ready for the next request, or tells false. It is
// the only place that decides so, by what x.Body says is left on the connection.
func (c *conn) settle() bool {
	x := &c.x
	if x.Broken {
		c.abort()
		return false
	}
	if c.stopped.Load() { // for the handler's body only
		c.stopped.Store(false)
		c.readDeadline = 0 // StopReading set another
	}
	if x.Close { // while draining too: a client that was not told may have sent its next request
		// A client that asked for the end sends nothing more.
		if !x.Head.Close || !x.Body.Done() || !x.In.Empty() {
			c.lingeringClose()
		}
		return false
	}
	if !x.Body.Done() && !c.discardBody() {
		c.lingeringClose()
		return false
	}
	x.In.Recycle()
	c.state.Store(-c.idleFrom)
	return true
}

// closeWrite tells the client that nothing more comes.
func (c *conn) closeWrite() error {
	c.writeDeadline = 0 // what TLS says at the end has its own
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
