package middleware

import (
	"fmt"
	"regexp"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/router"
	"edgerouter/wire"
)

// replacedPath is where Traefik tells the path that there was before.
const replacedPath = "X-Replaced-Path"

// NewReplacePath returns the wrapper of kind replace_path: the path is replaced
// by opts.Path, or what opts.Regexp matches in it by opts.Replacement, in which
// $1 and ${name} are groups. The query stays. The path that there was before goes
// to the backend in X-Replaced-Path.
//
// The regexp is compared with the normal form of the path, which is also what
// its groups hold. Bytes that cannot stand in a path are percent-encoded in the
// result, so that none begins a query; a result with dot segments is resolved,
// and answered with 400 where that can be done in more than one way.
func NewReplacePath(opts app.ReplacePathOpts, _ Deps) (Wrapper, error) {
	switch {
	case opts.Path == "" && opts.Regexp == "":
		return nil, fmt.Errorf("replace_path_opts: neither path nor regexp is given")
	case opts.Path != "" && opts.Regexp != "":
		return nil, fmt.Errorf("replace_path_opts.regexp: given beside path, which replaces everything")
	case opts.Path != "":
		return newReplaceAll(opts.Path)
	}
	re, err := regexp.Compile(opts.Regexp)
	if err != nil {
		return nil, fmt.Errorf("replace_path_opts.regexp: %w", err)
	}
	with := []byte(opts.Replacement)
	return func(next fasthttp.RequestHandler) fasthttp.RequestHandler {
		return func(ctx *fasthttp.RequestCtx) {
			if !hasPath(ctx) || replaceMatch(ctx, re, with) {
				next(ctx)
			}
		}
	}, nil
}

func newReplaceAll(path string) (Wrapper, error) {
	if err := checkLiteralPath(path); err != nil {
		return nil, fmt.Errorf("replace_path_opts.path: %w", err)
	}
	return func(next fasthttp.RequestHandler) fasthttp.RequestHandler {
		return func(ctx *fasthttp.RequestCtx) {
			if hasPath(ctx) {
				before, query := splitQuery(ctx.Request.Header.RequestURI())
				tellReplaced(ctx, before)
				var buf [512]byte
				setTarget(ctx, append(append(buf[:0], path...), query...))
			}
			next(ctx)
		}
	}, nil
}

// replaceMatch tells false when the request has been answered.
func replaceMatch(ctx *fasthttp.RequestCtx, re *regexp.Regexp, with []byte) bool {
	before, query := splitQuery(ctx.Request.Header.RequestURI())
	var buf, scratch [512]byte
	normal, err := router.NormalizePath(scratch[:0], before)
	if err != nil || !re.Match(normal) {
		return true
	}
	path := re.ReplaceAll(normal, with)
	target := buf[:0]
	if len(path) == 0 || path[0] != '/' {
		target = append(target, '/')
	}
	target = appendEscaped(target, path, inPath)
	target = append(target, query...)
	tellReplaced(ctx, before)
	return changeTarget(ctx, target)
}

func tellReplaced(ctx *fasthttp.RequestCtx, path []byte) {
	wire.Own(ctx, replacedPath)
	ctx.Request.Header.SetBytesV(replacedPath, path)
	wire.KeyField(ctx, replacedPath)
}
