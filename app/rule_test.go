package app

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseRule(t *testing.T) {
	// want is the rule as String writes it: names in their own case, values in
	// backticks, parentheses around what is composed.
	f := func(in, want string) {
		t.Helper()
		r, err := ParseRule(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			return
		}
		if r.String() != want {
			t.Errorf("%s\n is %s\nwant %s", in, r, want)
		}
		again, err := ParseRule(r.String())
		if err != nil || again.String() != want {
			t.Errorf("%s is read as %v, %v", r, again, err)
		}
	}
	same := func(in string) { t.Helper(); f(in, in) }
	same("Host(`a.example`)")
	same("HostRegexp(`^[a-z]{2,3}\\.example$`)")
	same("Path(`/x`)")
	same("PathPrefix(`/`)")
	same("PathRegexp(`\\.(jpg|png)$`)")
	same("Method(`GET`)")
	same("ClientIP(`10.0.0.0/8`)")
	same("ClientIP(`::1`)")
	same("ClientIP(`10.1.2.3/8`)")
	same("Header(`X-A`, `b`)")
	same("Header(`X-A`, ``)")
	same("HeaderRegexp(`X-A`, `b+`)")
	same("Query(`a`)")
	same("Query(`a`, `b`)")
	same("QueryRegexp(`a`, `b+`)")
	same("QueryRegexp(`a`)")
	same("!Method(`POST`)")
	same("!(Host(`a`) || Host(`b`))")
	same("!(!Method(`POST`))")
	same("Host(`a`) && Path(`/x`) && Method(`GET`)")
	same("(Host(`a`) || Host(`b`)) && Path(`/x`)")
	same("Host(`[::1]`)")
	f("host(`a`)", "Host(`a`)")
	f("HOST(`a`)", "Host(`a`)")
	f("Pathprefix(`/a`)", "PathPrefix(`/a`)")
	f("clientip(`::1`)", "ClientIP(`::1`)")
	f(`Host("a")`, "Host(`a`)")
	f("Header(\"X-A\", \"h\\u00e9 \\\" `\")", "Header(`X-A`, \"hé \\\" `\")")
	f("  Host (\n`a` )\t&&Path(`/x`)  ", "Host(`a`) && Path(`/x`)")
	f("Host(`a`)||Host(`b`)&&Path(`/x`)", "Host(`a`) || (Host(`b`) && Path(`/x`))")
	f("((Host(`a`)))", "Host(`a`)")
	f("(Host(`a`) || Host(`b`)) || Host(`c`)", "Host(`a`) || Host(`b`) || Host(`c`)")
	f("Host(`a`) && (Path(`/x`) && Method(`GET`))", "Host(`a`) && Path(`/x`) && Method(`GET`)")
	f("! ! Method(`GET`)", "!(!Method(`GET`))")
}

func TestParseRuleColumns(t *testing.T) {
	r, err := ParseRule("Query(`ä`) && Host(`b`)")
	if err != nil {
		t.Fatal(err)
	}
	and := r.(RuleAnd)
	want := []Rule{
		RuleMatcher{Name: MatcherQuery, Values: []string{"ä"}, Column: 1},
		RuleMatcher{Name: MatcherHost, Values: []string{"b"}, Column: 15},
	}
	if diff := cmp.Diff(want, and.Rules); diff != "" {
		t.Error(diff)
	}
}

