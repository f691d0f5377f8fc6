package auth

import (
	"bytes"
	"net"
	"net/netip"
	"strings"

	"github.com/valyala/fasthttp"

	"edgerouter/wire"
)

// The paths below a host that the ways of signing in have for themselves.
const (
	pathReturn   = "/_auth/redirect"
	pathCallback = "/_auth/callback"
	pathLogout   = "/_auth/logout"
)

// safeNext says whether a browser that is sent to next stays on the host: a path
// that does not begin with // or /\ and that holds no byte which browsers drop
// or which ends a header line.
func safeNext(next string) bool {
	if !strings.HasPrefix(next, "/") || len(next) > 1 && (next[1] == '/' || next[1] == '\\') {
		return false
	}
	for i := 0; i < len(next); i++ {
		if next[i] <= ' ' || next[i] == 0x7f {
			return false
		}
	}
	return true
}

// outside is the target as the client sent it: with the prefix that the frontend
// has stripped.
func outside(ctx *fasthttp.RequestCtx) string {
	return prefixOf(ctx) + string(ctx.Request.Header.RequestURI())
}

// prefixOf is what the frontend has stripped from the path.
func prefixOf(ctx *fasthttp.RequestCtx) string {
	prefix := strings.TrimSuffix(string(ctx.Request.Header.Peek("X-Forwarded-Prefix")), "/")
	if prefix != "" && !safeNext(prefix) {
		return ""
	}
	return prefix
}

// wantsPage says whether the client is a browser that shows what it gets, rather
// than a program or a script of a page.
func wantsPage(ctx *fasthttp.RequestCtx) bool {
	return bytes.Contains(ctx.Request.Header.Peek(fasthttp.HeaderAccept), []byte("text/html"))
}

// bounce sends a browser elsewhere; nobody may keep that answer.
func bounce(ctx *fasthttp.RequestCtx, to string) {
	ctx.Response.Header.Set(fasthttp.HeaderCacheControl, "no-store")
	ctx.Response.Header.Set(fasthttp.HeaderLocation, to)
	ctx.Response.SetStatusCode(fasthttp.StatusFound)
}

// refuse answers with a status and a short text that nobody may keep.
func refuse(ctx *fasthttp.RequestCtx, status int, text string) {
	wire.Fail(ctx, status, text)
	ctx.Response.Header.Set(fasthttp.HeaderCacheControl, "no-store")
}

// overTLS sends a browser that came without TLS to the same place with it: the
// cookies of signing in would not come back otherwise. It reports whether it has.
// A host of this machine, where browsers keep such cookies, stays as it is.
func overTLS(ctx *fasthttp.RequestCtx) bool {
	host, _, err := net.SplitHostPort(string(ctx.Host()))
	if err != nil {
		host = string(ctx.Host())
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if secure(ctx) || host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && ip.IsLoopback() {
		return false
	}
	to := prefixOf(ctx) + "/"
	if ctx.IsGet() || ctx.IsHead() {
		to = outside(ctx)
	}
	bounce(ctx, "https://"+host+to)
	return true
}

// secure reports whether the client came with TLS, to us or to a trusted proxy.
func secure(ctx *fasthttp.RequestCtx) bool {
	if v := ctx.Request.Header.Peek("X-Forwarded-Proto"); len(v) > 0 {
		return wire.EqualFold(v, "https") || wire.EqualFold(v, "wss")
	}
	return ctx.IsTLS()
}

// origin is the scheme and host that the browser comes back to.
func origin(ctx *fasthttp.RequestCtx) string {
	scheme := "https://"
	if !secure(ctx) {
		scheme = "http://" // only this machine's, see overTLS
	}
	return scheme + string(ctx.Host()) + prefixOf(ctx)
}

// userField tells the backend who is asking.
const userField = "X-Auth-User"

// pass hands an admitted request on as that of a user.
func pass(ctx *fasthttp.RequestCtx, user string, next fasthttp.RequestHandler) {
	wire.SetOwned(ctx, userField, user)
	wire.KeyField(ctx, userField)
	wire.Authorize(ctx)
	// The context lives on with the connection, the mark must not.
	ctx.SetUserValue(admitted{}, true)
	defer ctx.RemoveUserValue(admitted{})
	next(ctx)
}

// unreachable answers when nobody can tell who the client is.
func unreachable(ctx *fasthttp.RequestCtx) {
	refuse(ctx, fasthttp.StatusServiceUnavailable, "signing in is not possible at the moment")
	ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, "5")
}
