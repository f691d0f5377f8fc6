package middleware

import (
	"bytes"
	"regexp"
	"testing"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/router"
)

// through is what a backend sees of a request to target, "status N" when it sees
// none.
func through(w Wrapper, target string, fields ...string) (got string, s *spy) {
	s = &spy{}
	ctx := request("GET", target, fields...)
	w(s.serve)(ctx)
	if s.asked != 1 {
		return "status " + string(fasthttp.AppendUint(nil, ctx.Response.StatusCode())), s
	}
	return s.target, s
}

func TestAddPrefix(t *testing.T) {
	for _, c := range []struct{ prefix, target, want string }{
		{"/foo", "/", "/foo/"},
		{"/foo", "/bar?q=/x", "/foo/bar?q=/x"},
		{"/foo/", "/bar", "/foo/bar"},
		{"/", "/bar", "/bar"},
		{"/a%20b", "/c", "/a%20b/c"},
		{"/foo", "/b%61r%2F?%zz", "/foo/b%61r%2F?%zz"},
		{"/foo", "//bar", "/foo/bar"},
		{"/foo", "/a/../b", "/foo/b"},
		{"/foo", "/a/%2e%2e/b", "/foo/b"},
		{"/foo", "/.", "/foo/"},
		{"/foo", "*", "*"},
	} {
		w := must(t)(NewAddPrefix(app.AddPrefixOpts{Prefix: c.prefix}, Deps{}))
		if got, _ := through(w, c.target); got != c.want {
			t.Errorf("%s before %s: %s, want %s", c.prefix, c.target, got, c.want)
		}
	}
	for _, c := range []struct{ prefix, want string }{
		{"", `add_prefix_opts.prefix: "": a path begins with a slash`},
		{"foo", `a path begins with a slash`},
		{"/foo?x", `write %3F`},
		{"/a/../b", `write "/b"`},
		{"/a//b", `write "/a/b"`},
		{"/a b", `percent-encoded`},
		{"/é", `percent-encoded`},
		{"/a\r\nb", `control character`},
		{"/a%zz", `hexadecimal`},
	} {
		_, err := NewAddPrefix(app.AddPrefixOpts{Prefix: c.prefix}, Deps{})
		refused(t, err, c.want)
	}
}

