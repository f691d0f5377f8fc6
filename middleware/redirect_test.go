package middleware

import (
	"net/url"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
)

func redirected(handler fasthttp.RequestHandler, target string) (code int, location string) {
	var ctx fasthttp.RequestCtx
	ctx.Request.Header.SetRequestURI(target)
	ctx.Request.Header.SetHost("from.example")
	handler(&ctx)
	return ctx.Response.StatusCode(), string(ctx.Response.Header.Peek("Location"))
}

func TestRedirect(t *testing.T) {
	for _, c := range []struct{ to, target, want string }{
		{"https://to.example/", "/a?b", "https://to.example/"},
		{"https://to.example{path}", "/a/b?c=d", "https://to.example/a/b"},
		{"https://to.example{path}?{query}", "/a/b?c=d&e=%20f", "https://to.example/a/b?c=d&e=%20f"},
		{"https://to.example{path}?{query}", "/a", "https://to.example/a"},
		{"https://to.example{path}?{query}", "/a?", "https://to.example/a"},
		{"https://to.example{path}?x=1&{query}", "/a", "https://to.example/a?x=1&"},
		{"https://to.example/new/{path}", "/a", "https://to.example/new/a"},
		{"https://to.example/new{path}", "/a", "https://to.example/new/a"},
		{"https://to.example:8443{path}#top", "/a", "https://to.example:8443/a#top"},
		{"https://to.example/in?next={path}", "/a&admin=1?q", "https://to.example/in?next=/a%26admin%3D1"},
		{"/new", "/old", "/new"},
		{"/new{path}", "/a b", "/new/a%20b"},
		{"/{path}", "/a", "/a"},
		{"{path}", "/a", "/a"},
		{"/new?{query}", "/a?b=c?d", "/new?b=c?d"},

		// A client never chooses the host.
		{"{path}", "//evil.example/x", "/evil.example/x"},
		{"/{path}", "//evil.example/x", "/evil.example/x"},
		{"/{path}", "/evil.example/x", "/evil.example/x"},
		{"{path}", "/\\evil.example/x", "/%5Cevil.example/x"},
		{"{path}", "\\\\evil.example/x", "/"},
		{"{path}", "///////evil.example", "/evil.example"},
		{"{path}", "/\t/evil.example", "/%09/evil.example"},
		{"{path}", "http://evil.example/x", "/x"},
		{"{path}", "http://evil.example//x", "/x"},
		{"https://to.example{path}", "http://evil.example/x", "https://to.example/x"},
		{"https://to.example{path}", "http://evil.example", "https://to.example/"},
		{"https://to.example{path}", "*", "https://to.example/"},
		{"https://to.example{path}", "@evil.example", "https://to.example/"},
		{"https://to.example{path}", ".evil.example", "https://to.example/"},
		{"https://to.example{path}", "//evil.example", "https://to.example//evil.example"},
		{"https://to.example/{path}", "//evil.example", "https://to.example//evil.example"},

		// And never splits the field.
		{"{path}?{query}", "/a\r\nSet-Cookie:x?b\r\nc", "/a%0D%0ASet-Cookie:x?b%0D%0Ac"},
		{"{path}", "/%0d%0aSet-Cookie:%20x", "/%0d%0aSet-Cookie:%20x"},
		{"{path}", "/100%", "/100%25"},
		{"{path}", "/%zz", "/%25zz"},
		{"{path}?{query}", "/é?ü#f", "/%C3%A9?%C3%BC"},
		{"{path}", "/<script>\"'", "/%3Cscript%3E%22'"},
	} {
		to, err := parseTarget(c.to)
		if err != nil {
			t.Errorf("%s: %v", c.to, err)
			continue
		}
		path, query := splitTarget([]byte(c.target))
		if got := string(to.location(nil, path, query)); got != c.want {
			t.Errorf("to %s, request %q: %s, want %s", c.to, c.target, got, c.want)
		}
	}
}

func TestRedirectAnswer(t *testing.T) {
	for code, want := range map[int]int{0: 302, 301: 301, 302: 302, 303: 303, 307: 307, 308: 308} {
		handler, err := NewRedirect(app.RedirectOpts{To: "https://to.example{path}?{query}", Code: code})
		if err != nil {
			t.Fatal(err)
		}
		if got, location := redirected(handler, "/a?b"); got != want || location != "https://to.example/a?b" {
			t.Errorf("code %d: %d to %s, want %d", code, got, location, want)
		}
	}
}