func TestParseRuleErrors(t *testing.T) {
	f := func(in string, column int, message, suggestion string) {
		t.Helper()
		r, err := ParseRule(in)
		e, ok := err.(*RuleError)
		if !ok {
			t.Errorf("%s is taken as %v", in, r)
			return
		}
		if e.Column != column || !strings.Contains(e.Message, message) || !strings.Contains(e.Suggestion, suggestion) || suggestion == "" && e.Suggestion != "" {
			t.Errorf("%s: column %d: %s: %s", in, e.Column, e.Message, e.Suggestion)
		}
	}
	f("", 1, "the rule is empty", "Host(`example.com`)")
	f("   ", 4, "the rule is empty", "Host(`example.com`)")
	f("Host(`a`) &&", 13, "ends where a matcher", "remove the operator")
	f("&& Host(`a`)", 1, "'&' stands where a matcher", "matchers look like")
	f("Host(`a`) & Path(`/`)", 11, "'&' stands where && or ||", "write &&")
	f("Host(`a`) | Path(`/`)", 11, "'|' stands where", "write ||")
	f("Host(`a`) and Path(`/`)", 11, "'a' stands where", "write &&")
	f("Host(`a`) OR Path(`/`)", 11, "'O' stands where", "write ||")
	f("Host(`a`), Host(`b`)", 10, "',' stands where", "write ||")
	f("Host(`a`); Path(`/`)", 10, "';' stands where", "write &&")
	f("Host(`a`))", 10, "closes nothing", "remove it")
	f("(Host(`a`)", 1, "not closed", "")
	f("(Host(`a`) Path(`/`))", 12, "'P' stands where", "")
	f("()", 2, "')' stands where a matcher", "matchers look like")
	f("Host", 5, "needs its values", "write Host(`host`)")
	f("Host()", 1, "takes 1 value, this has 0", "write Host(`host`)")
	f("Host(`a`, `b`)", 1, "takes 1 value, this has 2", "write Host(`a`) || Host(`b`)")
	f("Header(`X-A`)", 1, "takes 2 values, this has 1", "write Header(`name`, `value`)")
	f("Query(`a`, `b`, `c`)", 1, "takes 1 or 2 values, this has 3", "write Query(`key`, `value`)")
	f("Host(a.example)", 6, "'a' stands where a value", "put values in backticks")
	f("Host('a.example')", 6, "'\\'' stands where a value", "put values in backticks")
	f("Host(`a`", 9, "ends where a comma", "")
	f("Host(`a` `b`)", 10, "'`' stands where a comma", "")
	f("Host(`a`,)", 10, "')' stands where a value", "")
	f("Host(`a)", 6, "backtick is not closed", "")
	f(`Host("a)`, 6, "quote is not closed", "backticks")
	f(`Host("\q")`, 6, "an escape in it is not known", "backticks")
	f("Hots(`a`)", 1, `unknown matcher "Hots"`, `did you mean "Host"?`)
	f("Headers(`A`, `b`)", 1, `unknown matcher "Headers"`, "since Traefik v3 it is Header")
	f("HeadersRegexp(`A`, `b`)", 1, `unknown matcher`, "since Traefik v3 it is HeaderRegexp")
	f("HostSNI(`a`)", 1, `unknown matcher`, `did you mean "Host"?`)
	f("PathPrefixStrip(`/a`)", 1, `unknown matcher`, "strip_path_prefix")
	f("Nonsense(`a`)", 1, `unknown matcher`, "it is one of Host, HostRegexp")
	f("Host:a.example", 1, "Traefik v1", "write Host(`...`)")
	f("PathPrefixStrip:/a", 1, "Traefik v1", "write Host(`...`)")
	f("Path(`/`) && Host(`a:80`)", 19, "has no port", `write "a"`)
	f("Host(`bücher.example`)", 6, "xn-- form", "xn--bcher-kva.example")
	f("Host(`a*`)", 6, "whole first label", "HostRegexp")
	f("Host(`*a.example`)", 6, "whole first label", "HostRegexp")
	f("Host(`a.*.example`)", 6, "whole first label", "HostRegexp")
	f("Host(`*.`)", 6, "whole first label", "HostRegexp")
	f("Host(`a\tb`)", 6, "control character", "")
	f("Host(`a.example/x`)", 6, "has no path", "Host(`a.example`) && PathPrefix(`/x`)")
	f("Host(`{x:[a-z]+}.example`)", 6, "not a pattern", "HostRegexp")
	f("Host(``)", 6, "is empty", "")
	f("HostRegexp(`{sub:[a-z]+}.example`)", 12, "notation of Traefik v2", "plain regexp")
	f("HostRegexp(`[`)", 12, "not a regular expression", "")
	f("PathRegexp(`(?<=a)b`)", 12, "not a regular expression", "")
	f("Path(`x`)", 6, "begins with a slash", `write "/x"`)
	f("PathPrefix(`/x/{id}`)", 12, "notation of Traefik v2", "PathRegexp")
	f("Path(`/a/../b`)", 6, "segments", `write "/b"`)
	f("Method(`GET POST`)", 8, "not a method", "GET")
	f("ClientIP(`10.0.0.0/33`)", 10, "not a network", "192.0.2.0/24")
	f("ClientIP(`localhost`)", 10, "not an IP address", "192.0.2.7")
	f("Header(`X A`, `b`)", 8, "not the name of a header", "")
	f("Header(`X-A`, \"a\\nb\")", 15, "control character", "")
	f("HeaderRegexp(`X-A`, `(`)", 21, "not a regular expression", "")
	f("\xff", 1, "not UTF-8", "")
	f(strings.Repeat("!", 100)+"Host(`a`)", 33, "nested deeper", "")
	f(strings.Repeat("(", 4000), 33, "nested deeper", "")
	f(strings.Repeat("Host(`a`) || ", 400), 1, "longer than", "")
}

