package middleware

import (
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
