package gateway

import (
	"strings"
	"testing"

	"edgerouter/app"
)

// plainly is a request over one of the schemes.
type plainly struct {
	sameAttributes
	secure bool
}

func (p plainly) Secure() bool { return p.secure }

func ruled(id, rule string, number int) app.Application {
	a := peers(id, "http://"+id, "x")
	a.Frontends = []app.Frontend{{Kind: app.FrontendRule, Rule: rule}}
	if number != 0 {
		a.Frontends[0].RulePriority = &number
	}
	return a
}

// A container takes nothing of what a file serves, and that is told.
func TestSourcesAreRanked(t *testing.T) {
	highest := 1000000000
	greedy := ruled("greedy", "HostRegexp(`^.+$`)", 0)
	greedy.Frontends[0].Priority = &highest
	site := peers("site", "http://site", "a.example.com")
	site.Frontends[0].PathPrefix = "/api"
	f := newFixture(t)
	f.Apply([]SourceSet{
		{Source: "file", Apps: []app.Application{site}},
		{Source: "docker", Apps: []app.Application{greedy, ruled("late", "Host(`a.example.com`) && PathPrefix(`/api/x`)", 9999), ruled("own", "Host(`b.example.com`)", 0)}},
	})
	for asked, want := range map[string]string{
		"a.example.com /api": "site", "a.example.com /api/x": "site", "a.example.com /": "", "c.example.com /": "greedy",
	} {
		host, path, _ := strings.Cut(asked, " ")
		got := ""
		if e := f.Lookup([]byte(host), []byte(path), nil); e != nil {
			got = e.App
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", asked, got, want)
		}
	}
	told := map[string]bool{}
	for _, c := range f.Snapshot().Conflicts {
		told[c.App] = c.Winner == "site" && c.WinnerSource == "file" && c.Reason != "" && c.Partial == (c.App == "greedy")
	}
	if len(told) != 2 || !told["greedy"] || !told["late"] {
		t.Errorf("conflicts: %+v", f.Snapshot().Conflicts)
	}
}

// Among labels priority is one number, and a router of plain HTTP leaves https alone.
func TestRulePriorities(t *testing.T) {
	redirect := ruled("redirect", "HostRegexp(`.+`)", 100)
	redirect.Frontends[0].AllowInsecureHTTP, redirect.Frontends[0].OnlyInsecureHTTP = true, true
	f := newFixture(t)
	f.Apply([]SourceSet{{Source: "docker", Apps: []app.Application{
		redirect, ruled("catchall", "HostRegexp(`.+`)", 1), ruled("host", "Host(`a.example.com`)", 0), ruled("first", "Host(`a.example.com`) && PathPrefix(`/x`)", 5), ruled("b", "Host(`b.example.com`)", 50), ruled("long", "Host(`b.example.com`) && PathPrefix(`/x`)", 0),
	}}})
	for _, tt := range []struct {
		asked  string
		secure bool
		want   string
	}{
		{"a.example.com /", true, "host"}, {"a.example.com /x", true, "host"}, {"a.example.com /", false, "redirect"},
		{"b.example.com /x", true, "b"}, {"c.example.com /", true, "catchall"}, {"c.example.com /", false, "redirect"},
	} {
		host, path, _ := strings.Cut(tt.asked, " ")
		if e := f.Lookup([]byte(host), []byte(path), plainly{secure: tt.secure}); e == nil || e.App != tt.want {
			t.Errorf("%s (secure: %v): got %+v, want %s", tt.asked, tt.secure, e, tt.want)
		}
	}
}
