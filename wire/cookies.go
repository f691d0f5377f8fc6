package wire

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// DropCookies takes the cookies away from a request whose names drop wants gone.
// All others stay byte for byte and in their order, as the client sent them:
// fasthttp, left to itself, would write quotes, empty names and white space its
// own way.
func DropCookies(ctx *fasthttp.RequestCtx, drop func(name []byte) bool) {
	h := &ctx.Request.Header
	x := From(ctx)
	if x == nil || !KeptCookies(h, x.Head.Fields) {
		// A handler has made them what they are; there are no others to keep.
		var gone [][]byte
		for name := range h.Cookies() {
			if drop(name) {
				gone = append(gone, bytes.Clone(name))
			}
		}
		for _, name := range gone {
			h.DelCookieBytes(name)
		}
		return
	}
	changed := false
	for i := range x.Head.Fields {
		f := &x.Head.Fields[i]
		if f.Kind != Cookie {
			continue
		}
		if rest, found := withoutCookies(f.Value, drop); found {
			f.Value, changed = rest, true
			if len(rest) == 0 {
				f.Kind = Hop // it is not passed on
			}
		}
	}
	if !changed {
		return
	}
	h.DelAllCookies()
	for i := range x.Head.Fields {
		if f := &x.Head.Fields[i]; f.Kind == Cookie {
			h.AddBytesKV(f.Name, f.Value)
		}
	}
}

// withoutCookies is a Cookie field (RFC 6265 section 4.2) without some cookies, in
// memory of its own, and whether there were such.
func withoutCookies(list []byte, drop func(name []byte) bool) (rest []byte, found bool) {
	for at := list; len(at) > 0; {
		pair, more, _ := bytes.Cut(at, []byte(";"))
		name, _, _ := bytes.Cut(pair, []byte("="))
		found = found || drop(bytes.TrimSpace(name))
		at = more
	}
	if !found {
		return list, false
	}
	rest = make([]byte, 0, len(list))
	for first, at := true, list; len(at) > 0; {
		end := bytes.IndexByte(at, ';')
		pair := at
		if end >= 0 {
			pair, at = at[:end], at[end+1:]
		} else {
			at = nil
		}
		name, _, _ := bytes.Cut(pair, []byte("="))
		if drop(bytes.TrimSpace(name)) {
			continue
		}
		if first {
			pair = bytes.TrimLeft(pair, " \t")
		} else {
			rest = append(rest, ';')
		}
		rest, first = append(rest, pair...), false
	}
	return rest, true
}
