package middleware

import (
	"bytes"
	"fmt"
	"net/url"
	"slices"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/router"
	"edgerouter/wire"
)

// NewForwardAuth returns the wrapper of kind forward_auth (auth_forward without a
// backend of its own): another server is asked about each request. It gets a GET
// with the request's fields, and
//
//   - X-Forwarded-Method, -Proto, -Host: how the client asked;
//   - X-Forwarded-Uri: the target that next would get, but with the prefix that
//     the frontend strips;
//   - X-Forwarded-For: the client's address, after those that a trusted proxy told.
//
// With opts.TrustForwardHeader, X-Forwarded-Method and -Uri of a trusted proxy
// before this one stay as it wrote them. What anybody else says in fields of that
// kind never gets there, nor in those by which other proxies say the same
// (X-Original-Url, X-Original-Method and the like).
//
// An answer of 2xx lets the request through: the fields of AuthResponseHeaders and
// those that AuthResponseHeadersRegex matches are taken from it, and those that
// the client sent are gone in any case. Its cookies (AddAuthCookiesToResponse of
// them, if it names some) are set with the response; that of an upgrade has gone
// by then. Any other answer is the client's: status, fields and body. When there
// is none the client gets 502, or 504 after 30 s; the request never goes on then.
//
// opts.MaxBody above 0 sends the request's body along, which is kept in memory for
// that; a larger one gets 413. Connections are kept for a minute.
func NewForwardAuth(opts app.AuthForwardOpts, deps Deps) (Wrapper, error) {
	const field = "forward_auth_opts"
	u, err := url.Parse(opts.Address)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s.address: %w", field, err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, fmt.Errorf("%s.address: %q is not an http or https URL", field, opts.Address)
	case u.User != nil:
		return nil, fmt.Errorf("%s.address: has a user name in it", field)
	case opts.MaxBody < 0:
		return nil, fmt.Errorf("%s.max_body: %d is below 0", field, opts.MaxBody)
	}
	f := &forwardAuth{
		maxBody: int64(opts.MaxBody), trust: opts.TrustForwardHeader, cookies: opts.AddAuthCookiesToResponse,
		log: deps.Log.With().Str("app", deps.App).Str("address", opts.Address).Logger(),
	}
	if f.taken, err = newTaken(field, opts); err != nil {
		return nil, err
	}
	for i, name := range f.cookies {
		if !isToken(name) {
			return nil, fmt.Errorf("%s.add_auth_cookies_to_response[%d]: %q is not the name of a cookie", field, i, name)
		}
	}
	if f.client, err = newAuthClient(u, opts.TLSConfig, opts.RefuseLocal); err != nil {
		return nil, fmt.Errorf("%s.%w", field, err)
	}
	return func(next fasthttp.RequestHandler) fasthttp.RequestHandler {
		return func(ctx *fasthttp.RequestCtx) {
			if cookies, ok := f.admit(ctx); ok {
				next(ctx)
				addCookies(ctx, cookies)
			}
		}
	}, nil
}

type forwardAuth struct {
	client  *authClient
	taken   taken
	cookies []string // whose Set-Cookie of an answer goes to the client; none: all
	maxBody int64
	trust   bool
	log     zerolog.Logger
}

// admit reports whether the request may pass, with the cookies that are to be set,
// or has answered it.
func (f *forwardAuth) admit(ctx *fasthttp.RequestCtx) (cookies [][]byte, ok bool) {
	if f.maxBody > 0 {
		fits, ok := takeBody(ctx, f.maxBody)
		if !ok {
			return nil, false
		}
		if !fits {
			wire.Fail(ctx, fasthttp.StatusRequestEntityTooLarge, bodyTooLarge)
			return nil, false
		}
	}
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	uri := f.ask(ctx, req)
	if !f.agrees(ctx, req, resp) {
		return nil, false
	}
	if uri != nil && !f.agreesOtherwise(ctx, req, uri) {
		return nil, false
	}
	f.taken.takeOver(ctx, &resp.Header)
	wire.Authorize(ctx)
	return cookiesOf(&resp.Header, f.cookies), true
}

// agrees reports whether the authentication server lets the request pass, or has
// answered it.
func (f *forwardAuth) agrees(ctx *fasthttp.RequestCtx, req *fasthttp.Request, resp *fasthttp.Response) bool {
	if err := f.client.do(req, resp); err != nil {
		f.log.Warn().Err(err).Bytes("request_id", ctx.Request.Header.Peek("X-Request-Id")).
			Msg("asking forward_auth_opts.address failed; the request is refused")
		if err == fasthttp.ErrTimeout {
			wire.Fail(ctx, fasthttp.StatusGatewayTimeout, "the authentication server did not answer in time")
		} else {
			wire.Fail(ctx, fasthttp.StatusBadGateway, "the authentication server could not be asked")
		}
		return false
	}
	if status := resp.StatusCode(); status < 200 || status > 299 {
		passOn(ctx, resp)
		return false
	}
	return true
}

