package middleware

import (
	"fmt"
	"strings"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/router"
)

// NewAddPrefix returns the wrapper of kind add_prefix: the prefix stands before
// the path that next sees, with one slash between them. Dot segments of the path
// are resolved first, so that none climbs out of the prefix; the other bytes of
// the path and the query stay as they came. The "*" of OPTIONS is left alone.
func NewAddPrefix(opts app.AddPrefixOpts, _ Deps) (Wrapper, error) {
	prefix := strings.TrimRight(opts.Prefix, "/")
	if err := checkLiteralPath(opts.Prefix); err != nil {
		return nil, fmt.Errorf("add_prefix_opts.prefix: %w", err)
	}
	return func(next fasthttp.RequestHandler) fasthttp.RequestHandler {
		return func(ctx *fasthttp.RequestCtx) {
			if hasPath(ctx) {
				var buf [512]byte
				target := append(buf[:0], prefix...)
				var scratch [512]byte
				path, ok := resolved(scratch[:0], ctx.Request.Header.RequestURI())
				if !ok {
					path = slash // the server has refused such a path already
				}
				setTarget(ctx, append(target, path...))
			}
			next(ctx)
		}
	}, nil
}

// checkLiteralPath says what is wrong with a path in a definition.
func checkLiteralPath(path string) error {
	normal, err := router.NormalizePath(nil, []byte(path))
	switch {
	case !strings.HasPrefix(path, "/"):
		return fmt.Errorf("%q: a path begins with a slash", path)
	case strings.Contains(path, "?"):
		return fmt.Errorf("%q: a path has no question mark; write %%3F for one that is part of it", path)
	case err != nil:
		return fmt.Errorf("%q: %w", path, err)
	}
	if strings.Count(string(normal), "/") != strings.Count(path, "/") {
		return fmt.Errorf("%q: a path has no empty, \".\" or \"..\" segments; write %q", path, normal)
	}
	for i := 0; i < len(path); i++ {
		if c := path[i]; c <= ' ' || c >= 0x7f {
			return fmt.Errorf("%q: byte %d (%q) cannot stand in a path; write it percent-encoded", path, i+1, c)
		}
	}
	return nil
}
