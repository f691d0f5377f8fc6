package turbo

import (
	"sync"

	"github.com/valyala/fasthttp"

	"edgerouter/wire"
)

// request is what a site asks of a request, wherever it stands: on the wire, or
// in a context that handlers before have changed.
type request struct {
	ctx    *fasthttp.RequestCtx
	x      *wire.Exchange // nil: the request did not come over HTTP/1.1
	direct bool           // the response goes to the wire
	head   bool
	target []byte

	acceptEncoding, ifNoneMatch, rangeField, ifRange, dictionary []byte

	path   []byte // as the manifest has it
	prefix int    // bytes of the client's path before it
	room   [256]byte
}

var requests = sync.Pool{New: func() any { return new(request) }}

// begin reads a request; whoever calls it calls end.
func begin(ctx *fasthttp.RequestCtx, direct bool) (r *request, known bool) {
	r = requests.Get().(*request)
	known = r.read(ctx, direct)
	return r, known
}

// end gives the memory back.
func (r *request) end() {
	*r = request{}
	requests.Put(r)
}

// read fills in what the site needs. False: the method is neither GET nor HEAD.
func (r *request) read(ctx *fasthttp.RequestCtx, direct bool) bool {
	r.ctx, r.x = ctx, wire.From(ctx)
	r.direct = direct && r.x != nil
	method := []byte(nil)
	if r.direct {
		method, r.target = r.x.Head.Method, r.x.Target
		for i := range r.x.Head.Fields {
			f := &r.x.Head.Fields[i]
			if f.Kind == wire.Ordinary {
				r.field(f.Name, f.Value)
			}
		}
	} else {
		method, r.target = ctx.Request.Header.Method(), ctx.Request.Header.RequestURI()
		for name, value := range ctx.Request.Header.All() {
			r.field(name, value)
		}
	}
	r.head = string(method) == "HEAD"
	return r.head || string(method) == "GET"
}

func (r *request) field(name, value []byte) {
	var to *[]byte
	switch len(name) {
	case 5:
		if wire.EqualFold(name, "range") {
			to = &r.rangeField
		}
	case 8:
		if wire.EqualFold(name, "if-range") {
			to = &r.ifRange
		}
	case 13:
		if wire.EqualFold(name, "if-none-match") {
			to = &r.ifNoneMatch
		}
	case 15:
		if wire.EqualFold(name, "accept-encoding") {
			to = &r.acceptEncoding
		}
	case 20:
		if wire.EqualFold(name, "available-dictionary") {
			to = &r.dictionary
		}
	}
	switch {
	case to == nil:
	case *to == nil:
		*to = value
	default: // several lines are one list (RFC 9110 section 5.3)
		*to = append(append(append([]byte(nil), *to...), ", "...), value...)
	}
}

// stripped says whether the client's path has a prefix that target lacks.
func (r *request) stripped() bool {
	return r.x == nil || len(r.x.Target) != len(r.x.Head.Target) || !r.direct
}
