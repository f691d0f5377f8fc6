package router

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// manyHosts is the load of the promise: hosts of three prefixes each.
func manyHosts(n int) []*Entry {
	var entries []*Entry
	for i := range n {
		for _, prefix := range []string{"/", "/api", "/static/assets"} {
			entries = append(entries, &Entry{
				App: fmt.Sprintf("app-%d", i), Order: i,
				Host: fmt.Sprintf("app-%05d.example.com", i), PathPrefix: prefix,
			})
		}
	}
	return entries
}

type request struct{ host, path []byte }

// requestsTo asks for the hosts in random order, so that nothing but the table
// decides what is in the processor's caches.
func requestsTo(n int, hostFormat string, paths ...string) []request {
	r := rand.New(rand.NewPCG(1, 2))
	requests := make([]request, 1<<15)
	for i := range requests {
		requests[i] = request{fmt.Appendf(nil, hostFormat, r.IntN(n)), []byte(paths[r.IntN(len(paths))])}
	}
	return requests
}

func benchmarkMatch(b *testing.B, entries []*Entry, requests []request) {
	table, _ := Build(entries, nil)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r := &requests[i&(len(requests)-1)]
		if table.Match(r.host, r.path, nil) == nil {
			b.Fatalf("%s%s: no match", r.host, r.path)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	const n = 10_000
	paths := []string{"/", "/index.html", "/api", "/api/v1/users/42", "/static/assets/app.js", "/about/us"}
	b.Run("hosts=10000/prefixes=3", func(b *testing.B) {
		benchmarkMatch(b, manyHosts(n), requestsTo(n, "app-%05d.example.com", paths...))
	})
	b.Run("hosts=10000/prefixes=3/port", func(b *testing.B) {
		benchmarkMatch(b, manyHosts(n), requestsTo(n, "app-%05d.example.com:8080", paths...))
	})
	b.Run("hosts=10000/prefixes=3/upper", func(b *testing.B) {
		benchmarkMatch(b, manyHosts(n), requestsTo(n, "App-%05d.Example.com", paths...))
	})
	b.Run("hosts=1", func(b *testing.B) {
		benchmarkMatch(b, manyHosts(1), requestsTo(1, "app-%05d.example.com", paths...))
	})
}

func BenchmarkBuild(b *testing.B) {
	var rules []*Entry
	for i := range 10_000 {
		host := fmt.Sprintf("app-%05d.example.com", i)
		rules = append(rules, byRule(host, "Host(`"+host+"`) && PathPrefix(`/api`)", And(Host(host), PathPrefix("/api"))))
	}
	for _, bb := range []struct {
		name    string
		entries []*Entry
	}{
		{"hosts=10000/prefixes=3", manyHosts(10_000)},
		{"rules=10000", rules},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Build(bb.entries, nil)
			}
		})
	}
}

func BenchmarkMatchOther(b *testing.B) {
	var patterns, prefixes []*Entry
	for i := range 100 {
		patterns = append(patterns, byRegexp("p", fmt.Sprintf("app%d.{[a-z]+}.{name:[a-z0-9-]+}.com", i), "/"))
		prefixes = append(prefixes, exact("x", "h", fmt.Sprintf("/a/%d", i)))
	}
	for _, bb := range []struct {
		name       string
		entries    []*Entry
		host, path string
	}{
		{"wildcard", []*Entry{wildcard("w", "*.example.com", "/")}, "a.example.com", "/"},
		{"regexps=1/label", []*Entry{byRegexp("r", "hello.{[^.]+}.example.net", "/")}, "hello.dev.example.net", "/"},
		{"regexps=1", []*Entry{byRegexp("r", "hello.{[a-z]+}.example.net", "/")}, "hello.dev.example.net", "/"},
		{"regexps=100", patterns, "app42.abc.xyz.com", "/"},
		{"prefixes=100", prefixes, "h", "/a/42/x"},
		{"encoded-slash", manyHosts(1), "app-00000.example.com", "/api/a%2Fb"},
		{"rule", []*Entry{byRule("r", "r", And(Host("a.b"), PathPrefix("/x")))}, "a.b", "/xyz"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			benchmarkMatch(b, bb.entries, []request{{[]byte(bb.host), []byte(bb.path)}})
		})
	}
}
