package middleware

import (
	"bytes"
	"net/netip"

	"github.com/valyala/fasthttp"

	"edgerouter/wire"
)

const (
	forwardedFor    = "X-Forwarded-For"
	forwardedHost   = "X-Forwarded-Host"
	forwardedMethod = "X-Forwarded-Method"
	forwardedPrefix = "X-Forwarded-Prefix"
	forwardedProto  = "X-Forwarded-Proto"
	forwardedURI    = "X-Forwarded-Uri"
)

// clientIP is the client's address; a proxy that is trusted has been looked
// through. It is not valid where there is no connection.
func clientIP(ctx *fasthttp.RequestCtx) netip.Addr {
	a, _ := netip.AddrFromSlice(ctx.RemoteIP())
	return a.Unmap()
}

// secure tells whether the client speaks https, to us or to a trusted proxy.
func secure(ctx *fasthttp.RequestCtx) bool {
	if v := ctx.Request.Header.Peek(forwardedProto); len(v) > 0 {
		return wire.EqualFold(v, "https") || wire.EqualFold(v, "wss")
	}
	return ctx.IsTLS()
}

// asked is the host and the target that the client asked for, whatever handlers
// have made of them since.
func asked(ctx *fasthttp.RequestCtx) (host, target []byte) {
	if x := wire.From(ctx); x != nil {
		return x.Head.Host, x.Head.Target
	}
	return ctx.Request.Header.Host(), ctx.Request.Header.RequestURI()
}

// setTarget changes the request target. URI() is made anew when somebody asks
// for it, which would lose the scheme.
func setTarget(ctx *fasthttp.RequestCtx, target []byte) {
	ctx.Request.SetRequestURIBytes(target)
	if ctx.IsTLS() {
		ctx.Request.URI().SetScheme("https")
	}
}

// setRequestField sets a field that says something about the client in our name:
// no other spelling of it gets through.
func setRequestField(h *fasthttp.RequestHeader, name, value string) {
	dropSpellings(h, name)
	setField(h, name, value)
}

// dropRequestField takes all fields with a name away, and its other spellings.
func dropRequestField(h *fasthttp.RequestHeader, name string) {
	dropSpellings(h, name)
	dropField(h, name)
}

// dropSpellings takes fields away that are called name with underscores for
// hyphens: applications behind CGI-like interfaces cannot tell X_User from X-User.
func dropSpellings(h *fasthttp.RequestHeader, name string) {
	for _, k := range h.PeekKeys() {
		if bytes.IndexByte(k, '_') >= 0 && looksLike(k, name) {
			dropField(h, string(k))
			dropSpellings(h, name) // there may be more
			return
		}
	}
}

// looksLike compares two field names without case and with "_" and "-" the same.
func looksLike(a []byte, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if plainByte(a[i]) != plainByte(b[i]) {
			return false
		}
	}
	return true
}

func plainByte(c byte) byte {
	switch {
	case c == '_':
		return '-'
	case 'A' <= c && c <= 'Z':
		return c | 0x20
	}
	return c
}
