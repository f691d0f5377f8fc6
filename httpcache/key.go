package httpcache

import (
	"bytes"
	"strings"

	"github.com/valyala/fasthttp"

	"edgerouter/wire"
)

// A stored response is found by its target, and among those of one target by what
// the edge made of the request and by what Vary names.

// keyOf is the key of a target.
func keyOf(host, target string) string { return strings.ToLower(host) + "\x00" + target }

// edgeKey is what the edge, and not the client, put into a request: the scheme,
// what it says about how the request came, and the fields that middlewares set.
// Whoever the client is by address is not part of it.
func edgeKey(ctx *fasthttp.RequestCtx) string {
	h := &ctx.Request.Header
	var buf [256]byte
	b := buf[:0]
	if len(h.Peek("X-Forwarded-Proto")) == 0 {
		b = appendPair(b, "x-forwarded-proto", scheme(ctx))
	}
	for name, value := range h.All() {
		if wire.KindOf(name) != wire.Forwarding || aboutClient(name) ||
			wire.EqualFold(name, "x-forwarded-host") && wire.EqualNames(value, h.Host()) {
			continue
		}
		b = appendPair(b, name, value)
	}
	for _, name := range wire.KeyFields(ctx) {
		for _, value := range h.PeekAll(name) {
			b = appendPair(b, name, value)
		}
	}
	return string(b)
}

func scheme(ctx *fasthttp.RequestCtx) string {
	if ctx.IsTLS() {
		return "https"
	}
	return "http"
}

// appendPair writes a name in lower case and a value. Neither holds a control
// character, so they cannot be taken for others.
func appendPair[N, V []byte | string](dst []byte, name N, value V) []byte {
	dst = append(append(dst, bytes.ToLower([]byte(name))...), '\x00')
	return append(append(dst, value...), '\x00')
}

// aboutClient reports whether a forwarding field differs from client to client, or
// from request to request.
func aboutClient(name []byte) bool {
	return wire.EqualFold(name, "x-forwarded-for") || wire.EqualFold(name, "x-real-ip") || wire.EqualFold(name, "x-request-id")
}

// overriding are fields by which frameworks let a client ask for another target,
// host or method than those of the request line, which the key knows nothing of.
var overriding = [...]string{
	"x-original-url", "x-original-uri", "x-original-host", "x-rewrite-url", "x-override-url", "x-http-destinationurl",
	"x-host", "x-http-host-override", "x-http-method-override", "x-http-method", "x-method-override",
}

// overrides reports whether the client's request has one of overriding.
func overrides(fields []wire.Field) bool {
	for i := range fields {
		name := fields[i].Name
		if fields[i].Kind != wire.Ordinary || len(name) < len("x-host") || name[0]|0x20 != 'x' {
			continue
		}
		for _, o := range overriding {
			if spelt(name, o) {
				return true
			}
		}
	}
	return false
}

// spelt reports whether a is one of the ways to write b, which is in lower case:
// CGI and PHP take "_" and "." for "-".
func spelt(a []byte, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i, c := range a {
		switch {
		case c == '_' || c == '.':
			c = '-'
		case 'A' <= c && c <= 'Z':
			c |= 0x20
		}
		if c != b[i] {
			return false
		}
	}
	return true
}
