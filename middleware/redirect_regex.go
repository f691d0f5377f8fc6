package middleware

import (
	"bytes"
	"fmt"
	"net/url"
	"regexp"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/wire"
)

// NewRedirectRegex returns the wrapper of kind redirect_regex: a request whose
// whole URL (scheme, host with the port that the client gave, path in the form that
// frontends are matched on, query as it came) matches opts.Regexp is sent to that URL with the matches replaced by
// opts.Replacement, in which $1 and ${name} are groups. Codes are those of
// redirect_scheme. A URL that does not change is no redirect: next gets it.
//
// Bytes that cannot stand in a URL are percent-encoded. What is then no http or
// https URL and no path is answered with 500, and the log says what it was.
func NewRedirectRegex(opts app.RedirectRegexOpts, deps Deps) (Wrapper, error) {
	if opts.Regexp == "" {
		return nil, fmt.Errorf("redirect_regex_opts.regexp: is missing")
	}
	re, err := regexp.Compile(opts.Regexp)
	if err != nil {
		return nil, fmt.Errorf("redirect_regex_opts.regexp: %w", err)
	}
	with := []byte(opts.Replacement)
	return func(next fasthttp.RequestHandler) fasthttp.RequestHandler {
		return func(ctx *fasthttp.RequestCtx) {
			var buf [512]byte
			from := appendURL(buf[:0], ctx)
			if !re.Match(from) {
				next(ctx)
				return
			}
			result := re.ReplaceAll(from, with)
			if bytes.Equal(result, from) {
				next(ctx)
				return
			}
			var room [512]byte
			to := appendEscaped(room[:0], result, inURL)
			if !redirectable(to) {
				deps.Log.Warn().Str("app", deps.App).Bytes("url", from).Bytes("result", to).
					Msg("redirect_regex_opts.replacement makes neither an http or https URL nor a path")
				wire.Fail(ctx, fasthttp.StatusInternalServerError, "the redirect of this application leads nowhere")
				return
			}
			sendTo(ctx, to, opts.Permanent)
		}
	}, nil
}

// inURL may stand unescaped in a whole URL.
const inURL = inQuery + "#[]"

// appendURL appends the URL that the client asked for, as frontends see it.
func appendURL(dst []byte, ctx *fasthttp.RequestCtx) []byte {
	host, target := asked(ctx)
	scheme := "http://"
	if secure(ctx) {
		scheme = "https://"
	}
	return appendMatched(append(append(dst, scheme...), host...), target)
}

// redirectable tells whether a browser that is sent to a URL arrives somewhere.
func redirectable(to []byte) bool {
	u, err := url.Parse(string(to))
	switch {
	case err != nil:
		return false
	case u.Scheme == "http" || u.Scheme == "https":
		return u.Host != ""
	}
	// Two slashes would be read as the beginning of a host.
	return u.Scheme == "" && u.Host == "" && bytes.HasPrefix(to, slash) && !bytes.HasPrefix(to, []byte("//"))
}
