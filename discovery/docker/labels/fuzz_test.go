package labels

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"edgerouter/app"
)

// FuzzCompile: no labels panic, and what holds for all results holds.
func FuzzCompile(f *testing.F) {
	files, _ := filepath.Glob("testdata/golden/*.txtar")
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(a.Files[0].Data))
	}
	f.Fuzz(func(t *testing.T, text string) {
		given := parse(text)
		shared := map[string]Shared{}
		for name, m := range Declared(given) {
			shared[name] = Shared{Middleware: m}
		}
		r := Compile("shop", given, Options{Shared: shared})
		checkResult(t, given, r)
		neverSilent(t, given, r)
		Shown(given)
	})
}

// neverSilent: a label that is not known is told, if there is room.
func neverSilent(t *testing.T, given map[string]string, r Result) {
	if !r.In {
		return
	}
	told := map[string]bool{}
	for _, a := range r.Apps {
		if len(a.Problems) >= maxTold {
			return
		}
		for _, p := range a.Problems {
			told[p.Field] = true
		}
	}
	for name := range given {
		key := lower(name)
		if strings.HasPrefix(key, "traefik.zz") && !told[name] {
			if _, segment := segmentOf(key); !segment {
				t.Errorf("nobody tells of %q", name)
			}
		}
	}
}

// FuzzRuleV1: what a rule becomes is valid, or the rule is refused.
func FuzzRuleV1(f *testing.F) {
	for _, s := range []string{
		"Host:a.com,b.com;PathPrefix:/x", "HostRegexp:{sub:[a-z]+}.a.com", "PathPrefixStripRegex:/v{n:[0-9]+}/", "Query:a={b:c},d", "Headers:A,b",
		"Path:/{a}/{b:[0-9]{2}}", "ReplacePathRegex: ^/(.*) /$1", "PathPrefixStrip:/x,/y/;Host:c", "Host:\\;b", "Method:get;AddPrefix:/x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, rule string) {
		r, err := parseV1(rule)
		if err != nil {
			if len(err.Error()) > 1000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		for _, fr := range r.frontends() {
			if fr.Kind != app.FrontendRule {
				continue
			}
			parsed, err := app.ParseRule(fr.Rule)
			if err != nil {
				continue // told when the application is checked
			}
			if parsed.String() != fr.Rule {
				t.Errorf("%q became %q, which reads as %q", rule, fr.Rule, parsed.String())
			}
		}
	})
}
