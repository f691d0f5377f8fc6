package app

import (
	"regexp"
	"strings"
	"testing"
)

// The refused ones, with what is said of them, are in testdata/problems.txt.
func TestHostnamesTaken(t *testing.T) {
	for _, s := range []string{
		"a", "localhost", "example.com", "EXAMPLE.com", "example.com.", "a-b.example", "a--b.example", "my_app", "_dmarc.example.com", "1.example", "xn--bcher-kva.example",
		"*.example.com", "*.com", "127.0.0.1", "::1", "[::1]", "2001:db8::1", "[2001:DB8::1]", strings.Repeat("a", 63) + ".example",
	} {
		if f := checkHostname(s, true); f != nil {
			t.Errorf("%q: %s", s, f.message)
		}
	}
	for _, s := range []string{
		"*.", "*..a", "**.a", "*a.b", "[::1", "::1]", "[127.0.0.1]", "::1:x", "fe80::1%eth0", "a.1", "1", "-", "a.-b", "xn--99999999", "é", "a b", "a\x00", "a..", ".", "..",
		"a:", "a:b", ":80", "[::1]:80", "a/", "//a",
	} {
		if checkHostname(s, true) == nil {
			t.Errorf("%q is taken", s)
		}
	}
	if f := checkHostname(strings.Repeat("a.", 126)+"a", true); f != nil {
		t.Errorf("253 characters: %s", f.message)
	}
	if f := checkHostname(strings.Repeat("a.", 126)+"aa", true); f == nil {
		t.Error("254 characters are taken")
	}
}

func TestHostPatternsTaken(t *testing.T) {
	for _, s := range []string{
		"hellohttp.{[^.]+}.example.net", "{name:[a-z]+}.example", "{[a-z]{2,3}}.example", "{a|b}.example", "{(?:a|b)}", "{[[:alpha:]]+}.example", "{[}]+}.x", "{[^}]+}.x", "{[]}]+}.x",
		"{a\\}}.x", "{x-1:.*}", "pr-{[0-9]+}", "{catchall:.*}", "a.example", "{.+}.{.+}",
	} {
		if f := checkHostPattern(s); f != nil {
			t.Errorf("%q: %s", s, f.message)
		}
	}
}

func FuzzHostname(f *testing.F) {
	for _, s := range []string{"example.com", "*.example.com", "bücher.example", "a:80", "[::1]", "https://a/b", "xn--bcher-kva.example", "-a", "..", "*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, wildcard := range []bool{true, false} {
			f := checkHostname(s, wildcard)
			if f != nil {
				suggested(t, s, f, func(s string) *fault { return checkHostname(s, wildcard) })
				continue
			}
			// What is taken has nothing in it that could mean something in a URL, a
			// pattern or a log line.
			if i := strings.IndexFunc(s, func(r rune) bool {
				return r >= 0x80 || !isAlphanumeric(byte(r)) && !strings.ContainsRune(".-_*[]:", r)
			}); i >= 0 {
				t.Fatalf("%q is taken", s)
			}
		}
	})
}

// suggested checks that a suggested spelling of a value is taken when the
// suggestion is nothing more than that.
func suggested(t *testing.T, s string, f *fault, check func(string) *fault) {
	t.Helper()
	m := regexp.MustCompile(`^write "([a-z0-9.*-]+)"$`).FindStringSubmatch(f.suggestion)
	if m == nil {
		return
	}
	if again := check(m[1]); again != nil && again.suggestion == f.suggestion {
		t.Fatalf("%q: %s: %s, which is refused with the same suggestion", s, f.message, f.suggestion)
	}
}

func FuzzHostPattern(f *testing.F) {
	for _, s := range []string{"hellohttp.{[^.]+}.example.net", "{name:[a-z]{2}}.x", "{[}]}", "{", "}", "{}", "{a\\}", "{(a}.{b)}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if checkHostPattern(s) != nil || !strings.Contains(s, "{") {
			return
		}
		// Literal text is matched as it is: without the parts it is a hostname's.
		for rest := s; ; {
			literal, after, ok := strings.Cut(rest, "{")
			if strings.ContainsAny(literal, "}[]()*+?|^$\\ /:") {
				t.Fatalf("%q has the literal text %q", s, literal)
			}
			if !ok {
				return
			}
			rest = after[PartEnd(after)+1:]
		}
	})
}

func FuzzAddr(f *testing.F) {
	for _, s := range []string{"http://a", "https://[::1]:8443/base", "h2c://10.0.0.1:50051", "a:80", "http://u:p@h", "http://a/%2e", "HTTP://A:80/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		same, f := checkAddr(s)
		if f != nil {
			if f.message == "" {
				t.Fatalf("%q is refused without a message", s)
			}
			return
		}
		if same == "" || strings.ContainsAny(s, "@?# \n") && !strings.Contains(s[strings.Index(s, "://")+3:], "/") {
			t.Fatalf("%q is taken as %q", s, same)
		}
	})
}

// A short text that stands for a huge program is refused before it is compiled.
func TestRegexpSize(t *testing.T) {
	for _, s := range []string{`(?i)^(www\.)?[a-z0-9-]{1,63}\.example\.(com|net)$`, `\pL{2,20}`, strings.Repeat("host-one.example.com|", 100) + "x", `(a{10}){100}`} {
		if f := checkRegexp(s); f != nil {
			t.Errorf("%s: %s", shorten(s), f.message)
		}
	}
	for _, s := range []string{`\pL{1000}`, strings.Repeat("a{1000}", 100), strings.Repeat("(.{0,1000})", 100), strings.Repeat(`\pL`, 1300), strings.Repeat("a", 5000)} {
		if f := checkRegexp(s); f == nil || !strings.Contains(f.message, "too large") && !strings.Contains(f.message, "longer") {
			t.Errorf("%s: %v", shorten(s), f)
		}
	}
	if f := checkHostPattern(strings.Repeat("{a{1000}}", 30)); f == nil {
		t.Error("many parts are each within the bound and together far beyond")
	}
}
