package wire

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// Own makes a field of the request this proxy's: what the client sent under the
// name, in whatever spelling, is removed, and will not be taken from the trailers
// of its body either. Whoever then sets the field is the only one who said it.
func Own(ctx *fasthttp.RequestCtx, name string) {
	if x := From(ctx); x != nil && !AnyName(x.Owned, name) {
		x.Owned = append(x.Owned, name)
	}
	RemoveField(&ctx.Request.Header, name)
}

// SetOwned is Own with a value of our own.
func SetOwned(ctx *fasthttp.RequestCtx, name, value string) {
	Own(ctx, name)
	ctx.Request.Header.Set(name, value)
}

// RemoveField removes a field of a request in all its spellings. The other
// fields stay in their order. The work grows with the size of the head only,
// however many fields go.
func RemoveField(h *fasthttp.RequestHeader, name string) {
	var found, last []byte
	removed, matched := 0, false
	for k := range h.All() {
		if matched = SameName(k, name); matched {
			found = k
			removed++
		}
		last = k
	}
	switch {
	case removed == 0:
	case removed == 1 && !h.ConnectionClose() && (matched || !repeated(h, last)):
		// Del moves the last field to the place of the one that goes.
		h.DelBytes(found)
	default:
		removeAll(h, name)
	}
}

// repeated reports whether the head has more than one field with a name.
func repeated(h *fasthttp.RequestHeader, name []byte) bool {
	n := 0
	for k := range h.All() {
		if bytes.Equal(k, name) {
			n++
		}
	}
	return n > 1
}

// removeAll writes the head anew without the fields that go.
func removeAll(h *fasthttp.RequestHeader, name string) {
	before := fasthttp.AcquireRequest()
	defer fasthttp.ReleaseRequest(before)
	from := &before.Header
	h.CopyTo(from)
	h.Reset()
	if from.DisableNormalizing() {
		h.DisableNormalizing()
	}
	h.SetNoDefaultContentType(true)
	h.SetMethodBytes(from.Method())
	h.SetRequestURIBytes(from.RequestURI())
	h.SetProtocolBytes(from.Protocol())
	for k, v := range from.All() {
		if !SameName(k, name) {
			h.AddBytesKV(k, v)
		}
	}
	if n := from.ContentLength(); n != 0 {
		h.SetContentLength(n)
	}
}
