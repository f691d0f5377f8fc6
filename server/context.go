package server

import (
	"crypto/tls"
	"net"
	"sync"

	"github.com/valyala/fasthttp"

	"edgerouter/wire"
)

var contexts = sync.Pool{New: func() any { return new(fasthttp.RequestCtx) }}

// secureConn lets ctx.IsTLS and ctx.TLSConnectionState see a TLS connection.
type secureConn struct{ *conn }

// Handshake is what fasthttp knows a TLS connection by.
func (c secureConn) Handshake() error { return c.tls.Handshake() }

// ConnectionState returns what the handshake agreed on.
func (c secureConn) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }

// context returns the connection's RequestCtx, as yet not filled in.
func (c *conn) context() *fasthttp.RequestCtx {
	if c.ctx == nil {
		c.ctx = contexts.Get().(*fasthttp.RequestCtx)
		var nc net.Conn = c
		if c.tls != nil {
			nc = secureConn{c}
		}
		c.ctx.Init2(nc, quiet{}, false)
	}
	return c.ctx
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}

// fill puts the request into ctx for a handler that does not work on the wire.
// Hop-by-hop fields are left out; the fields of x.Forward stand in.
func (c *conn) fill() {
	x, ctx := &c.x, c.context()
	c.filled = true
	h := &ctx.Request.Header
	h.SetMethodBytes(x.Head.Method)
	h.SetRequestURIBytes(x.Target)
	if x.Head.Minor == 0 {
		h.SetProtocol("HTTP/1.0")
	} else {
		h.SetProtocol("HTTP/1.1")
	}
	h.SetHostBytes(x.Head.Host)
	for i := range x.Head.Fields {
		f := &x.Head.Fields[i]
		switch f.Kind {
		case wire.Ordinary, wire.Date, wire.Server, wire.Cookie, wire.ContentType:
			h.AddBytesKV(f.Name, f.Value)
		}
	}
	wire.EachLine(x.Forward, h.AddBytesKV)
	if c.tls != nil {
		ctx.Request.URI().SetScheme("https")
	}
	ctx.SetRemoteAddr(&net.TCPAddr{IP: c.client.AsSlice()})
	if x.Head.HasBody() {
		size := -1
		if !x.Head.Chunked {
			size = int(x.Head.Length)
		}
		ctx.Request.SetBodyStream(bodyReader{x}, size)
	}
}

// bodyReader is the request's body for handlers that read ctx.Request.
type bodyReader struct{ x *wire.Exchange }

func (b bodyReader) Read(p []byte) (int, error) { return b.x.ReadBody(p) }

func (c *conn) resetCtx() {
	if c.ctx == nil || (c.x.Responded && !c.filled) {
		return
	}
	c.ctx.Request.Reset()
	c.ctx.Response.Reset()
	if c.filled {
		c.ctx.SetRemoteAddr(nil)
		c.filled = false
	}
}

func (c *conn) releaseCtx() {
	if c.ctx == nil {
		return
	}
	c.ctx.Request.Reset()
	c.ctx.Response.Reset()
	c.ctx.Init2(nil, quiet{}, false) // a pooled context must not keep a connection
	contexts.Put(c.ctx)
	c.ctx, c.filled = nil, false
}
