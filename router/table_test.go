package router

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
)

type testAttributes struct {
	method, query, ip string
	headers           map[string]string
}

func (a *testAttributes) Method() []byte { return []byte(a.method) }
func (a *testAttributes) Query() []byte  { return []byte(a.query) }
func (a *testAttributes) Header(name string, from int) ([]byte, int) {
	if v, ok := a.headers[name]; ok {
		if values := strings.Split(v, "|"); from < len(values) {
			return []byte(values[from]), from + 1
		}
	}
	return nil, 0
}
func (a *testAttributes) ClientIP() netip.Addr {
	addr, _ := netip.ParseAddr(a.ip)
	return addr
}

func pattern(text string) *HostPattern {
	p, err := CompileHostPattern(text)
	if err != nil {
		panic(err)
	}
	return p
}

// The entries are named by what they are, so that a table of tests reads as one.
func exact(app, host, prefix string) *Entry {
	return &Entry{App: app, Kind: Exact, Host: host, PathPrefix: prefix}
}
func wildcard(app, host, prefix string) *Entry {
	return &Entry{App: app, Kind: Wildcard, Host: host, PathPrefix: prefix}
}
func anyHost(app, prefix string) *Entry { return &Entry{App: app, Kind: AnyHost, PathPrefix: prefix} }
func byRegexp(app, text, prefix string) *Entry {
	return &Entry{App: app, Kind: Regexp, HostRegexp: pattern(text), PathPrefix: prefix}
}
func byRule(app, text string, m Matcher) *Entry {
	return &Entry{App: app, Kind: Rule, Text: text, Rule: m}
}
func asText(e *Entry) *Entry {
	e.StringPrefix = true
	return e
}
func withPriority(e *Entry, priority int) *Entry {
	e.Priority, e.HasPriority = priority, true
	return e
}

