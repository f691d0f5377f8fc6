package middleware

import (
	"fmt"
	"regexp"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/router"
)

// NewStripPrefix returns the wrapper of kind strip_prefix: the first of the
// prefixes that the path is under, by whole segments, is taken off, or else what
// the first of the regexps matches at the path's start. What was taken off is
// appended to X-Forwarded-Prefix, without a slash at its end. A path that nothing
// fits goes on as it is.
//
// Prefixes and regexps are compared with the normal form of the path; the bytes
// of the rest stay as they came, but for dot segments, which are resolved. The
// rest begins with one slash. A path that has no single meaning once its start
// is gone is answered with 400.
func NewStripPrefix(opts app.StripPrefixOpts, _ Deps) (Wrapper, error) {
	if len(opts.Prefixes)+len(opts.Regexps) == 0 {
		return nil, fmt.Errorf("strip_prefix_opts: neither prefixes nor regexps are given")
	}
	s := &stripper{}
	for i, p := range opts.Prefixes {
		prefix, err := router.CanonicalPrefix(p)
		if err != nil {
			return nil, fmt.Errorf("strip_prefix_opts.prefixes[%d]: %q: %w", i, p, err)
		}
		if prefix != "" {
			s.prefixes = append(s.prefixes, prefix)
		}
	}
	for i, expr := range opts.Regexps {
		// By itself first: "a)(b" must not become a regexp by what is put around it.
		if _, err := regexp.Compile(expr); err != nil {
			return nil, fmt.Errorf("strip_prefix_opts.regexps[%d]: %w", i, err)
		}
		s.regexps = append(s.regexps, regexp.MustCompile(`^(?:`+expr+`)`))
	}
	return func(next fasthttp.RequestHandler) fasthttp.RequestHandler {
		return func(ctx *fasthttp.RequestCtx) {
			if !hasPath(ctx) || s.strip(ctx) {
				next(ctx)
			}
		}
	}, nil
}

type stripper struct {
	prefixes []string // canonical
	regexps  []*regexp.Regexp
}

// strip tells false when the request has been answered.
func (s *stripper) strip(ctx *fasthttp.RequestCtx) bool {
	target := ctx.Request.Header.RequestURI()
	var buf [512]byte
	for _, prefix := range s.prefixes {
		if rest, ok := router.StripPrefix(buf[:0], target, prefix); ok {
			addForwardedPrefix(ctx, []byte(prefix))
			setTarget(ctx, rest)
			return true
		}
	}
	return len(s.regexps) == 0 || s.stripMatch(ctx, target)
}

// stripMatch is strip for the regexps, which make what they look at escape to the
// heap.
func (s *stripper) stripMatch(ctx *fasthttp.RequestCtx, target []byte) bool {
	raw, ok := resolved(nil, target)
	if !ok {
		return true
	}
	path, query := splitQuery(raw)
	normal, err := router.NormalizePath(nil, path)
	if err != nil {
		return true
	}
	for _, re := range s.regexps {
		at := re.FindIndex(normal)
		if at == nil || at[1] == 0 {
			continue
		}
		rest := path[rawLength(path, at[1]):]
		var buf [512]byte
		stripped := buf[:0]
		if len(rest) == 0 || rest[0] != '/' {
			stripped = append(stripped, '/')
		}
		stripped = append(append(stripped, rest...), query...)
		addForwardedPrefix(ctx, normal[:at[1]])
		return changeTarget(ctx, stripped)
	}
	return true
}
