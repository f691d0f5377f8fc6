package auth

import (
	"bytes"
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

// onlyCookie returns the value of the cookie of a name. More than one is none: a
// page of a neighbouring host may have added its own, and there is no telling
// which is ours.
func onlyCookie(ctx *fasthttp.RequestCtx, name string) []byte {
	var value []byte
	n := 0
	for key, v := range ctx.Request.Header.Cookies() {
		if string(key) == name {
			value = v
			n++
		}
	}
	if n != 1 {
		return nil
	}
	return value
}

// setCookie sets a cookie that scripts do not see and that does not travel
// without TLS; seconds below 0 delete it.
func setCookie(ctx *fasthttp.RequestCtx, name, value string, seconds int) {
	c := fasthttp.AcquireCookie()
	defer fasthttp.ReleaseCookie(c)
	c.SetKey(name)
	c.SetValue(value)
	c.SetPath("/")
	c.SetHTTPOnly(true)
	c.SetSecure(true)
	c.SetSameSite(fasthttp.CookieSameSiteLaxMode)
	if seconds < 0 {
		c.SetExpire(fasthttp.CookieExpireDelete)
	} else {
		c.SetMaxAge(seconds)
	}
	ctx.Response.Header.SetCookie(c)
}

// userField tells the backend who is asking.
const userField = "X-Auth-User"

// dropUser removes what a client says about who it is, under any name that a
// backend may take for userField (CGI makes _ of -).
func dropUser(h *fasthttp.RequestHeader) {
	for {
		var found []byte
		for key := range h.All() {
			if sameField(key, userField) {
				found = key
				break
			}
		}
		if found == nil {
			return
		}
		h.DelBytes(found)
	}
}

// sameField compares names of fields without regard to case and to - or _.
func sameField(key []byte, name string) bool {
	if len(key) != len(name) {
		return false
	}
	for i, c := range key {
		if c == '_' {
			c = '-'
		}
		if c|0x20 != name[i]|0x20 {
			return false
		}
	}
	return true
}

// pass hands an admitted request on as that of a user.
func pass(ctx *fasthttp.RequestCtx, user string, next fasthttp.RequestHandler) {
	ctx.Request.Header.Set(userField, user)
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
