package router

import (
	"regexp"
	"strings"
	"testing"
)

func ofRank(r Rank, e *Entry) *Entry {
	e.Rank, e.Order = r, int(r)
	return e
}

func TestRanks(t *testing.T) {
	everything := And(HostRegexp(regexp.MustCompile(`^.+$`)))
	for _, tt := range []struct {
		name      string
		entries   []*Entry
		want      map[string]string
		conflicts []string // parts of them, in order
	}{
		{"a regexp of everything with the highest priority", []*Entry{
			exact("site", "a.com", "/api"), ofRank(RankDocker, withPriority(byRule("greedy", "HostRegexp(`^.+$`)", everything), 1<<30)), ofRank(RankDocker, exact("own", "b.com", "/")),
		}, map[string]string{"a.com /api/x": "site", "a.com /": "", "A.com:80 /x": "", "b.com /": "greedy", "c.com /": "greedy", "c.com /.well-known/acme-challenge/t": ""}, []string{`gives way to application "site"`}},
		{"prefixes of any host, wildcards, patterns", []*Entry{
			exact("site", "a.com", "/api"), wildcard("wild", "*.b.com", "/w"), byRegexp("pattern", "{[a-z]+}.c.com", "/p"), byRule("rule", "Host(`d.com`) && Method(`POST`)", And(Host("d.com"), Method("POST"))),
			ofRank(RankDocker, anyHost("any", "/x")), ofRank(RankDocker, wildcard("com", "*.com", "/")), ofRank(RankS3, byRegexp("all", "{.+}", "/")),
		}, map[string]string{
			"a.com /x": "", "a.com /": "", "a.com /api": "site", "q.b.com /x": "", "q.b.com /w": "wild", "q.b.com /": "", "q.c.com /x": "", "q.c.com /p": "pattern",
			"d.com /x": "", "e.com /x": "any", "e.com /": "com", "e.org /": "all", "e.org /x": "any",
		}, []string{"com", "any", "all"}},
		{"the same host and path", []*Entry{
			exact("site", "a.com", "/"), ofRank(RankDocker, withPriority(exact("late", "A.com", "/x"), 9)), ofRank(RankDocker, exact("own", "b.com", "/")), ofRank(RankStream, exact("stream", "b.com", "/y")),
		}, map[string]string{"a.com /x": "site", "b.com /y/z": "stream", "b.com /": "own"}, []string{"late"}},
		{"what serves any host for a path", []*Entry{
			anyHost("acme", "/.well-known/acme-challenge/"), ofRank(RankDocker, exact("own", "b.com", "/")), ofRank(RankDocker, withPriority(byRegexp("greedy", "{.+}", "/"), 7)),
		}, map[string]string{"b.com /.well-known/acme-challenge/t": "acme", "c.com /.well-known/acme-challenge/t": "acme", "c.com /": "greedy", "b.com /": "greedy"}, nil},
		{"not this host", []*Entry{
			exact("site", "a.com", "/x"), ofRank(RankDocker, byRule("others", "!Host(`b.com`)", Not(Host("b.com")))),
		}, map[string]string{"a.com /": "", "b.com /": "", "c.com /": "others"}, []string{"others"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			table, conflicts := Build(tt.entries, nil)
			for asked, want := range tt.want {
				host, path, _ := strings.Cut(asked, " ")
				got := ""
				if e := table.Match([]byte(host), []byte(path), nil); e != nil {
					got = e.App
				}
				x := table.Explain([]byte(host), []byte(path), nil)
				if got != want || (x.Winner == nil) != (want == "") || x.Winner != nil && x.Winner.App != want {
					t.Errorf("%q: got %q, want %q; explained as %+v", asked, got, want, x)
				}
			}
			var told []string
			for _, c := range conflicts {
				told = append(told, c.String())
			}
			all := strings.Join(told, "\n")
			if len(conflicts) < len(tt.conflicts) {
				t.Errorf("conflicts: %s", all)
			}
			for _, want := range tt.conflicts {
				if !strings.Contains(all, want) {
					t.Errorf("nothing of %q in conflicts: %s", want, all)
				}
			}
		})
	}
}

func TestRulePriority(t *testing.T) {
	numbered := func(e *Entry, n int) *Entry {
		e.RulePriority, e.HasRulePriority = n, true
		return e
	}
	table, conflicts := Build([]*Entry{
		numbered(byRule("catchall", "HostRegexp(`.+`)", HostRegexp(regexp.MustCompile(".+"))), 1), byRule("host", "Host(`a`)", Host("a")),
		numbered(byRule("high", "Host(`b`)", Host("b")), 100), byRule("long", "Host(`b`) && PathPrefix(`/x`)", And(Host("b"), PathPrefix("/x"))),
		numbered(byRule("low", "Host(`a`) && Method(`GET`)", And(Host("a"), Method("GET"))), 5),
	}, nil)
	if len(conflicts) > 0 {
		t.Fatal(conflicts)
	}
	for asked, want := range map[string]string{"a /": "host", "b /x": "high", "c /": "catchall"} {
		host, path, _ := strings.Cut(asked, " ")
		if e := table.Match([]byte(host), []byte(path), &testAttributes{method: "GET"}); e == nil || e.App != want {
			t.Errorf("%s: got %v, want %s", asked, show(e), want)
		}
	}
}
