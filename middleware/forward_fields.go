package middleware

import (
	"bytes"
	"fmt"
	"net/textproto"
	"regexp"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/wire"
)

// taken are the fields that a request gets from the answer that let it in, and
// from nobody else.
type taken struct {
	names   []string
	pattern *regexp.Regexp // of further names; nil: none
}

func newTaken(field string, opts app.AuthForwardOpts) (t taken, err error) {
	for i, name := range opts.AuthResponseHeaders {
		if err := checkFieldName(name); err != nil {
			return t, fmt.Errorf("%s.auth_response_headers[%d]: %w", field, i, err)
		}
		t.names = append(t.names, name)
	}
	if opts.AuthResponseHeadersRegex == "" {
		return t, nil
	}
	// By itself first: "a)(b" must not become a regexp by what is put around it.
	if _, err := regexp.Compile(opts.AuthResponseHeadersRegex); err != nil {
		return t, fmt.Errorf("%s.auth_response_headers_regex: %w", field, err)
	}
	t.pattern = regexp.MustCompile("(?i:" + opts.AuthResponseHeadersRegex + ")")
	return t, nil
}

// takeOver puts the fields of an answer into a request.
func (t *taken) takeOver(ctx *fasthttp.RequestCtx, from *fasthttp.ResponseHeader) {
	h := &ctx.Request.Header
	for _, name := range t.names {
		wire.Own(ctx, name)
		wire.KeyField(ctx, name)
		for _, value := range from.PeekAll(name) {
			h.AddBytesV(name, value)
		}
	}
	if t.pattern == nil {
		return
	}
	// What the client says by such a name goes, in any spelling of it.
	var gone []string
	for name := range h.All() {
		if t.matches(name) && !slices.Contains(gone, string(name)) {
			gone = append(gone, string(name))
		}
	}
	for _, name := range gone {
		if !t.named(name) {
			wire.Own(ctx, name)
			wire.KeyField(ctx, textproto.CanonicalMIMEHeaderKey(spelling(name)))
		}
	}
	for name, value := range from.All() {
		if t.matches(name) && !t.named(string(name)) {
			wire.KeyField(ctx, string(name))
			h.AddBytesKV(name, value)
		}
	}
}

// matches reports whether the pattern has a field taken from the answer. Fields
// that frame a message, name its host, or that the edge itself writes are never.
func (t *taken) matches(name []byte) bool {
	switch wire.KindOf(name) {
	case wire.Ordinary:
		if len(name) > len("content-") && wire.EqualFold(name[:len("content-")], "content-") || wire.EqualFold(name, "set-cookie") {
			return false
		}
	case wire.Forwarding:
		for _, own := range edgeFields {
			if wire.SameName(name, own) {
				return false
			}
		}
	default:
		return false
	}
	return t.pattern.Match(name) || t.pattern.MatchString(spelling(string(name)))
}

// named reports whether a field is one of names, and so has been dealt with.
func (t *taken) named(name string) bool {
	return slices.ContainsFunc(t.names, func(n string) bool { return wire.SameName(name, n) })
}

// edgeFields are those that this proxy writes into each request.
var edgeFields = []string{
	forwardedFor, forwardedHost, forwardedPrefix, forwardedProto, "X-Forwarded-Port", "X-Forwarded-Server", "X-Real-Ip", "X-Request-Id",
}

// spelling is a name with hyphens for the bytes that are the same to applications
// (wire.SameName).
func spelling(name string) string {
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return c
		}
		return '-'
	}, name)
}

// cookiesOf are the Set-Cookie lines of an answer that go to the client, those of
// certain cookies or, without names, all.
func cookiesOf(from *fasthttp.ResponseHeader, names []string) (lines [][]byte) {
	for name, value := range from.All() {
		if !wire.EqualFold(name, "set-cookie") {
			continue
		}
		cookie, _, _ := bytes.Cut(value, []byte("="))
		if len(names) == 0 || slices.Contains(names, string(bytes.TrimSpace(cookie))) {
			lines = append(lines, bytes.Clone(value))
		}
	}
	return lines
}

// addCookies adds lines to the answer that is in ctx.
func addCookies(ctx *fasthttp.RequestCtx, lines [][]byte) {
	if len(lines) == 0 || answered(ctx) {
		return
	}
	for _, line := range lines {
		ctx.Response.Header.AddBytesV(fasthttp.HeaderSetCookie, line)
	}
}
