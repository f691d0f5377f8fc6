package lambda

import (
	"bytes"
	"io"
	"net/netip"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/wire"
)

// incoming is a request as the handler got it.
type incoming struct {
	Request
	ctx *fasthttp.RequestCtx
	x   *wire.Exchange // nil: it did not come over HTTP/1.1

	idempotent bool
	text       bool // see Text
	body       io.Reader
	replaced   []byte // the body that a handler has put in the place of the client's
	length     int64  // of the body; -1: not known
	trace      []byte
	port       []byte
}

// understand fills in the request. direct: no handler stands before this one, and
// the client's bytes are read where they are; otherwise what handlers may have
// changed in ctx counts.
func (in *incoming) understand(ctx *fasthttp.RequestCtx, x *wire.Exchange, direct bool) {
	in.ctx, in.x = ctx, x
	in.Time = time.Now()
	in.Fields = in.Fields[:0]
	switch {
	case x == nil:
		in.fromContext()
	case direct:
		in.fromWire()
	default:
		in.fromBoth()
	}
	switch string(in.Method) {
	case "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE":
		in.idempotent = true
	default:
		in.idempotent = false
	}
	in.finishFields()
	in.takeBody(direct)
}

// forwarded tells which fields of a request a function sees.
func forwarded(k wire.FieldKind) bool {
	switch k {
	case wire.Ordinary, wire.Host, wire.ContentLength, wire.Date, wire.Server, wire.Cookie, wire.ContentType:
		return true
	}
	return false
}

func (in *incoming) addLine(name, value []byte) {
	in.Fields = append(in.Fields, Field{name, value})
}

func (in *incoming) fromWire() {
	x := in.x
	h := &x.Head
	in.Method, in.Host = h.Method, h.Host
	in.target(x.Target)
	in.fromExchange()
	for i := range h.Fields {
		if f := &h.Fields[i]; forwarded(f.Kind) {
			in.addLine(f.Name, f.Value)
		}
	}
	wire.EachLine(x.Forward, in.addLine)
}

// fromExchange takes what no handler changes.
func (in *incoming) fromExchange() {
	x := in.x
	in.FullPath, in.SourceIP, in.RequestID = x.Head.Path, x.ClientIP, x.RequestID
	in.Protocol = "HTTP/1.1"
	if x.Head.Minor == 0 {
		in.Protocol = "HTTP/1.0"
	}
}

// target takes a raw target apart.
func (in *incoming) target(t []byte) {
	if len(t) == 0 || t[0] != '/' {
		in.Path, in.Query = in.x.Head.Path, in.x.Head.Query
		return
	}
	in.Path, in.Query, _ = bytes.Cut(t, questionMark)
}

var questionMark = []byte{'?'}

// fromBoth takes the client's fields that ctx still has, in their order and case,
// then what handlers added.
func (in *incoming) fromBoth() {
	x, h := in.x, &in.ctx.Request.Header
	in.Method, in.Host = h.Method(), h.Host()
	in.target(h.RequestURI())
	in.fromExchange()
	cookies := wire.KeptCookies(h, x.Head.Fields)
	for i := range x.Head.Fields {
		f := &x.Head.Fields[i]
		switch f.Kind {
		case wire.Host:
			in.addLine(f.Name, in.Host)
		case wire.Cookie:
			if cookies {
				in.addLine(f.Name, f.Value)
			}
		case wire.ContentLength:
			in.addLine(f.Name, f.Value)
		case wire.Ordinary, wire.ContentType, wire.Date, wire.Server:
			if wire.HasValue(h.PeekAll(string(f.Name)), f.Value) {
				in.addLine(f.Name, f.Value)
			}
		}
	}
	for name, value := range h.All() {
		switch wire.KindOf(name) {
		case wire.Cookie:
			if cookies {
				continue
			}
		case wire.Forwarding:
		case wire.Ordinary, wire.ContentType, wire.Date, wire.Server:
			if wire.FromClient(x.Head.Fields, name, value) {
				continue
			}
		default:
			continue
		}
		in.addLine(name, value)
	}
}