func TestMatch(t *testing.T) {
	long := []*Entry{exact("root", "h", "/")} // more prefixes than are gone through one by one
	for _, p := range strings.Fields("/a /a-b /a/b /a/b/c /ab /b /b.c /b/c /c /d /e /f /g /h /i /j /k /a/b/cc /a/b-c") {
		long = append(long, exact(p, "h", p))
	}
	text := append(slices.Clone(long), asText(exact("text", "h", "/a/b/c")), asText(exact("deep", "h", "/a/b/c/")), asText(exact("broad", "h", "/a/")))
	for _, tt := range []struct {
		name    string
		entries []*Entry
		want    map[string]string // host and path -> application, "" is none
	}{
		{"nothing", nil, map[string]string{"a.b /": "", " /": ""}},
		{"host without case, port and trailing dot", []*Entry{exact("x", "Example.COM.:443", "")}, map[string]string{
			"example.com /": "x", "EXAMPLE.com /a": "x", "example.com. /": "x", "example.com:80 /": "x", "Example.com.:8080 /": "x", "example.com: /": "x",
			"www.example.com /": "", "example.co /": "", "example.com.. /": "", "example.com:a /": "", " /": "", ". /": "", ":80 /": "", "xample.com /": "",
		}},
		{"IP addresses", []*Entry{exact("4", "127.0.0.1", ""), exact("6", "::1", ""), exact("b", "[2001:DB8::1]:443", "")}, map[string]string{
			"127.0.0.1 /": "4", "127.0.0.1:80 /": "4", "[::1] /": "6", "[::1]:80 /": "6", "[2001:db8::1] /": "b", "127.0.0.10 /": "", "[::2] /": "",
		}},
		{"segments", []*Entry{exact("foo", "h", "/foo"), exact("bar", "h", "/bar/")}, map[string]string{
			"h /foo": "foo", "h /foo/": "foo", "h /foo/bar": "foo", "h /foobar": "", "h /fo": "", "h /": "", "h /Foo": "",
			"h /bar": "bar", "h /bar/": "bar", "h /bar/x": "bar", "h /barx": "", "h *": "",
		}},
		{"prefixes as text", []*Entry{asText(exact("t", "h", "/foo")), exact("s", "h", "/foo"), asText(exact("bar", "h", "/bar/")), asText(exact("root", "g", "/")), asText(exact("x", "g", "/%78 y"))}, map[string]string{
			"h /foo": "s", "h /foo/x": "s", "h /food": "t", "h /foo-": "t", "h /fo": "", "h /bar": "", "h /bar/": "bar", "h /bar/x": "bar", "g /": "root", "g *": "root", "g /x yz": "x",
			"h /foo%2Fx": "",
		}},
		{"many prefixes, some as text", text, map[string]string{
			"h /a/b/c": "/a/b/c", "h /a/b/c/d": "deep", "h /a/b/cc": "/a/b/cc", "h /a/b/ccc": "text", "h /a/b/c-": "text", "h /a": "/a", "h /a/x": "broad", "h /a/b/x": "/a/b", "h /ax": "root",
		}},
		{"longest prefix", []*Entry{exact("root", "h", "/"), exact("a", "h", "/a"), exact("ab", "h", "/a/b"), exact("abc", "h", "/a/b/c")}, map[string]string{
			"h /": "root", "h /x": "root", "h *": "root", "h /a": "a", "h /ab": "root", "h /a/x": "a", "h /a/b": "ab", "h /a/bc": "a", "h /a/b/c/d": "abc",
		}},
		{"many prefixes", long, map[string]string{
			"h /": "root", "h /a": "/a", "h /a/": "/a", "h /a-b": "/a-b", "h /a-b/c": "/a-b", "h /a-c": "root", "h /a/b/cc": "/a/b/cc", "h /a/b/ccc": "/a/b",
			"h /a/b/c/c": "/a/b/c", "h /a/b-": "/a", "h /a/b-c/d": "/a/b-c", "h /b.c": "/b.c", "h /b/d": "/b", "h /b/c/": "/b/c", "h /zzz": "root", "h *": "root", "h /A": "", // IIS would read /a
		}},
		{"a prefix in another spelling", []*Entry{exact("x", "h", "/%66oo//b%61r/"), exact("y", "h", "/a%20é"), exact("z", "h", "/b/../c/.")}, map[string]string{
			"h /foo/bar": "x", "h /foo/bar/x": "x", "h /foo": "", "h /a é": "y", "h /c": "z",
		}},
		{"wildcard is one label", []*Entry{wildcard("w", "*.Example.com.", "/")}, map[string]string{
			"a.example.com /": "w", "A.EXAMPLE.COM:80 /": "w", "a.b.example.com /": "", "example.com /": "", ".example.com /": "", "aexample.com /": "", "*.example.com /": "w",
		}},
		{"a star means a wildcard whatever the kind", []*Entry{exact("w", "*.example.com", "/")}, map[string]string{"a.example.com /": "w", "a.b.example.com /": ""}},
		{"exact before wildcard, and on when no prefix fits", []*Entry{
			exact("x", "a.example.com", "/api"), wildcard("w", "*.example.com", "/"), wildcard("wa", "*.example.com", "/api/v1"), byRegexp("r", "{.+}", "/"),
		}, map[string]string{
			"a.example.com /api": "x", "a.example.com /api/v1": "x", "a.example.com /b": "w", "b.example.com /api/v1/x": "wa", "b.example.com /api": "w", "c /": "r",
		}},
		{"any host first", []*Entry{anyHost("acme", "/.well-known/acme-challenge/"), anyHost("known", "/.well-known"), exact("x", "h", "/.well-known/acme-challenge/deep")}, map[string]string{
			"h /.well-known/acme-challenge/deep": "acme", "other /.well-known/x": "known", "h /": "", " /.well-known": "known",
		}},
		{"regexps by length of the text", []*Entry{
			byRegexp("short", "{.+}.com", "/"), byRegexp("long", "{[^.]+}.example.com", "/"), byRegexp("prefix", "{.+}.com", "/a/long/prefix/here"),
		}, map[string]string{
			"a.example.com /": "long", "a.b.com /": "short", "a.b.com:80 /": "short", "A.B.com. /": "short", "a.example.com /a/long/prefix/here": "prefix", "a.org /": "",
		}},
		{"regexps and rules together", []*Entry{
			byRegexp("r", "{.+}.com", "/"), byRule("longer", "Host(`a.com`)", Host("a.com")), byRule("s", "P", PathPrefix("/")),
		}, map[string]string{"a.com /": "longer", "b.com /": "r", "b.org /": "s"}},
		{"rules found by their hosts and others, in one order", []*Entry{
			byRule("1", "12345678", And(Host("a"), PathPrefix("/1"))), byRule("2", "1234567", PathPrefix("/")), byRule("3", "123456789", Or(Host("A"), Host("b"))),
			byRule("4", "1234567890", Or(And(Host("a"), PathPrefix("/4")), And(Host("a"), PathPrefix("/5")))),
		}, map[string]string{"a /1": "3", "a /4": "4", "a /5": "4", "b /4": "3", "c /": "2"}},
		{"explicit priority before everything", []*Entry{
			anyHost("any", "/x"), exact("e", "h", "/x"),
			withPriority(byRegexp("r1", "{.+}", "/x"), 1), withPriority(wildcard("w2", "*.h", "/x"), 2), withPriority(anyHost("a-1", "/x"), -1),
			withPriority(exact("e1", "h", "/x/y"), 1), withPriority(exact("e3", "h", "/x/z"), 3),
		}, map[string]string{
			"h /x": "r1", "h /x/y": "e1", "h /x/z": "e3", "a.h /x": "w2", "A.H:80 /x": "w2", " /x": "a-1", "h /": "",
		}},
		{"same priority: natural order", []*Entry{
			withPriority(byRegexp("r", "{.+}", "/"), 5), withPriority(wildcard("w", "*.h", "/"), 5), withPriority(exact("e", "a.h", "/"), 5), withPriority(exact("ee", "a.h", "/a"), 5),
		}, map[string]string{"a.h /": "e", "a.h /a": "ee", "b.h /": "w", "c /": "r"}},
		{"an encoded slash is no separator and a way past none", []*Entry{
			exact("root", "h", "/"), exact("admin", "h", "/admin"), exact("api", "h", "/api"), exact("other", "h", "/api/v2"),
		}, map[string]string{
			"h /a%2Fb": "root", "h /admin%2Fx": "", "h /admin%5Cx": "", "h /%2Fadmin": "", "h /admin/a%2Fb": "admin", "h /api/v2%2Fx": "", "h /api/v%2F2": "api",
			"h /admin;x": "", "h /admin;": "", "h /;/admin": "", "h /a;b/admin": "root", "h /admin/a;b": "admin", "h /adm;in": "root", "h /%2F;x/admin;": "",
			"h /admin%252Fx": "", "h /;%2Fb/admin/x": "", "h /adminx%2F": "root",
		}},
		{"an encoded slash that belongs to nobody when decoded", []*Entry{byRule("x", "r", PathRegexp(regexp.MustCompile("^/p/[^/]+$")))}, map[string]string{"h /p/a%2Fb": "", "h /p/a/b": ""}},
		{"regexps before rules of the same priority", []*Entry{byRule("rule", "1234", And()), byRegexp("regexp", "{.+}", "/")}, map[string]string{"h /": "regexp", " /": "rule"}},
		{"an encoded slash within one application", []*Entry{exact("x", "h", "/"), exact("x", "h", "/sub")}, map[string]string{"h /sub%2Fa": "x", "h /%2F": "x"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for i, e := range tt.entries {
				e.Order, e.Frontend = i, i
			}
			table, conflicts := Build(tt.entries, nil)
			if len(conflicts) > 0 {
				t.Fatalf("conflicts: %v", conflicts)
			}
			for asked, want := range tt.want {
				host, path, _ := strings.Cut(asked, " ")
				got := ""
				if e := table.Match([]byte(host), []byte(path), nil); e != nil && e != Ambiguous {
					got = e.App
				}
				if got != want {
					t.Errorf("%q: got %q, want %q", asked, got, want)
				}
			}
		})
	}
}