func TestNewRedirectErrors(t *testing.T) {
	for _, c := range []struct {
		opts app.RedirectOpts
		want string
	}{
		{app.RedirectOpts{To: "/x", Code: 200}, "redirect_opts.code: 200 is no redirect; use 301, 302, 303, 307 or 308"},
		{app.RedirectOpts{To: "/x", Code: 304}, "redirect_opts.code: 304 is no redirect; use 301, 302, 303, 307 or 308"},
		{app.RedirectOpts{To: ""}, `redirect_opts.to: "": want a path that begins with /, or a URL that begins with https:// or http://`},
		{app.RedirectOpts{To: "example.com"}, `redirect_opts.to: "example.com": want a path that begins with /, or a URL that begins with https:// or http://`},
		{app.RedirectOpts{To: "javascript:alert(1)"}, `redirect_opts.to: "javascript:alert(1)": want a path that begins with /, or a URL that begins with https:// or http://`},
		{app.RedirectOpts{To: "ftp://example.com/"}, `redirect_opts.to: "ftp://example.com/": want a path that begins with /, or a URL that begins with https:// or http://`},
		{app.RedirectOpts{To: "//example.com"}, `redirect_opts.to: "//example.com": a path must not begin with two slashes; to reach a host put https: before it`},
		{app.RedirectOpts{To: "/\\example.com"}, `redirect_opts.to: "/\\example.com": byte 2 ('\\') cannot stand in a URL; write it percent-encoded`},
		{app.RedirectOpts{To: "/a\r\nb: c"}, `redirect_opts.to: "/a\r\nb: c": byte 3 ('\r') cannot stand in a URL; write it percent-encoded`},
		{app.RedirectOpts{To: "https://{path}"}, `redirect_opts.to: "https://{path}": the host must be given, without placeholders and user names`},
		{app.RedirectOpts{To: "https://example.com{query}"}, `redirect_opts.to: "https://example.com{query}": the host must be given, without placeholders and user names`},
		{app.RedirectOpts{To: "https://good.example@evil.example/"}, `redirect_opts.to: "https://good.example@evil.example/": the host must be given, without placeholders and user names`},
		{app.RedirectOpts{To: "https://example.com/{query}"}, `redirect_opts.to: "https://example.com/{query}": {query} must stand after a question mark, as in {path}?{query}`},
		{app.RedirectOpts{To: "https://example.com{path}{query}"}, `redirect_opts.to: "https://example.com{path}{query}": {query} must stand after a question mark, as in {path}?{query}`},
		{app.RedirectOpts{To: "/{host}"}, `redirect_opts.to: "/{host}": only {path} and {query} are filled in; write another brace as %7B`},
	} {
		_, err := NewRedirect(c.opts)
		if err == nil || err.Error() != c.want {
			t.Errorf("%+v:\n got %v\nwant %s", c.opts, err, c.want)
		}
	}
}

// FuzzRedirect looks for a request that is sent to a host that nobody configured.
func FuzzRedirect(f *testing.F) {
	for _, target := range []string{
		"/", "", "*", "//evil.example", "/\\evil.example", "\\/evil.example", "/\t//evil", "http://evil.example//x?y#z",
		"/%2f%2fevil.example", "/a?b\r\nc", "@evil.example", ":80@evil", "/é?%", "https:evil.example", "/..//evil.example",
	} {
		f.Add([]byte(target))
	}
	targets := map[string]string{ // to -> the host that a request must stay on
		"{path}":                               "from.example",
		"/{path}?{query}":                      "from.example",
		"/new{path}":                           "from.example",
		"https://to.example{path}":             "to.example",
		"https://to.example{path}?{query}":     "to.example",
		"https://to.example:1/{path}?x={path}": "to.example:1",
	}
	base, _ := url.Parse("https://from.example/some/path")
	parsed := map[string]target{}
	for to := range targets {
		t, err := parseTarget(to)
		if err != nil {
			f.Fatal(err)
		}
		parsed[to] = t
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		path, query := splitTarget(raw)
		for to, host := range targets {
			tg := parsed[to]
			location := string(tg.location(nil, path, query))
			for i := 0; i < len(location); i++ {
				if c := location[i]; c <= ' ' || c >= 0x7f || c == '\\' {
					t.Fatalf("to %s, request %q: %q has byte %q", to, raw, location, c)
				}
			}
			u, err := url.Parse(location)
			if err != nil {
				t.Fatalf("to %s, request %q: %v", to, raw, err)
			}
			if got := base.ResolveReference(u).Host; got != host {
				t.Fatalf("to %s, request %q: %q leads to host %q", to, raw, location, got)
			}
			if strings.HasPrefix(location, "//") {
				t.Fatalf("to %s, request %q: %q begins with two slashes", to, raw, location)
			}
		}
	})
}

func TestRedirectAllocatesNothing(t *testing.T) {
	to, err := parseTarget("https://to.example{path}?{query}")
	if err != nil {
		t.Fatal(err)
	}
	raw := []byte("/some/path?and=query")
	allocs := testing.AllocsPerRun(1000, func() {
		var buf [512]byte
		path, query := splitTarget(raw)
		if len(to.location(buf[:0], path, query)) == 0 {
			t.Fatal("empty")
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