func TestPlainHosts(t *testing.T) {
	f := func(rule string, hosts string, prefix string, plain bool) {
		t.Helper()
		r, err := ParseRule(rule)
		if err != nil {
			t.Fatal(err)
		}
		gotHosts, gotPrefix, ok := PlainHosts(r)
		if strings.Join(gotHosts, " ") != hosts || gotPrefix != prefix || ok != plain {
			t.Errorf("%s: hosts %v, prefix %q, %v", rule, gotHosts, gotPrefix, ok)
		}
	}
	f("Host(`a`)", "a", "", true)
	f("(Host(`a`) || Host(`b`) || Host(`A.`))", "a b", "", true)
	f("Host(`a`) && PathPrefix(`/`)", "a", "/", true)
	f("PathPrefix(`/`) && (Host(`a`) || Host(`b`))", "a b", "/", true)
	f("Host(`a`) && PathPrefix(`/x`)", "a", "/x", true)
	f("Host(`a`) && PathPrefix(`/x/`)", "a", "/x/", true)
	f("PathPrefix(`/x`)", "", "", false)
	f("Host(`a`) && Path(`/x`)", "", "", false)
	f("Host(`a`) && Host(`b`)", "", "", false)
	f("Host(`a`) && PathPrefix(`/x`) && PathPrefix(`/x/y`)", "", "", false)
	f("Host(`a`) && PathPrefix(`/x`) && Method(`GET`)", "", "", false)
	f("Host(`a`) || PathPrefix(`/x`)", "", "", false)
	f("!Host(`a`)", "", "", false)
	f("Host(`a`) || HostRegexp(`b`)", "", "", false)
	f("(Host(`a`) && PathPrefix(`/x`)) || Host(`b`)", "", "", false)
	f("(Host(`a`) || Method(`GET`)) && PathPrefix(`/x`)", "", "", false)
}

func FuzzParseRule(f *testing.F) {
	for _, s := range []string{"", "Host(`a`)", "(Host(`a`) || !Path(`/x`)) && Method(\"GET\")", "HeaderRegexp(`X`, `a{2,3}`)", "Host:a;Path:/x", "!!!!", "((((", "Query(`\\`", "ClientIP(`10.0.0.0/8`)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRule(s)
		if err != nil {
			e, ok := err.(*RuleError)
			if !ok || e.Column < 1 || e.Column > len([]rune(s))+1 || e.Message == "" {
				t.Fatalf("%q: %#v", s, err)
			}
			return
		}
		again, err := ParseRule(r.String())
		if len(r.String()) <= maxPattern && (err != nil || again.String() != r.String()) {
			t.Fatalf("%q is written as %s, which is read as %v, %v", s, r, again, err)
		}
		if hosts, prefix, ok := PlainHosts(r); ok {
			for i, host := range hosts {
				x := Frontend{Kind: FrontendHostname, Hostname: host, PathPrefix: prefix}
				a := Application{ID: "a", Frontends: []Frontend{x}, Backend: Backend{Kind: BackendAdmin}}
				if problems := a.Validate(); len(problems) > 0 {
					t.Fatalf("%q: frontend %d: %v", s, i, problems)
				}
			}
		}
	})
}

func ExampleParseRule() {
	r, _ := ParseRule("host(`shop.example`) && !(Method(`POST`) || ClientIP(`10.0.0.0/8`))")
	fmt.Println(r)
	_, err := ParseRule("Host(`shop.example`) and Method(`POST`)")
	fmt.Println(err)
	// Output:
	// Host(`shop.example`) && !(Method(`POST`) || ClientIP(`10.0.0.0/8`))
	// rule: column 22: 'a' stands where && or || should be: write &&
}

// TestRulesOnSeveralLines: line breaks and tabs stand between matchers and not in
// their values.
func TestRulesOnSeveralLines(t *testing.T) {
	f := func(rule string, ok bool) {
		t.Helper()
		a := Application{ID: "a", Frontends: []Frontend{{Kind: FrontendRule, Rule: rule}}, Backend: Backend{Kind: BackendPeerSet, PeerSet: &PeerSetOpts{Addrs: []string{"http://192.0.2.1"}}}}
		if problems := a.Validate(); (len(problems) == 0) != ok {
			t.Errorf("%q: %v", rule, problems)
		}
	}
	f("Host(`a.test`)\n&& PathPrefix(`/x`)\r\n\t|| Host(`*.b.test`)\n", true)
	f("Host(`a.test\n`)", false)
	f("Header(`X-A`, `1\t`)", false)
	f("Host(`a.test`)\x00", false)
}
