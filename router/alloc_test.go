package router

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"testing"
)

// fixedAttributes return what they hold, so that only the matchers can allocate.
type fixedAttributes struct {
	method, header, query []byte
	ip                    netip.Addr
}

func (a *fixedAttributes) Method() []byte { return a.method }
func (a *fixedAttributes) Header(_ string, from int) ([]byte, int) {
	if from > 0 {
		return nil, 0
	}
	return a.header, 1
}
func (a *fixedAttributes) Query() []byte        { return a.query }
func (a *fixedAttributes) ClientIP() netip.Addr { return a.ip }

func TestMatchDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	re := regexp.MustCompile
	var patterns, rules, explicit, prefixes []*Entry
	for i := range 50 {
		patterns = append(patterns, byRegexp("p", fmt.Sprintf("app%d.{[a-z]+}.{name:[a-z0-9-]+|x{2}}.com", i), "/"))
		explicit = append(explicit, withPriority(wildcard("e", fmt.Sprintf("*.e%d", i), "/"), i))
		prefixes = append(prefixes, exact("x", "h", fmt.Sprintf("/a/%d", i)))
	}
	all := And(
		Or(Host("none"), HostRegexp(re(`^r\.(a|b)+$`)), HostMatches(pattern("r.{[a-z]+}"))), HostMatches(pattern("{[^.]+}.{[a-z]*}")),
		PathPrefix("/a"), Not(Path("/b")), PathRegexp(re(`^/[a-z]+/\d+$`)), Method("GET", "POST"), ClientIP(netip.MustParsePrefix("10.0.0.0/8")),
		Header("X", "v"), HeaderRegexp("X", re("^[u-w]$")), Query("a", "b c"), QueryRegexp("a", re("^b.c$")), QueryRegexp("d", re("e")),
	)
	rules = append(rules, byRule("rule", "r", all))
	a := &fixedAttributes{method: []byte("POST"), header: []byte("v"), query: []byte("x&a=b%20c&d=e"), ip: netip.MustParseAddr("10.1.1.1")}

	for _, tt := range []struct {
		name       string
		entries    []*Entry
		host, path string
	}{
		{"exact host", manyHosts(100), "app-00042.example.com", "/static/assets/app.js"},
		{"port", manyHosts(100), "app-00042.example.com:8080", "/"},
		{"upper case", manyHosts(100), "APP-00042.example.com.:8080", "/"},
		{"encoded slash", manyHosts(100), "app-00042.example.com", "/api/a%2Fb"},
		{"wildcard", []*Entry{wildcard("w", "*.example.com", "/")}, "a.example.com", "/"},
		{"any host", []*Entry{anyHost("a", "/.well-known")}, "a", "/.well-known/x"},
		{"many prefixes", prefixes, "h", "/a/42/x"},
		{"a prefix as text", []*Entry{exact("s", "h", "/a"), asText(exact("t", "h", "/a"))}, "h", "/ab"},
		{"regexps", patterns, "app42.abc.xx.com", "/"},
		{"regexps, upper case", patterns, "App42.abc.a-b.com", "/"},
		{"rule", rules, "r.ab", "/a/1"},
		{"rule, upper case", rules, "R.ab:80", "/a/1"},
		{"explicit priority", slices.Concat(explicit, patterns), "x.E42:80", "/a%5Cb"},
	} {
		table, _ := Build(tt.entries, nil)
		host, path := []byte(tt.host), []byte(tt.path)
		if table.Match(host, path, a) == nil {
			t.Errorf("%s: no match", tt.name)
		}
		if n := testing.AllocsPerRun(1000, func() { table.Match(host, path, a) }); n != 0 {
			t.Errorf("%s: %v allocations", tt.name, n)
		}
	}
}

func TestNormalizePathDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	dst := make([]byte, 0, 256)
	for _, raw := range []string{"/a/b", "", "/%61//b/./c%2Fd", "/%zz", "/..", "/a\\b"} {
		raw := []byte(raw)
		if n := testing.AllocsPerRun(100, func() { NormalizePath(dst, raw) }); n != 0 {
			t.Errorf("%q: %v allocations", raw, n)
		}
	}
}

func TestStripPrefixDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	dst := make([]byte, 0, 256)
	for _, target := range []string{"/files/a?b", "/files?b", "/files", "/%66iles/a", "/x/../files/%61", "/other"} {
		target := []byte(target)
		if n := testing.AllocsPerRun(100, func() { StripPrefix(dst, target, "/files") }); n != 0 {
			t.Errorf("%q: %v allocations", target, n)
		}
	}
}