// agreesOtherwise is agrees for what the target is to servers that read its path in
// other ways: /admin;x is /admin for many, and a policy about /admin has to see it.
// Few requests have such paths.
func (f *forwardAuth) agreesOtherwise(ctx *fasthttp.RequestCtx, req *fasthttp.Request, target []byte) bool {
	path, query := splitQuery(target)
	others, ok := router.OtherReadings(path)
	if !ok {
		wire.Fail(ctx, fasthttp.StatusBadRequest, "the path leads above its root")
		return false
	}
	asked := [][]byte{appendMatched(nil, target)}
	for _, other := range others {
		about := append(appendEscaped(nil, other, inPath), query...)
		if slices.ContainsFunc(asked, func(a []byte) bool { return bytes.Equal(a, about) }) {
			continue
		}
		asked = append(asked, about)
		resp := fasthttp.AcquireResponse()
		req.Header.SetBytesV(forwardedURI, about)
		agreed := f.agrees(ctx, req, resp)
		fasthttp.ReleaseResponse(resp)
		if !agreed {
			return false
		}
	}
	return true
}

// ask fills in the question. It returns the target that the question is about, or
// nil when a trusted proxy says what it is about.
func (f *forwardAuth) ask(ctx *fasthttp.RequestCtx, req *fasthttp.Request) []byte {
	from, to := &ctx.Request.Header, &req.Header
	to.SetMethod(fasthttp.MethodGet)
	f.client.address(req)
	for k, v := range from.All() {
		switch wire.KindOf(k) {
		case wire.Ordinary:
			if !misleads(k) {
				to.AddBytesKV(k, v)
			}
		case wire.Cookie, wire.ContentType, wire.Forwarding, wire.Date, wire.Server:
			to.AddBytesKV(k, v)
		}
	}
	x := wire.From(ctx)
	target := from.RequestURI()
	if x != nil && bytes.Equal(target, x.Target) {
		target = x.Head.Target
	}
	if !f.trust || len(to.Peek(forwardedMethod)) == 0 {
		to.SetBytesV(forwardedMethod, from.Method())
	}
	var about []byte
	if !f.trust || len(to.Peek(forwardedURI)) == 0 {
		about = target
		to.SetBytesV(forwardedURI, appendMatched(nil, target))
	}
	if len(to.Peek(forwardedHost)) == 0 {
		host, _ := asked(ctx)
		to.SetBytesV(forwardedHost, host)
	}
	if len(to.Peek(forwardedProto)) == 0 {
		to.Set(forwardedProto, "http")
		if secure(ctx) {
			to.Set(forwardedProto, "https")
		}
	}
	if len(to.Peek(forwardedFor)) == 0 {
		if ip := clientIP(ctx); ip.IsValid() {
			to.Set(forwardedFor, ip.String())
		}
	}
	if f.maxBody > 0 {
		req.SetBody(ctx.Request.Body())
	}
	return about
}

// misleading are fields of a client's by which an authentication server would judge
// another request than the one at hand: some read them before X-Forwarded-Uri and
// -Method.
var misleading = [...]string{"X-Original-Url", "X-Original-Uri", "X-Original-Method", "X-Original-Host", "X-Rewrite-Url", "X-Http-Method-Override", "X-Auth-Request-Redirect"}

func misleads(name []byte) bool {
	if len(name) < len("X-Rewrite-Url") || name[0]|0x20 != 'x' {
		return false
	}
	for _, m := range misleading {
		if wire.SameName(name, m) {
			return true
		}
	}
	return false
}

// passOn makes the authentication server's answer the client's. A Location goes
// as it is: where it is relative, it is so to the URL that the client asked for.
func passOn(ctx *fasthttp.RequestCtx, from *fasthttp.Response) {
	to := &ctx.Response
	to.Reset()
	to.Header.SetNoDefaultContentType(true)
	to.SetStatusCode(from.StatusCode())
	for k, v := range from.Header.All() {
		switch wire.KindOf(k) {
		case wire.Ordinary, wire.ContentType, wire.Server, wire.Forwarding:
			to.Header.AddBytesKV(k, v)
		}
	}
	to.SetBody(from.Body())
}