func TestStripPrefix(t *testing.T) {
	two := app.StripPrefixOpts{Prefixes: []string{"/foo", "/bar/"}}
	versions := app.StripPrefixOpts{Regexps: []string{"/api/v[0-9]+", "/x"}}
	for _, c := range []struct {
		opts                 app.StripPrefixOpts
		target, want, prefix string
	}{
		{two, "/foo", "/", "/foo"},
		{two, "/foo/", "/", "/foo"},
		{two, "/foo/a?b=/foo", "/a?b=/foo", "/foo"},
		{two, "/foo?x", "/?x", "/foo"},
		{two, "/foobar", "/foobar", ""},
		{two, "/bar", "/", "/bar"},
		{two, "/bar/a%2Fb", "/a%2Fb", "/bar"},
		{two, "/b%61r/%61", "/%61", "/bar"},
		{two, "//foo//a", "/a", "/foo"},
		{two, "/x/../foo/a", "/a", "/foo"},
		{two, "/foo/../a", "/foo/../a", ""},
		{two, "/foo/a/../../b", "/foo/a/../../b", ""},
		{two, "/other", "/other", ""},
		{two, "*", "*", ""},
		{app.StripPrefixOpts{Prefixes: []string{"/"}}, "/a", "/a", ""},

		{versions, "/api/v1/users?x=1", "/users?x=1", "/api/v1"},
		{versions, "/api/v12", "/", "/api/v12"},
		{versions, "/api/v1x", "/x", "/api/v1"},
		{versions, "/y/api/v1", "/y/api/v1", ""},
		{versions, "/%61pi/v%31/us%65rs%2Fa", "/us%65rs%2Fa", "/api/v1"},
		{versions, "//api///v1//users", "/users", "/api/v1"},
		{versions, "/a/../api/v1/%c3%a9", "/%c3%a9", "/api/v1"},
		{versions, "/x../etc", "status 400", "/x"},
		{versions, "/x./etc", "/etc", "/x"},
		{versions, "/x//evil.example", "/evil.example", "/x"},
		{app.StripPrefixOpts{Regexps: []string{"/a|/b"}}, "/c/b", "/c/b", ""},
		{app.StripPrefixOpts{Regexps: []string{"/[^/]*/"}}, "/ä b/c", "/c", "/%C3%A4%20b"},
		{app.StripPrefixOpts{Regexps: []string{"/[^/]*/"}}, "/%2F%20/c", "/c", "/%2F%20"},
		{app.StripPrefixOpts{Regexps: []string{"/p."}}, "/p%C3%A9", "/", "/p%C3%A9"},
		{app.StripPrefixOpts{Regexps: []string{"/p%"}}, "/p%2Fx", "/x", "/p%25"},
		{app.StripPrefixOpts{Regexps: []string{"z*"}}, "/a", "/a", ""},
		{app.StripPrefixOpts{Prefixes: []string{"/p"}, Regexps: []string{"/q"}}, "/q/p", "/p", "/q"},
	} {
		w := must(t)(NewStripPrefix(c.opts, Deps{}))
		got, s := through(w, c.target)
		if got != c.want {
			t.Errorf("%+v off %s: %s, want %s", c.opts, c.target, got, c.want)
		}
		if p := string(s.header.Peek("X-Forwarded-Prefix")); s.asked == 1 && p != c.prefix {
			t.Errorf("%+v off %s: X-Forwarded-Prefix %q, want %q", c.opts, c.target, p, c.prefix)
		}
	}
	if _, s := through(must(t)(NewStripPrefix(two, Deps{})), "/foo/a", "X-Forwarded-Prefix: /outer"); string(s.header.Peek("X-Forwarded-Prefix")) != "/outer/foo" {
		t.Errorf("X-Forwarded-Prefix: %q", s.header.Peek("X-Forwarded-Prefix"))
	}
	for _, c := range []struct {
		opts app.StripPrefixOpts
		want string
	}{
		{app.StripPrefixOpts{}, "strip_prefix_opts: neither"},
		{app.StripPrefixOpts{Prefixes: []string{"/a", "b"}}, `strip_prefix_opts.prefixes[1]: "b"`},
		{app.StripPrefixOpts{Regexps: []string{"("}}, "strip_prefix_opts.regexps[0]"},
		{app.StripPrefixOpts{Regexps: []string{"a)(b"}}, "strip_prefix_opts.regexps[0]"},
	} {
		_, err := NewStripPrefix(c.opts, Deps{})
		refused(t, err, c.want)
	}
}

func TestReplacePath(t *testing.T) {
	all := app.ReplacePathOpts{Path: "/new"}
	groups := app.ReplacePathOpts{Regexp: "^/api/(.*)", Replacement: "/v2/$1"}
	for _, c := range []struct {
		opts                   app.ReplacePathOpts
		target, want, replaced string
	}{
		{all, "/old", "/new", "/old"},
		{all, "/o%6Cd?a=b", "/new?a=b", "/o%6Cd"},
		{all, "*", "*", ""},
		{groups, "/api/a?b", "/v2/a?b", "/api/a"},
		{groups, "/other", "/other", ""},
		{groups, "/%61pi/a%2Fb", "/v2/a%2Fb", "/%61pi/a%2Fb"},
		{groups, "/api/a%20b%C3%A9%3F", "/v2/a%20b%C3%A9%3F", "/api/a%20b%C3%A9%3F"},
		{groups, "/x/../api/y", "/v2/y", "/x/../api/y"},
		{app.ReplacePathOpts{Regexp: "/a", Replacement: ""}, "/a/a", "/", "/a/a"},
		{app.ReplacePathOpts{Regexp: "^/a", Replacement: ""}, "/a../b", "status 400", ""},
		{app.ReplacePathOpts{Regexp: "^/(.*)", Replacement: "/b?c=$1#d"}, "/a", "/b%3Fc=a%23d", "/a"},
		{app.ReplacePathOpts{Regexp: "^/(?P<x>[a-z]+)/(.*)", Replacement: "/$2/${x}"}, "/a/b", "/b/a", "/a/b"},
		{app.ReplacePathOpts{Regexp: "^/", Replacement: "//evil.example/"}, "/a", "/evil.example/a", "/a"},
	} {
		w := must(t)(NewReplacePath(c.opts, Deps{}))
		got, s := through(w, c.target, "X-Replaced-Path: /forged")
		if got != c.want {
			t.Errorf("%+v in %s: %s, want %s", c.opts, c.target, got, c.want)
		}
		if c.replaced == "" {
			continue
		}
		if p := s.header.PeekAll("X-Replaced-Path"); len(p) != 1 || string(p[0]) != c.replaced {
			t.Errorf("%+v in %s: X-Replaced-Path %q, want %q", c.opts, c.target, p, c.replaced)
		}
	}
	for _, c := range []struct {
		opts app.ReplacePathOpts
		want string
	}{
		{app.ReplacePathOpts{}, "replace_path_opts: neither"},
		{app.ReplacePathOpts{Path: "/a", Regexp: "b"}, "replace_path_opts.regexp: given beside path"},
		{app.ReplacePathOpts{Path: "a"}, "replace_path_opts.path"},
		{app.ReplacePathOpts{Regexp: "("}, "replace_path_opts.regexp"},
	} {
		_, err := NewReplacePath(c.opts, Deps{})
		refused(t, err, c.want)
	}
}