// fromContext is for requests that came over another protocol's bridge.
func (in *incoming) fromContext() {
	h := &in.ctx.Request.Header
	in.Method, in.Host = h.Method(), h.Host()
	in.Path, in.Query, _ = bytes.Cut(h.RequestURI(), questionMark)
	in.FullPath = in.Path
	in.Protocol = string(h.Protocol())
	in.SourceIP = netip.Addr{}
	if a, ok := netip.AddrFromSlice(in.ctx.RemoteIP()); ok {
		in.SourceIP = a.Unmap()
	}
	in.RequestID = h.Peek("X-Request-Id")
	in.addLine(hostName, in.Host)
	for name, value := range h.All() {
		if k := wire.KindOf(name); forwarded(k) && k != wire.Host || k == wire.Forwarding {
			in.addLine(name, value)
		}
	}
}

var (
	hostName  = []byte("Host")
	portName  = []byte("X-Forwarded-Port")
	traceName = []byte(traceField)
)

// finishFields adds what API Gateway adds and finds what is needed of the rest.
func (in *incoming) finishFields() {
	var contentType, traceparent, trace, proto []byte
	encoded, port, traced := false, false, -1
	for i := range in.Fields {
		f := &in.Fields[i]
		switch len(f.Name) {
		case len("traceparent"):
			if wire.EqualFold(f.Name, "traceparent") {
				traceparent = f.Value
			}
		case len("content-type"):
			if wire.EqualFold(f.Name, "content-type") {
				contentType = f.Value
			}
		case len(traceField):
			switch {
			case wire.EqualFold(f.Name, "x-amzn-trace-id"):
				trace, traced = f.Value, i
			}
		case len("x-forwarded-port"): // and content-encoding
			switch {
			case wire.EqualFold(f.Name, "x-forwarded-port"):
				port = true
			case wire.EqualFold(f.Name, "content-encoding"):
				encoded = true
			}
		case len("x-forwarded-proto"):
			if wire.EqualFold(f.Name, "x-forwarded-proto") {
				proto = f.Value
			}
		}
	}
	in.text = Text(contentType, encoded)
	in.trace = appendTrace(in.trace[:0], trace, traceparent, in.Time)
	if traced >= 0 {
		in.Fields[traced].Value = in.trace
	} else {
		in.addLine(traceName, in.trace)
	}
	if !port {
		in.port = appendPort(in.port[:0], in.Host, wire.EqualFold(proto, "https"))
		in.addLine(portName, in.port)
	}
}

// appendPort is the port that the client asked for: that of Host, else that of
// the scheme.
func appendPort(dst, host []byte, secure bool) []byte {
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && bytes.IndexByte(host[i:], ']') < 0 && i+1 < len(host) {
		return append(dst, host[i+1:]...)
	}
	if secure {
		return append(dst, "443"...)
	}
	return append(dst, "80"...)
}

// takeBody finds where the body comes from.
func (in *incoming) takeBody(direct bool) {
	in.body, in.replaced, in.length = nil, nil, 0
	switch req := &in.ctx.Request; {
	case in.x != nil && (direct || req.IsBodyStream()):
		if h := &in.x.Head; h.HasBody() {
			in.body, in.length = exchangeBody{in.x}, h.Length
		}
	case req.IsBodyStream():
		in.body, in.length = req.BodyStream(), int64(req.Header.ContentLength())
		if in.length < 0 {
			in.length = -1
		}
	default:
		in.replaced = req.Body()
		in.length = int64(len(in.replaced))
	}
}

// exchangeBody reads the body off the client's connection.
type exchangeBody struct{ x *wire.Exchange }

func (b exchangeBody) Read(p []byte) (int, error) { return b.x.ReadBody(p) }
