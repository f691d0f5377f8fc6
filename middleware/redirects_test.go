package middleware

import (
	"testing"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
)

func TestRedirectScheme(t *testing.T) {
	https := app.RedirectSchemeOpts{Scheme: "https"}
	for _, c := range []struct {
		opts         app.RedirectSchemeOpts
		method       string
		target, host string
		proto        string
		code         int
		location     string
	}{
		{https, "GET", "/a%2Fb?c=d", "app.example", "http", 302, "https://app.example/a%2Fb?c=d"},
		{https, "HEAD", "/", "app.example:8080", "http", 302, "https://app.example/"},
		{https, "POST", "/", "app.example", "http", 307, "https://app.example/"},
		{https, "OPTIONS", "*", "app.example", "http", 307, "https://app.example"},
		{https, "GET", "/", "[::1]:80", "http", 302, "https://[::1]/"},
		{https, "GET", "/", "[::1]", "http", 302, "https://[::1]/"},
		{https, "GET", "/", "app.example", "https", 200, ""},
		{https, "GET", "/", "app.example", "wss", 200, ""},
		{https, "GET", "/", "", "http", 400, ""},
		{app.RedirectSchemeOpts{Scheme: "https", Port: 443}, "GET", "/", "app.example", "http", 302, "https://app.example/"},
		{app.RedirectSchemeOpts{Scheme: "https", Port: 8443}, "GET", "//x", "app.example:1", "http", 302, "https://app.example:8443//x"},
		{app.RedirectSchemeOpts{Scheme: "https", Permanent: true}, "GET", "/", "app.example", "http", 301, "https://app.example/"},
		{app.RedirectSchemeOpts{Scheme: "https", Permanent: true}, "PUT", "/", "app.example", "http", 308, "https://app.example/"},
		{app.RedirectSchemeOpts{Scheme: "http"}, "GET", "/", "app.example", "https", 302, "http://app.example/"},
		{app.RedirectSchemeOpts{Scheme: "http", Port: 80}, "GET", "/", "app.example:443", "https", 302, "http://app.example/"},
		{app.RedirectSchemeOpts{Scheme: "http"}, "GET", "/", "app.example", "http", 200, ""},
	} {
		s := &spy{}
		ctx := request(c.method, c.target)
		ctx.Request.Header.SetHost(c.host)
		ctx.Request.Header.Set("X-Forwarded-Proto", c.proto)
		must(t)(NewRedirectScheme(c.opts, Deps{}))(s.serve)(ctx)
		location := string(ctx.Response.Header.Peek("Location"))
		if code := ctx.Response.StatusCode(); code != c.code || location != c.location || (s.asked == 1) != (code == 200) {
			t.Errorf("%+v: %d to %q, backend asked %d times", c, code, location, s.asked)
		}
	}
	_, err := NewRedirectScheme(app.RedirectSchemeOpts{Scheme: "ftp"}, Deps{})
	refused(t, err, `redirect_scheme_opts.scheme: "ftp" is neither https nor http`)
	_, err = NewRedirectScheme(app.RedirectSchemeOpts{Scheme: "https", Port: 70000}, Deps{})
	refused(t, err, "redirect_scheme_opts.port: 70000")
}

func TestRedirectRegex(t *testing.T) {
	for _, c := range []struct {
		regexp, replacement string
		target, proto       string
		code                int
		location            string
	}{
		{"^http://app.example/(.*)", "https://www.example/$1", "/a?b=c", "http", 302, "https://www.example/a?b=c"},
		{"^https://app.example/(.*)", "https://www.example/$1", "/a", "http", 200, ""},
		{"^https?://[^/]+/old/(?P<rest>.*)$", "/new/${rest}", "/old/x", "https", 302, "/new/x"},
		{"old", "new", "/old/old", "http", 302, "http://app.example/new/new"},
		{"a", "a", "/a", "http", 200, ""},
		{"^.*$", "http://app.example/", "/", "http", 200, ""},
		{"^.*/(.*)$", "https://b.example/$1", "/x%0d%0aSet-Cookie:a", "http", 302, "https://b.example/x%0D%0ASet-Cookie:a"},
		{"^.*/(.*)$", "https://b.example/?u=$1#top", "/a\"<>", "http", 302, "https://b.example/?u=a%22%3C%3E#top"},
		{"^http://app.example(.*)", "$1", "//evil.example", "http", 302, "/evil.example"}, // two slashes are one, as for frontends
		{"^http://app.example/private(.*)", "/login", "/%70rivate/./x", "http", 302, "/login"},
		{"^http://app.example/(.*)", "$1", "/%2F/evil.example", "http", 500, ""},
		{"^http://app.example/(.*)", "$1", "///evil.example", "http", 500, ""},
		{"^.*$", "javascript:alert(1)", "/", "http", 500, ""},
		{"^.*$", "https://", "/", "http", 500, ""},
		{"^.*$", "", "/", "http", 500, ""},
		{"^.*$", "https://[::1", "/", "http", 500, ""},
	} {
		w := must(t)(NewRedirectRegex(app.RedirectRegexOpts{Regexp: c.regexp, Replacement: c.replacement}, Deps{}))
		s := &spy{}
		ctx := request("GET", c.target, "X-Ignored: x")
		ctx.Request.Header.Set("X-Forwarded-Proto", c.proto)
		w(s.serve)(ctx)
		location := string(ctx.Response.Header.Peek("Location"))
		if code := ctx.Response.StatusCode(); code != c.code || location != c.location || (s.asked == 1) != (code == 200) {
			t.Errorf("%+v: %d to %q, backend asked %d times", c, code, location, s.asked)
		}
	}
	w := must(t)(NewRedirectRegex(app.RedirectRegexOpts{Regexp: ".*", Replacement: "/x", Permanent: true}, Deps{}))
	ctx := request(fasthttp.MethodDelete, "/")
	w(nil)(ctx)
	if ctx.Response.StatusCode() != 308 {
		t.Errorf("status %d", ctx.Response.StatusCode())
	}
	_, err := NewRedirectRegex(app.RedirectRegexOpts{Replacement: "/"}, Deps{})
	refused(t, err, "redirect_regex_opts.regexp: is missing")
	_, err = NewRedirectRegex(app.RedirectRegexOpts{Regexp: "["}, Deps{})
	refused(t, err, "redirect_regex_opts.regexp: error parsing")
}
