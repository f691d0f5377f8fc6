package server

import (
	"io"
	"sync/atomic"
	"time"

	"edgerouter/wire"
)

// Tunnel is part of wire.Client.
func (c *conn) Tunnel() io.ReadWriteCloser {
	c.reading = readingTunnel
	c.x.Close = true
	c.Conn.SetDeadline(time.Time{})
	c.readDeadline, c.writeDeadline = 0, 0
	c.state.Store(busy)
	if !c.bounded {
		c.boundUnsent()
	}
	t := &tunnel{c: c}
	if most := c.srv.Limits.TunnelIdle; most > 0 {
		t.moved.Store(wire.Now())
		t.timer = time.AfterFunc(most, t.look)
		c.tunnel = t
	}
	return t
}

// tunnel is a client's connection after an upgrade: what was read with the head
// comes first, and a closed write side is passed on as such.
type tunnel struct {
	c     *conn
	moved atomic.Int64 // when a byte moved last, either way; a reading of wire.Now
	timer *time.Timer  // nil: the tunnel may be idle for ever
	over  atomic.Bool
}

func (t *tunnel) Read(p []byte) (int, error) {
	n, err := t.c.x.In.Read(p)
	t.note(n)
	return n, err
}

func (t *tunnel) Write(p []byte) (int, error) {
	n, err := t.c.Conn.Write(p)
	t.note(n)
	return n, err
}

func (t *tunnel) Close() error      { return t.c.Conn.Close() }
func (t *tunnel) CloseWrite() error { return t.c.closeWrite() }

func (t *tunnel) note(n int) {
	if n > 0 && t.timer != nil {
		t.moved.Store(wire.Now())
	}
}

// look closes the connection when nothing moved for too long, and else looks
// again when that may be so.
func (t *tunnel) look() {
	left := t.c.srv.Limits.TunnelIdle - time.Duration(wire.Now()-t.moved.Load())
	switch {
	case t.over.Load():
	case left > 0:
		t.timer.Reset(left)
	default:
		t.c.srv.limited(limitTunnelIdle, t.c.client)
		t.c.raw.Close()
	}
}

// stop ends the watch over the tunnel.
func (t *tunnel) stop() {
	t.over.Store(true)
	t.timer.Stop()
}
