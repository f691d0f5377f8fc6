package middleware

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
)

const (
	pathPlaceholder  = "{path}"
	queryPlaceholder = "{query}"
)

// NewRedirect returns the backend of kind redirect: every request is answered
// with a Location made from opts.To, in which {path} and {query} stand for those
// of the request. The path is the one that remains after strip_path_prefix.
//
// Whatever a client sends cannot change which host it is sent to: bytes that do
// not belong into a path or a query are percent-encoded (so a line end cannot
// split the field and a backslash is not taken for a slash), {path} always
// begins with one slash after a host, and the result of a path redirect never
// begins with two, which browsers would read as a host (RFC 3986 section 4.2).
//
// The error names the field: a target that is neither a path nor an http or https
// URL, a placeholder within the host, {query} before the question mark, or a code
// that is no redirect.
func NewRedirect(opts app.RedirectOpts) (fasthttp.RequestHandler, error) {
	code := opts.Code
	switch code {
	case 0:
		code = fasthttp.StatusFound
	case fasthttp.StatusMovedPermanently, fasthttp.StatusFound, fasthttp.StatusSeeOther,
		fasthttp.StatusTemporaryRedirect, fasthttp.StatusPermanentRedirect:
	default:
		return nil, fmt.Errorf("redirect_opts.code: %d is no redirect; use 301, 302, 303, 307 or 308", code)
	}
	to, err := parseTarget(opts.To)
	if err != nil {
		return nil, fmt.Errorf("redirect_opts.to: %w", err)
	}
	return func(ctx *fasthttp.RequestCtx) {
		path, query := splitTarget(ctx.Request.Header.RequestURI())
		var buf [512]byte
		ctx.Response.Header.SetBytesV(fasthttp.HeaderLocation, to.location(buf[:0], path, query))
		ctx.SetStatusCode(code)
		ctx.SetContentType("text/plain; charset=utf-8")
		ctx.SetBodyString(fasthttp.StatusMessage(code) + "\n")
	}, nil
}

// splitTarget returns the path and the query of a request target, which is in
// origin-form, absolute-form or asterisk-form (RFC 9112 section 3.2).
func splitTarget(target []byte) (path, query []byte) {
	target, _, _ = bytes.Cut(target, []byte("#"))
	path, query, _ = bytes.Cut(target, []byte("?"))
	if len(path) > 0 && path[0] != '/' {
		if _, rest, ok := bytes.Cut(path, []byte("://")); ok {
			if i := bytes.IndexByte(rest, '/'); i >= 0 {
				return rest[i:], query
			}
		}
		return []byte("/"), query
	}
	return path, query
}

// target is a parsed redirect target.
type target struct {
	parts    []part
	pathOnly bool // it has no host
}

// part is a literal text or, when fill is not 0, a placeholder.
type part struct {
	literal string
	fill    fill
}

type fill uint8

const (
	fillPath        fill = iota + 1
	fillPathInQuery      // {path} as the value of a parameter
	fillQuery
)

func parseTarget(to string) (target, error) {
	for i := 0; i < len(to); i++ {
		if c := to[i]; c <= ' ' || c >= 0x7f || c == '\\' || c == '"' || c == '<' || c == '>' {
			return target{}, fmt.Errorf("%q: byte %d (%q) cannot stand in a URL; write it percent-encoded", to, i+1, c)
		}
	}
	t := target{pathOnly: strings.HasPrefix(to, "/") || strings.HasPrefix(to, pathPlaceholder)}
	rest := to
	switch {
	case strings.HasPrefix(to, "//"):
		return target{}, fmt.Errorf("%q: a path must not begin with two slashes; to reach a host put https: before it", to)
	case t.pathOnly:
	default:
		scheme, after, ok := strings.Cut(to, "://")
		if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
			return target{}, fmt.Errorf("%q: want a path that begins with /, or a URL that begins with https:// or http://", to)
		}
		host := after
		if i := strings.IndexAny(after, "/?#"); i >= 0 {
			host = after[:i]
		}
		// A path cannot extend the host, because it begins with a slash.
		host, _, _ = strings.Cut(host, pathPlaceholder)
		if host == "" || strings.ContainsAny(host, "{}@") {
			return target{}, fmt.Errorf("%q: the host must be given, without placeholders and user names", to)
		}
		head := len(scheme) + len("://") + len(host)
		t.parts = append(t.parts, part{literal: to[:head]})
		rest = to[head:]
	}
	inQuery := false
	for rest != "" {
		i := strings.IndexByte(rest, '{')
		if i < 0 {
			i = len(rest)
		}
		if i > 0 {
			inQuery = inQuery || strings.Contains(rest[:i], "?")
			t.parts = append(t.parts, part{literal: rest[:i]})
			rest = rest[i:]
			continue
		}
		switch {
		case strings.HasPrefix(rest, pathPlaceholder):
			f := fillPath
			if inQuery {
				f = fillPathInQuery
			}
			t.parts = append(t.parts, part{fill: f})
			rest = rest[len(pathPlaceholder):]
		case strings.HasPrefix(rest, queryPlaceholder):
			if !inQuery {
				return target{}, fmt.Errorf("%q: %s must stand after a question mark, as in {path}?{query}", to, queryPlaceholder)
			}
			t.parts = append(t.parts, part{fill: fillQuery})
			rest = rest[len(queryPlaceholder):]
		default:
			return target{}, fmt.Errorf("%q: only %s and %s are filled in; write another brace as %%7B", to, pathPlaceholder, queryPlaceholder)
		}
	}
	return t, nil
}

// location appends the Location for a request to dst.
func (t *target) location(dst, path, query []byte) []byte {
	for i, p := range t.parts {
		switch p.fill {
		case fillPath:
			// After a literal that ends in a slash, one of the two is dropped,
			// so that "https://host/new/{path}" gives the URL that was meant.
			if len(dst) > 0 && dst[len(dst)-1] == '/' {
				path = bytes.TrimPrefix(path, []byte("/"))
			} else if len(path) == 0 || path[0] != '/' {
				dst = append(dst, '/')
			}
			dst = appendEscaped(dst, path, inPath)
		case fillPathInQuery:
			dst = appendEscaped(dst, path, inParameter)
		case fillQuery:
			if len(query) == 0 && i == len(t.parts)-1 && len(dst) > 0 && dst[len(dst)-1] == '?' {
				dst = dst[:len(dst)-1]
				continue
			}
			dst = appendEscaped(dst, query, inQuery)
		default:
			dst = append(dst, p.literal...)
		}
	}
	if t.pathOnly {
		slashes := 0
		for slashes < len(dst) && dst[slashes] == '/' {
			slashes++
		}
		if slashes > 1 {
			dst = dst[slashes-1:]
		}
	}
	return dst
}

// What may stand unescaped besides letters, digits and -._~ (RFC 3986 section
// 3.3 and 3.4). A percent sign stays when it begins an escape.
const (
	inPath      = "/!$&'()*+,;=:@"
	inQuery     = inPath + "?"
	inParameter = "/:@"
)

func appendEscaped(dst, src []byte, allowed string) []byte {
	const hex = "0123456789ABCDEF"
	for i, c := range src {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '-', c == '.', c == '_', c == '~',
			strings.IndexByte(allowed, c) >= 0,
			c == '%' && i+2 < len(src) && isHex(src[i+1]) && isHex(src[i+2]):
			dst = append(dst, c)
		default:
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return dst
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}