func TestMatchWithoutHost(t *testing.T) {
	table, _ := Build([]*Entry{anyHost("any", "/x"), byRule("rule", "r", Path("/y"))}, nil)
	for path, want := range map[string]string{"/x": "any", "/y": "rule"} {
		if e := table.Match(nil, []byte(path), nil); e == nil || e.App != want {
			t.Errorf("%s: got %v, want %s", path, show(e), want)
		}
	}
}

func TestZeroTable(t *testing.T) {
	var table Table
	if e := table.Match([]byte("H:80"), []byte("/%2F"), nil); e != nil {
		t.Errorf("the zero table matched %v", show(e))
	}
	if x := table.Explain([]byte("h"), []byte("/"), nil); x.Winner != nil || x.Why == "" {
		t.Errorf("explained as %+v", x)
	}
}

func TestHasRules(t *testing.T) {
	for _, tt := range []struct {
		entry *Entry
		want  bool
	}{
		{exact("x", "h", "/"), false},
		{byRegexp("x", "{.}", "/"), false},
		{byRule("x", "r", Path("/")), true},
		{withPriority(byRule("x", "r", Path("/")), 1), true},
	} {
		if table, _ := Build([]*Entry{tt.entry}, nil); table.HasRules() != tt.want {
			t.Errorf("%s: HasRules() = %v", show(tt.entry), !tt.want)
		}
	}
}