func TestPathsAllocateNothing(t *testing.T) {
	for name, w := range map[string]Wrapper{
		"add_prefix":   must(t)(NewAddPrefix(app.AddPrefixOpts{Prefix: "/foo"}, Deps{})),
		"strip_prefix": must(t)(NewStripPrefix(app.StripPrefixOpts{Prefixes: []string{"/a"}}, Deps{})),
		"replace_path": must(t)(NewReplacePath(app.ReplacePathOpts{Path: "/new"}, Deps{})),
	} {
		t.Run(name, func(t *testing.T) {
			ctx := request("GET", "/a/b/c")
			target := []byte("/a/b/c?d=e")
			h := w(func(*fasthttp.RequestCtx) {})
			allocates(t, 0, func() {
				ctx.Request.Header.SetRequestURIBytes(target)
				ctx.Request.Header.Del(forwardedPrefix)
				h(ctx)
			})
		})
	}
}

// FuzzStripRegexp compares the rest of a raw path with that of its normal form.
func FuzzStripRegexp(f *testing.F) {
	for _, p := range []string{
		"/api/v1/x", "/%61pi/v1", "//api//v9/..", "/api/v1/%2e%2e/x", "/api/v1..", "/x/../api/v2/a%2Fb?c", "/api/v1%2F..%2f", "/a/v1/é/",
		"/api/v1;x/..;y/z", "/%ff%00", "/api/v%31//", "/api/v1/./", "/a%2Fb/c", "/a%2", "*", "",
	} {
		f.Add([]byte(p))
	}
	exprs := []string{"/api/v[0-9]", "/.", "/a+/"}
	w, err := NewStripPrefix(app.StripPrefixOpts{Regexps: exprs}, Deps{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, target []byte) {
		path, query := splitQuery(target)
		before, err := router.NormalizePath(nil, path)
		if err != nil || !bytes.HasPrefix(path, slash) || bytes.ContainsAny(target, "#\r\n\x00") {
			return // the server refuses it
		}
		rest := before
		for _, expr := range exprs {
			at := regexp.MustCompile("^(?:" + expr + ")").FindIndex(before)
			if at == nil {
				continue
			}
			// A regexp that ends within an escape takes all of it.
			from := at[1]
			for i := max(0, from-2); i < from; i++ {
				if before[i] == '%' {
					from = i + 3
				}
			}
			if rest = before[from:]; !bytes.HasPrefix(rest, slash) {
				rest = append([]byte("/"), rest...)
			}
			break
		}
		want, err := router.NormalizePath(nil, rest)
		got, s := through(w, string(target))
		if err != nil {
			if s.asked > 0 {
				t.Fatalf("%q: left %q where %q means nothing", target, got, rest)
			}
			return
		}
		left, tail := splitQuery([]byte(got))
		after, err := router.NormalizePath(nil, left)
		if err != nil || !bytes.Equal(after, want) || !bytes.Equal(tail, query) {
			t.Fatalf("%q (%q): left %q (%q, %v), want %q", target, before, got, after, err, want)
		}
		if len(s.header.Peek("X-Forwarded-Prefix")) > 0 && len(left) > 1 && left[1] == '/' {
			t.Fatalf("%q: left %q", target, got)
		}
	})
}
