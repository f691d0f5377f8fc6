package httpcache

import (
	"bytes"
	"errors"
	"io"
	"net"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/wire"
)

// validateLater validates a response in the background (RFC 5861 section 3), once
// at a time.
func (c *Cache) validateLater(q *query, e *entry, next fasthttp.RequestHandler) {
	c.mu.Lock()
	own, _ := c.begin(q)
	c.mu.Unlock()
	if own == nil {
		return
	}
	name := q.flight
	ctx := detach(q.ctx)
	c.mu.Lock()
	closed := c.closed
	if !closed && ctx != nil {
		c.running.Add(1)
	}
	c.mu.Unlock()
	if closed || ctx == nil {
		c.land(q, name, own)
		return
	}
	go func() {
		defer c.running.Done()
		defer c.land(q, name, own)
		later := *q
		later.ctx = ctx
		later.ifNoneMatch, later.ifModifiedSince, later.conditional, later.ranged, later.head = "", "", false, "", false
		own.verdict = c.ask(&later, e, next, "fwd=stale")
		if ctx.Response.IsBodyStream() {
			ctx.Response.CloseBodyStream()
		}
	}()
}

// detach makes a request of its own out of a client's: the same head, nobody who
// reads the answer.
func detach(from *fasthttp.RequestCtx) *fasthttp.RequestCtx {
	x := wire.From(from)
	if x == nil {
		return nil
	}
	d := &nobody{addr: from.RemoteAddr(), local: from.LocalAddr()}
	d.x.Client = d
	d.x.In.Reset(d)
	if _, err := d.x.Head.Parse(bytes.Clone(x.Head.Raw), &wire.DefaultLimits); err != nil {
		return nil
	}
	for i := range min(len(d.x.Head.Fields), len(x.Head.Fields)) { // what handlers took out of the head (wire.DropCookies)
		f := &x.Head.Fields[i]
		d.x.Head.Fields[i].Kind, d.x.Head.Fields[i].Value = f.Kind, bytes.Clone(f.Value)
	}
	d.x.Begin(wire.Now())
	d.x.Target = bytes.Clone(x.Target)
	d.x.Forward, d.x.RequestID = bytes.Clone(x.Forward), bytes.Clone(x.RequestID)
	d.x.ClientIP = x.ClientIP
	ctx := &fasthttp.RequestCtx{}
	ctx.Init2(d, quiet{}, false)
	from.Request.CopyTo(&ctx.Request)
	return ctx
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}

// nobody is the connection of a client that there is not.
type nobody struct {
	x           wire.Exchange
	addr, local net.Addr
}

var errNobody = errors.New("this request has no client")

// Exchange makes it a wire.Carrier.
func (n *nobody) Exchange() *wire.Exchange { return &n.x }

func (n *nobody) Read([]byte) (int, error)    { return 0, io.EOF }
func (n *nobody) Write(p []byte) (int, error) { return len(p), nil } // interim responses
func (n *nobody) Close() error                { return nil }
func (n *nobody) LocalAddr() net.Addr         { return n.local }
func (n *nobody) RemoteAddr() net.Addr        { return n.addr }

// SetDeadline and the two others are part of net.Conn: nothing here waits.
func (n *nobody) SetDeadline(time.Time) error      { return nil }
func (n *nobody) SetReadDeadline(time.Time) error  { return nil }
func (n *nobody) SetWriteDeadline(time.Time) error { return nil }

// StopReading and Tunnel are part of wire.Client.
func (n *nobody) StopReading()               {}
func (n *nobody) Tunnel() io.ReadWriteCloser { return closed{} }

type closed struct{}

func (closed) Read([]byte) (int, error)  { return 0, errNobody }
func (closed) Write([]byte) (int, error) { return 0, errNobody }
func (closed) Close() error              { return nil }
