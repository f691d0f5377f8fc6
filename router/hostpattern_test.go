package router

import (
	"strings"
	"testing"
)

var patternTests = []struct{ pattern, yes, no string }{
	{"hellohttp.{[^.]+}.example.net", "hellohttp.dev.example.net", "xhellohttp.dev.example.net"},
	{"hellohttp.{[^.]+}.example.net", "HelloHTTP.dev.example.net:8080", "hellohttp.dev.example.netx"},
	{"hellohttp.{[^.]+}.example.net", "hellohttp.d.example.net.", "hellohttpxdev.example.net"},
	{"hellohttp.{[^.]+}.example.net", "hellohttp.-.example.net", "hellohttp.a.b.example.net"},
	{"hellohttp.{[^.]+}.example.net", "hellohttp.x.example.net.:80", "hellohttp..example.net"},
	{"{name:[^.]+}.example.net", "a.example.net", "a.example-net"},
	{"{sub_1-x:[a-z]+}.net", "abc.net", "sub.1.net"},
	{"{a|b}.net", "b.net", "bc.net"},
	{"x{a|b}", "xb", "b"},
	{"{(?:a|b):x}", "a", "x"}, // no name: yes is checked without the port
	{"{[a-z]{2,3}}.net", "abc.net", "abcd.net"},
	{"{[{}]?x}", "x", "y"},
	{"{[]}]*}a{b}", "ab", "b"},
	{"{[^]}]}a", "xa", "]a"},
	{`{\{?a}`, "a", "b"},
	{`{a\}?}.{b}`, "a.b", "a.c"},
	{"{[A-Z]+}.Example.NET", "abc.example.net", "1.example.net"},
	{"{.*}", "", "\n"},
	{"{.+}a{.+}a", "xaya", "xay"},
	{"a.b", "A.B:80", "axb"},
	{"a.b.", "a.b", "a.b.c"},
	{"{[a-z]+}.b.", "a.b", "a.b.c"},
	{"ab{[^.]*}ba", "abba", "aba"},
	{`{\Qa}.b{c}`, "a.bc", "a).b(c"},
}

func TestHostPattern(t *testing.T) {
	for _, tt := range patternTests {
		p, err := CompileHostPattern(tt.pattern)
		if err != nil {
			t.Errorf("%q: %v", tt.pattern, err)
			continue
		}
		if p.String() != tt.pattern {
			t.Errorf("%q prints as %q", tt.pattern, p)
		}
		if tt.pattern == "{(?:a|b):x}" {
			tt.yes, tt.no = "a:x", "a"
		}
		if !p.MatchHost([]byte(tt.yes)) {
			t.Errorf("%q does not take %q", tt.pattern, tt.yes)
		}
		if p.MatchHost([]byte(tt.no)) {
			t.Errorf("%q takes %q", tt.pattern, tt.no)
		}
	}
}

func TestHostPatternErrors(t *testing.T) {
	for pattern, want := range map[string]string{
		"":                          "is empty",
		"\xdb{a}":                   "not valid UTF-8",
		"a.{[^.]+":                  "{ at byte 2 that is not closed",
		"a.{x}.{":                   "{ at byte 6",
		"a}.b":                      "} at byte 1",
		"{a}}":                      "} at byte 3",
		"a.{}":                      `empty part "{}"`,
		"a.{name:}":                 `empty part "{name:}"`,
		"{[a-}":                     "not closed",
		"{(a}":                      `part "(a" is not a regular expression`,
		"{a)(b}":                    "not a regular expression",
		"{a{1001}}":                 "not a regular expression",
		"{[^.]{1,":                  "not closed",
		strings.Repeat("{a}", 2000): "6000 bytes long",
		"{(a{1000}){1000}}":         "not a regular expression",
	} {
		_, err := CompileHostPattern(pattern)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", shorten(pattern), err, want)
		}
		if err != nil && len(err.Error()) > 400 {
			t.Errorf("the error is %d bytes long", len(err.Error()))
		}
	}
}

// Two patterns that mean the same claim the same.
func TestHostPatternCanonical(t *testing.T) {
	a, b := pattern("{x:[^.]+}.Example.com"), pattern("{other:[^.]+}.example.com.")
	if a.canonical != b.canonical {
		t.Errorf("%q and %q differ", a.canonical, b.canonical)
	}
}
