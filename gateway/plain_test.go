package gateway

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"edgerouter/app"
	"edgerouter/router"
)

// randomRule is a rule of few hosts and prefixes, so that rules get in each
// other's way.
func randomRule(r *rand.Rand) string {
	hosts := []string{"a", "b.example", "c.c"}
	r.Shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
	var names []string
	for _, h := range hosts[:1+r.IntN(3)] {
		names = append(names, "Host(`"+h+"`)")
	}
	rule := "(" + strings.Join(names, " || ") + ")"
	if len(names) == 1 && r.IntN(2) == 0 {
		rule = names[0]
	}
	prefixes := []string{"/", "/x", "/x/", "/x/y", "/xy", "/z", "/%78"}
	switch r.IntN(8) {
	case 0, 1, 2, 3:
		rule += " && PathPrefix(`" + prefixes[r.IntN(len(prefixes))] + "`)"
	case 4:
		rule += " && Path(`/x`)"
	case 5:
		rule = "PathPrefix(`" + prefixes[r.IntN(len(prefixes))] + "`)"
	}
	return rule + strings.Repeat(" ", r.IntN(3)*r.IntN(8)) // the length is the priority
}

// Rules that became exact hosts take the same requests as if all had stayed
// rules.
func TestPlainRulesTakeTheSame(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 9))
	asHosts := 0
	for range 400 {
		f := newFixture(t)
		var apps []app.Application
		for i := range 1 + r.IntN(8) {
			a := rule(fmt.Sprint("app-", i), fmt.Sprint("http://", i), randomRule(r))
			if r.IntN(8) == 0 {
				n := r.IntN(3)
				a.Frontends[0].Priority = &n
			}
			apps = append(apps, a)
		}
		f.Apply(files(apps...))
		var entries []*router.Entry
		for _, running := range f.Gateway.sets[0].apps {
			entries = append(entries, running.served.frontends[0].entry)
		}
		reference, _ := router.Build(entries, nil)
		for _, host := range []string{"a", "b.example", "C.C:80", "d"} {
			for _, path := range []string{"/", "/x", "/x/", "/x/y/z", "/xy", "/xyz", "/xx", "/z", "/zz"} {
				got, want := f.Lookup([]byte(host), []byte(path), nil), reference.Match([]byte(host), []byte(path), nil)
				switch {
				case (got == nil) != (want == nil) || got != nil && got.App != want.App:
					for _, a := range apps {
						t.Log(a.Frontends[0].Rule, a.Frontends[0].Priority)
					}
					t.Fatalf("%s%s is taken by %+v, as rules by %+v", host, path, got, want)
				case got != nil && got.Kind == router.Exact:
					asHosts++
				}
			}
		}
	}
	if asHosts < 1000 {
		t.Errorf("only %d requests met an exact host", asHosts)
	}
}

// BenchmarkPlainRules makes the table of 10,000 applications with two rules each.
func BenchmarkPlainRules(b *testing.B) {
	f := newFixture(b)
	var apps []app.Application
	for i := range 10_000 {
		host := fmt.Sprintf("Host(`app-%d.example.com`)", i)
		a := rule(fmt.Sprint("app-", i), "http://a", host)
		a.Frontends = append(a.Frontends, app.Frontend{Kind: app.FrontendRule, Rule: host + " && PathPrefix(`/api`)"})
		apps = append(apps, a)
	}
	f.Apply(files(apps...))
	b.ReportAllocs()
	for b.Loop() {
		f.Gateway.table(&change{}, len(apps))
	}
}