// A matcher must be given the host in its canonical form whatever led to it.
func TestRulesSeeCanonicalHosts(t *testing.T) {
	rule := byRule("x", "r", HostRegexp(regexp.MustCompile(`\Aa\.b\z`)))
	for _, entries := range [][]*Entry{{rule}, {rule, exact("y", "a.b", "/y")}, {rule, withPriority(exact("z", "z", "/"), 1)}} {
		table, _ := Build(entries, nil)
		for _, host := range []string{"a.b", "A.b", "a.b.", "a.b:80", "A.B.:80"} {
			if e := table.Match([]byte(host), []byte("/"), nil); e != rule {
				t.Errorf("%s: got %v", host, show(e))
			}
		}
	}
}

func TestMatchLeavesItsArgumentsAlone(t *testing.T) {
	table, _ := Build([]*Entry{exact("x", "a.b", "/"), byRegexp("r", "{.+}.c", "/")}, nil)
	host, path := []byte("A.B.:80"), []byte("/a%2Fb")
	if e := table.Match(host, path, nil); e == nil || e.App != "x" {
		t.Fatalf("got %v", show(e))
	}
	if string(host) != "A.B.:80" || string(path) != "/a%2Fb" {
		t.Errorf("changed to %q, %q", host, path)
	}
}

func TestMatchConcurrently(t *testing.T) {
	table, _ := Build(slices.Concat(manyHosts(100), []*Entry{byRegexp("r", "{[a-z]+}.{[a-z]+}", "/"), byRule("q", "q", QueryRegexp("a", regexp.MustCompile("^b c$")))}), nil)
	done := make(chan string)
	for g := range 8 {
		go func() {
			hosts := []string{"APP-00001.example.com", "Foo.Bar:80", "app-00099.example.com"}
			want := []string{"app-1", "r", "app-99"}
			for i := range 2000 {
				if e := table.Match([]byte(hosts[(g+i)%3]), []byte("/a%2Fb"), nil); e == nil || e.App != want[(g+i)%3] {
					done <- hosts[(g+i)%3] + " went to " + show(e)
					return
				}
				if e := table.Match([]byte("none"), []byte("/"), &testAttributes{query: "a=b%20c"}); e == nil || e.App != "q" {
					done <- "the query went to " + show(e)
					return
				}
			}
			done <- ""
		}()
	}
	for range 8 {
		if problem := <-done; problem != "" {
			t.Error(problem)
		}
	}
}
