package wire

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// What stands between the pipeline and a backend may change the request in ctx.
// A backend then takes the client's lines that ctx still has, in their order and
// case, and what was added; the functions here tell which is which.

// KeptCookies tells whether the request still has the cookies that the client
// sent. fasthttp takes Cookie fields apart, so they are compared as it would
// write them; what is to be passed on is what came.
func KeptCookies(h *fasthttp.RequestHeader, fields []Field) bool {
	came := fasthttp.AcquireRequest()
	defer fasthttp.ReleaseRequest(came)
	for i := range fields {
		if fields[i].Kind == Cookie {
			came.Header.AddBytesKV(fields[i].Name, fields[i].Value)
		}
	}
	return bytes.Equal(came.Header.Peek("Cookie"), h.Peek("Cookie"))
}

// FromClient tells whether the client sent this line itself.
func FromClient(fields []Field, name, value []byte) bool {
	for i := range fields {
		f := &fields[i]
		switch f.Kind {
		case Ordinary, ContentType, Date, Server:
			if EqualNames(f.Name, name) && bytes.Equal(f.Value, value) {
				return true
			}
		}
	}
	return false
}

// HasValue tells whether v is among the values.
func HasValue(values [][]byte, v []byte) bool {
	for _, o := range values {
		if bytes.Equal(o, v) {
			return true
		}
	}
	return false
}
