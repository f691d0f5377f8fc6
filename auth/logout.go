package auth

import (
	"bytes"
	"html"
	"net/url"

	"github.com/valyala/fasthttp"
)

// mayLogOut reports whether a request to pathLogout ends the session. A page of
// another site must not sign people out by a link or an image: it gets a page that
// asks. Browsers say where a request comes from in Sec-Fetch-Site, older ones in
// Origin or Referer; who says nothing is no page.
func mayLogOut(ctx *fasthttp.RequestCtx) bool {
	h := &ctx.Request.Header
	switch string(h.Peek("Sec-Fetch-Site")) {
	case "same-origin", "none":
		return true
	case "":
	default:
		return false
	}
	from := h.Peek("Origin")
	if len(from) == 0 {
		from = h.Peek("Referer")
	}
	if len(from) == 0 {
		return true
	}
	u, err := url.Parse(string(from))
	return err == nil && u.Host != "" && bytes.EqualFold([]byte(u.Host), ctx.Host())
}

// askToLogOut answers with a page that has a button.
func askToLogOut(ctx *fasthttp.RequestCtx) {
	if !wantsPage(ctx) {
		refuse(ctx, fasthttp.StatusForbidden, "another site may not sign you out")
		return
	}
	h := &ctx.Response.Header
	ctx.Response.SetStatusCode(fasthttp.StatusOK)
	h.SetContentType("text/html; charset=utf-8")
	h.Set(fasthttp.HeaderCacheControl, "no-store")
	h.Set(fasthttp.HeaderContentSecurityPolicy, "default-src 'none'; frame-ancestors 'none'")
	h.Set(fasthttp.HeaderXFrameOptions, "DENY")
	ctx.SetBodyString(`<!doctype html><html lang="en"><title>Sign out</title><form method="post" action="` +
		html.EscapeString(prefixOf(ctx)+pathLogout) + `"><p>Sign out of this site? <button>Sign out</button></form></html>` + "\n")
}
