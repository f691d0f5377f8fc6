package router

import (
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	entries := []*Entry{
		anyHost("acme", "/.well-known/acme-challenge"),
		exact("root", "a.example.com", "/"),
		exact("api", "a.example.com", "/api"),
		exact("v1", "a.example.com", "/api/v1"),
		exact("late", "A.example.com", "/api/"),
		wildcard("wild", "*.example.com", "/"),
		byRegexp("short", "{.+}.com", "/"),
		byRegexp("long", "{[^.]+}.example.com", "/"),
		byRule("rule", "PathPrefix(`/api`)", PathPrefix("/api")),
		byRule("same", "PathPrefix(`/app`)", PathPrefix("/ap")),
		withPriority(byRegexp("first", "a.{.+}.com", "/first"), 10),
		withPriority(byRegexp("second", "a.{.+}.com", "/first"), 9),
		exact("broken", "", "/"),
	}
	for i, e := range entries {
		e.Order = i
	}
	table, _ := Build(entries, nil)
	for _, tt := range []struct {
		host, path string
		winner     string
		why        string
		losers     []string // "application: part of why", in order; with a "-" in front when it would not match
	}{
		{"A.example.com:80", "/api/v%31/x", "v1", "exact hosts are tried before", []string{
			"-first: the path is not under its prefix /first", "-second: the path is not under",
			"api: its prefix /api is shorter than the winner's /api/v1",
			"root: its prefix / is shorter",
			"wild: wildcard hostname is tried after hostname",
			"long: hostname_regexp is tried after hostname",
			"rule: rule is tried after hostname",
			"same: rule is tried after",
			"short: hostname_regexp is tried after",
			"-late: conflict: a.example.com/api is taken by application \"api\"",
		}},
		{"a.example.com", "/first", "first", "an explicit priority goes before everything", []string{
			"second: its priority 9 is lower than the winner's 10",
			"-v1: the path is not under its prefix /api/v1",
			"-api: the path is not under its prefix /api",
			"root: it has no explicit priority, the winner has 10",
			"wild: no explicit priority", "long: no explicit priority", "short: no explicit priority",
		}},
		{"b.org", "/.well-known/acme-challenge/x", "acme", "prefixes of any host are tried first", nil},
		{"b.example.org", "/app", "same", "by priority, by default the length of their text, here 18", nil},
		{"b.example.org", "/api", "rule", "by priority", []string{"same: it is equal to the winner in everything and comes later"}},
		{"b.c.example.com", "/", "short", "by priority", nil},
		{"c.example.com", "/", "wild", "wildcard hosts are tried before", []string{"long: tried after", "short: tried after"}},
		{"b.org", "/", "", "no frontend takes this host and path", nil},
		{"b.org", "/%", "", "refused: the path has a percent sign", nil},
		{"a.example.com", "/api%2Fx", "", "refused: read as some servers do (Tomcat, Jetty, Spring, Undertow: parameters are cut on the raw path, then it is decoded) the path is \"/api/x\", which belongs to application \"api\"", []string{
			"-first: the host fits", "-second: the host fits", "-v1: the host fits", "-api: the host fits", "root: refused because of its path", "wild: refused", "long: refused", "rule: refused", "same: refused", "short: refused",
		}},
	} {
		x := table.Explain([]byte(tt.host), []byte(tt.path), nil)
		winner := ""
		if x.Winner != nil {
			winner = x.Winner.App
		}
		if winner != tt.winner || !strings.Contains(x.Why, tt.why) {
			t.Errorf("%s%s goes to %q because %q; want %q because %q", tt.host, tt.path, winner, x.Why, tt.winner, tt.why)
		}
		if normal, err := NormalizePath(nil, []byte(tt.path)); err == nil {
			if got := table.Match([]byte(tt.host), normal, nil); got != x.Winner && got != Ambiguous {
				t.Errorf("%s%s: Match says %s", tt.host, tt.path, show(got))
			}
		}
		for i := range max(len(x.Losers), len(tt.losers)) {
			got, want := "", ""
			if i < len(x.Losers) {
				got = x.Losers[i].Entry.App + ": " + x.Losers[i].Why
				if !x.Losers[i].Matches {
					got = "-" + got
				}
			}
			if i < len(tt.losers) {
				want = tt.losers[i]
			}
			app, why, _ := strings.Cut(want, ": ")
			if !strings.HasPrefix(got, app+": ") || !strings.Contains(got, why) {
				t.Errorf("%s%s loser %d: got %q, want %q", tt.host, tt.path, i, got, want)
			}
		}
	}
}

func TestExplainCanonicalForms(t *testing.T) {
	table, _ := Build([]*Entry{exact("a", "h", "/")}, nil)
	if x := table.Explain([]byte("H.:80"), []byte("/%61/./b?c"), nil); x.Host != "h" || x.Path != "/a/b" {
		t.Errorf("got %q and %q", x.Host, x.Path)
	}
}
