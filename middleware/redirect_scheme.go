package middleware

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/wire"
)

// NewRedirectScheme returns the wrapper of kind redirect_scheme: requests of
// another scheme than opts.Scheme are sent to it, at the same host and target
// that the client asked for, with opts.Port, or
// the port of https that clients know, or the scheme's own. GET and HEAD get
// 302 (301 when permanent), other methods 307 (308), so that they stay what they
// are. The scheme is that of X-Forwarded-Proto, which the server makes: what the
// client spoke to us or to a trusted proxy.
func NewRedirectScheme(opts app.RedirectSchemeOpts, d Deps) (Wrapper, error) {
	standard := 80
	switch opts.Scheme {
	case "http":
	case "https":
		standard = 443
	default:
		return nil, fmt.Errorf("redirect_scheme_opts.scheme: %q is neither https nor http", opts.Scheme)
	}
	if opts.Port < 0 || opts.Port > 65535 {
		return nil, fmt.Errorf("redirect_scheme_opts.port: %d is not between 1 and 65535", opts.Port)
	}
	port := ""
	to := opts.Port
	if to == 0 && opts.Scheme == "https" {
		to = d.HTTPSPort
	}
	if to != 0 && to != standard {
		port = ":" + strconv.Itoa(to)
	}
	return func(next fasthttp.RequestHandler) fasthttp.RequestHandler {
		return func(ctx *fasthttp.RequestCtx) {
			if secure(ctx) == (opts.Scheme == "https") {
				next(ctx)
				return
			}
			host, target := asked(ctx)
			if len(host) == 0 {
				wire.Fail(ctx, fasthttp.StatusBadRequest, "a request without a Host cannot be redirected to "+opts.Scheme)
				return
			}
			var buf [512]byte
			to := append(append(buf[:0], opts.Scheme...), "://"...)
			to = append(append(to, withoutPort(host)...), port...)
			if len(target) > 0 && target[0] == '/' {
				to = appendEscaped(to, target, inQuery)
			}
			sendTo(ctx, to, opts.Permanent)
		}
	}, nil
}

// sendTo answers with a redirect that keeps the method.
func sendTo(ctx *fasthttp.RequestCtx, location []byte, permanent bool) {
	code := fasthttp.StatusTemporaryRedirect
	if permanent {
		code = fasthttp.StatusPermanentRedirect
	}
	if ctx.IsGet() || ctx.IsHead() {
		code = fasthttp.StatusFound
		if permanent {
			code = fasthttp.StatusMovedPermanently
		}
	}
	ctx.Response.Reset()
	ctx.Response.Header.SetBytesV(fasthttp.HeaderLocation, location)
	ctx.SetStatusCode(code)
	ctx.SetContentType("text/plain; charset=utf-8")
	ctx.SetBodyString(fasthttp.StatusMessage(code) + "\n")
}

// withoutPort takes the port off a Host.
func withoutPort(host []byte) []byte {
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && bytes.IndexByte(host[i:], ']') < 0 {
		return host[:i]
	}
	return host
}
