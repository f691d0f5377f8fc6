package admin

import (
	"bytes"
	"net/netip"
	"strings"

	"github.com/valyala/fasthttp"

	"edgerouter/auth"
)

// Access says who may call a handler of an Admin.
type Access uint8

const (
	// AccessToken wants the admin token for every call, /healthz and /readyz
	// aside: for a listener on any other address than loopback and for the backend
	// edgerouter_admin. What an application's own authentication has let in may
	// read (auth.Authenticated).
	AccessToken Access = iota
	// AccessLoopback leaves reading open to all who reach the listener, which is
	// whoever is on this machine. Because a web page in a browser on this machine
	// is, too, once its name resolves to 127.0.0.1 (DNS rebinding), the Host of
	// such a call must be a loopback name or address.
	AccessLoopback
)

// guard lets a call pass to next or answers it. A call that may change state (any
// method but GET, HEAD and OPTIONS) always needs the token and, from a browser,
// an Origin that is the host which is called.
func guard(access Access, gate *auth.Gate, next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		h := &ctx.Request.Header
		reads := h.IsGet() || h.IsHead() || h.IsOptions()
		switch path := ctx.Request.URI().PathOriginal(); {
		case reads && (string(path) == "/healthz" || string(path) == "/readyz"):
		case !reads && !sameOrigin(ctx):
			fail(ctx, fasthttp.StatusForbidden, "a call that changes something must come from the page of the same host (Origin)")
			return
		case reads && auth.Authenticated(ctx):
		case reads && access == AccessLoopback && len(h.Peek(fasthttp.HeaderAuthorization)) == 0 && len(h.Peek(tokenField)) == 0 && !fromHere(ctx, path):
			fail(ctx, fasthttp.StatusForbidden, "a page of another origin may not read this; any other caller but this page needs the admin token")
			return
		case reads && access == AccessLoopback && loopbackHost(h.Host()) && fromHere(ctx, path):
		case reads && access == AccessLoopback && len(h.Peek(fasthttp.HeaderAuthorization)) == 0:
			fail(ctx, fasthttp.StatusForbidden, "this listener answers to localhost, 127.0.0.1 and [::1]; any other Host needs the admin token")
			return
		default:
			if !admit(ctx, gate) {
				return
			}
		}
		next(ctx)
	}
}

// fromHere reports whether a call that reads comes from the page of the same host
// or from a program that is no browser. A link on another page may lead to the
// page itself and to nothing else: a profile costs as much when nobody can read
// the answer.
func fromHere(ctx *fasthttp.RequestCtx, path []byte) bool {
	h := &ctx.Request.Header
	if len(h.Peek("Sec-Fetch-Site")) == 0 && len(h.Peek(fasthttp.HeaderOrigin)) == 0 {
		return sameReferer(ctx) || string(path) == "/"
	}
	return sameOrigin(ctx) || string(path) == "/" && string(h.Peek("Sec-Fetch-Mode")) == "navigate" && string(h.Peek("Sec-Fetch-Dest")) == "document"
}

// sameReferer is for browsers that say no more than a Referer.
func sameReferer(ctx *fasthttp.RequestCtx) bool {
	referer := ctx.Request.Header.Peek(fasthttp.HeaderReferer)
	if len(referer) == 0 {
		return true
	}
	_, rest, _ := bytes.Cut(referer, []byte("://"))
	host, _, _ := bytes.Cut(rest, []byte("/"))
	return bytes.EqualFold(host, ctx.Request.Header.Host())
}

// admit asks the gate. The page's own calls carry the token in a field of its
// own; their refusal is no challenge, for which a browser would ask the user.
func admit(ctx *fasthttp.RequestCtx, gate *auth.Gate) bool {
	token := ctx.Request.Header.Peek(tokenField)
	if len(token) > 0 {
		ctx.Request.Header.Set(fasthttp.HeaderAuthorization, "Bearer "+string(token))
		ctx.Request.Header.Del(tokenField)
	}
	ok := gate.Admit(ctx)
	if !ok && len(token) > 0 {
		ctx.Response.Header.Del(fasthttp.HeaderWWWAuthenticate)
	}
	return ok
}

// loopbackHost reports whether a Host field names this machine: localhost, a
// name under it (RFC 6761 section 6.3), or a loopback address; the port does not
// matter.
func loopbackHost(field []byte) bool {
	host := strings.ToLower(string(field))
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		addr, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		return err == nil && addr.IsLoopback()
	}
	host = strings.TrimSuffix(host, ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Is4() && addr.IsLoopback()
}

// sameOrigin reports whether a call that changes something comes from a page of
// the host it calls. Programs that are no browsers send no Origin and pass.
func sameOrigin(ctx *fasthttp.RequestCtx) bool {
	h := &ctx.Request.Header
	if site := h.Peek("Sec-Fetch-Site"); len(site) > 0 && string(site) != "same-origin" && string(site) != "none" {
		return false
	}
	origins := h.PeekAll(fasthttp.HeaderOrigin)
	if len(origins) == 0 {
		return true
	}
	host, ok := bytes.CutPrefix(origins[0], []byte("https://"))
	if !ok && !ctx.IsTLS() {
		host, ok = bytes.CutPrefix(origins[0], []byte("http://"))
	}
	return ok && len(origins) == 1 && len(host) > 0 && bytes.EqualFold(host, h.Host())
}
