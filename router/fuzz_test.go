package router

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"edgerouter/internal/testkit"
)

// dice makes choices out of the bytes of a fuzzer.
type dice []byte

func (d *dice) roll(n int) int {
	if len(*d) == 0 {
		return 0
	}
	b := (*d)[0]
	*d = (*d)[1:]
	return int(b) % n
}

func pick[T any](d *dice, from []T) T { return from[d.roll(len(from))] }

var (
	fuzzHosts = []string{
		"a.example.com", "A.Example.com", "b.example.com", "example.com", "a.b", "aa.b", "a.c", "com", "x.a.b",
		"a.b:80", "a.b.", "A.B.:8080", "127.0.0.1", "[::1]:80", "", ".b", "a..b",
	}
	fuzzPrefixes = []string{
		"", "/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/a-b", "/a/b-c", "/b", "/a.b", "/a/c", "/c", "/d", "/e", "/f", "/a/d", "/a/e",
		"/a/b/d", "/a/b/e", "/g", "/h",
	}
	fuzzPaths = []string{"/", "/a", "/a/", "/ab", "/a/b", "/a/b/c/d", "/a-b", "/a/bc", "/a/b-", "/b/a", "/z", "/a%25b", "*", "/.well-known/acme-challenge/x"}
	fuzzRules = []Matcher{
		Host("a.b"),
		And(Host("a.b", "A.Example.com"), PathPrefix("/a")),
		Or(Host("a.b"), PathPrefix("/b")),
		Not(Host("a.b")),
		And(Method("get"), HostRegexp(regexp.MustCompile(`^a\.`))),
		Or(And(Host("a.b")), And(Host("a.c"), Query("q", "1"))),
		And(Path("/a"), ClientIP(netip.MustParsePrefix("10.0.0.0/8"))),
		Header("X-A", "1"),
		bareRule{},
	}
)

// bareRule is a matcher from outside, of which nothing is known.
type bareRule struct{}

func (bareRule) Match(host, path []byte, a Attributes) bool { return len(path)%2 == 0 }

var fuzzPatterns = func() (l []*HostPattern) {
	for _, text := range slices.Sorted(maps.Keys(referencePatterns)) {
		l = append(l, pattern(text))
	}
	return l
}()

func fuzzEntries(d *dice) []*Entry {
	entries := make([]*Entry, d.roll(48))
	for i := range entries {
		e := &Entry{App: "app-" + strconv.Itoa(d.roll(4)), Order: d.roll(3), Frontend: i, Kind: Kind(d.roll(5)), PathPrefix: pick(d, fuzzPrefixes), StringPrefix: d.roll(3) == 0}
		switch e.Kind {
		case Exact:
			e.Host = pick(d, fuzzHosts)
		case Wildcard:
			e.Host = "*." + pick(d, fuzzHosts)
		case Regexp:
			e.HostRegexp = pick(d, fuzzPatterns)
		case Rule:
			e.Rule = pick(d, fuzzRules)
			e.Text = strings.Repeat("r", d.roll(4))
			if e.Rule == (bareRule{}) {
				e.Text = "" // so that it conflicts with nothing, as in the reference
			}
		}
		if d.roll(4) == 3 {
			e.HasPriority, e.Priority = true, d.roll(4)-1
		}
		if d.roll(4) == 3 {
			e.HasRulePriority, e.RulePriority = true, d.roll(40)
		}
		entries[i] = e
	}
	// In half of the sets there are ranks.
	if d.roll(2) == 1 {
		for _, e := range entries {
			e.Rank = Rank(d.roll(4))
		}
	}
	return entries
}

// FuzzMatch holds the table against the reference.
func FuzzMatch(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 1, 1}, "a.example.com", "/a")
	f.Fuzz(checkAgainstReference)
}

// TestMatchAgainstReference does what FuzzMatch does with programs that are long
// enough to make large tables.
func TestMatchAgainstReference(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	rounds := 50
	if testkit.IsLong() && !raceEnabled {
		rounds = 500
	}
	for range rounds {
		program := make([]byte, 600)
		for i := range program {
			program[i] = byte(r.Uint32())
		}
		checkAgainstReference(t, program, pick((*dice)(&program), fuzzHosts), pick((*dice)(&program), fuzzPaths))
	}
}

func checkAgainstReference(t *testing.T, program []byte, host, path string) {
	d := dice(program)
	entries := fuzzEntries(&d)
	table, conflicts := Build(entries, nil)
	lost := 0
	for _, c := range conflicts {
		if !c.Partial {
			lost++
		}
	}
	if table.Len()+lost != len(entries) {
		t.Fatalf("%d entries became %d and %d conflicts", len(entries), table.Len(), lost)
	}

	shuffled := slices.Clone(entries)
	for i := range shuffled {
		j := i + d.roll(len(shuffled)-i)
		shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
	}
	other, otherConflicts := Build(shuffled, nil)
	if !slices.Equal(conflicts, otherConflicts) {
		t.Fatalf("the order of entries changes the conflicts:\n%v\n%v", conflicts, otherConflicts)
	}

	a := &testAttributes{method: "GET", query: "q=1", ip: "10.1.2.3"}
	check := func(host, path string) {
		if special, upper := look(path); special || upper {
			return
		}
		want := referenceMatch(entries, host, path, a)
		if i := slices.IndexFunc(conflicts, func(c Conflict) bool { return !c.Partial && c.Loser == want }); i >= 0 {
			t.Fatalf("%q%q goes to %v, which is told as not served: %v", host, path, show(want), conflicts[i])
		}
		if got := table.Match([]byte(host), []byte(path), a); got != want {
			t.Fatalf("Match(%q, %q) = %v, want %v", host, path, show(got), show(want))
		}
		if got := other.Match([]byte(host), []byte(path), a); got != want {
			t.Fatalf("shuffled: Match(%q, %q) = %v, want %v", host, path, show(got), show(want))
		}
		if normal, err := NormalizePath(nil, []byte(path)); err == nil && string(normal) == path {
			if got := table.Explain([]byte(host), []byte(path), a); got.Winner != want {
				t.Fatalf("Explain(%q, %q) = %v, want %v", host, path, show(got.Winner), show(want))
			}
		}
	}
	check(host, path)
	for _, host := range fuzzHosts {
		check(host, pick(&d, fuzzPaths))
	}
}

func show(e *Entry) string {
	if e == nil {
		return "nothing"
	}
	n, _ := newNode(e)
	return e.name() + " " + e.Kind.String() + " " + n.describe()
}

// FuzzNormalizePath checks what the comment of NormalizePath promises.
func FuzzNormalizePath(f *testing.F) {
	for _, tt := range normalizeTests {
		f.Add([]byte(tt.raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := bytes.Clone(raw)
		normal, err := NormalizePath(make([]byte, 0, 8), raw)
		if !bytes.Equal(before, raw) {
			t.Fatalf("the raw path was changed from %q to %q", before, raw)
		}
		if err != nil {
			return
		}
		if string(normal) != "*" && !bytes.HasPrefix(normal, []byte("/")) {
			t.Fatalf("%q became %q, which has no leading slash", raw, normal)
		}
		for _, bad := range []string{"//", "/./", "/../", "\\", "?", "#", "\x00", "\x7f", "\n"} {
			if bytes.Contains(normal, []byte(bad)) {
				t.Fatalf("%q became %q, which has a %q", raw, normal, bad)
			}
		}
		if bytes.HasSuffix(normal, []byte("/.")) || bytes.HasSuffix(normal, []byte("/..")) {
			t.Fatalf("%q became %q, which ends with a dot segment", raw, normal)
		}
		// Whoever decodes separators finds no dot segment.
		for segment := range bytes.SplitSeq(backslashes(nil, decode(nil, bytes.ReplaceAll(normal, []byte("%25"), nil))), []byte("/")) {
			if s := string(cutParameters(nil, segment)); s == "." || s == ".." {
				t.Fatalf("%q became %q, in which an encoded separator hides a dot segment", raw, normal)
			}
		}
		for _, escape := range regexp.MustCompile(`%.?.?`).FindAll(normal, -1) {
			if !slices.Contains([]string{"%2F", "%5C", "%25", "%3F", "%23", "%7F"}, string(escape)) && (len(escape) != 3 || escape[1] > '1') {
				t.Fatalf("%q became %q, in which %q ought to be decoded", raw, normal, escape)
			}
		}
		again, err := NormalizePath(nil, normal)
		if err != nil || !bytes.Equal(again, normal) {
			t.Fatalf("%q became %q, which becomes %q, %v", raw, normal, again, err)
		}
		// Encoding everything that may be encoded makes no difference.
		var encoded []byte
		for _, c := range raw[:pathEnd(raw)] {
			if c == '/' || c == '%' || string(normal) == "*" {
				encoded = append(encoded, c)
			} else {
				encoded = appendEscaped(encoded, c)
			}
		}
		if !bytes.Contains(raw, []byte("%")) {
			same, err := NormalizePath(nil, encoded)
			if err != nil || !bytes.Equal(same, normal) {
				t.Fatalf("%q became %q, but encoded it becomes %q, %v", raw, normal, same, err)
			}
		}
	})
}

// FuzzStripPrefix checks that stripping a raw target and stripping its normal
// form come to the same.
func FuzzStripPrefix(f *testing.F) {
	for _, tt := range stripTests {
		f.Add([]byte(tt.target), tt.prefix)
	}
	f.Fuzz(func(t *testing.T, target []byte, prefix string) {
		prefix, err := CanonicalPrefix(prefix)
		if err != nil {
			return
		}
		before := bytes.Clone(target)
		stripped, ok := StripPrefix(make([]byte, 0, 4), target, prefix)
		if !bytes.Equal(before, target) {
			t.Fatalf("the target was changed from %q to %q", before, target)
		}
		normal, err := NormalizePath(nil, target)
		if want := err == nil && string(normal) != "*" && len(target) > 0 && target[0] == '/' && under(normal, prefix); ok != want {
			t.Fatalf("StripPrefix(%q, %q) = %q, %v with the normal form %q", target, prefix, stripped, ok, normal)
		}
		if !ok {
			return
		}
		if !bytes.HasPrefix(stripped, []byte("/")) || bytes.HasPrefix(stripped, []byte("//")) {
			t.Fatalf("StripPrefix(%q, %q) = %q does not begin with one slash", target, prefix, stripped)
		}
		if got, want := stripped[pathEnd(stripped):], target[pathEnd(target):]; !bytes.Equal(got, want) {
			t.Fatalf("StripPrefix(%q, %q) = %q has the query %q", target, prefix, stripped, got)
		}
		got, err := NormalizePath(nil, stripped)
		want := normal[len(prefix):]
		if len(want) == 0 {
			want = []byte("/")
		}
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("StripPrefix(%q, %q) = %q, whose normal form is %q, %v; want %q", target, prefix, stripped, got, err, want)
		}
	})
}

// FuzzHostPattern holds patterns against the plain form of their expression.
func FuzzHostPattern(f *testing.F) {
	for _, tt := range patternTests {
		f.Add(tt.pattern, tt.yes)
		f.Add(tt.pattern, tt.no)
	}
	f.Fuzz(func(t *testing.T, pattern, host string) {
		p, err := CompileHostPattern(pattern)
		if err != nil {
			return
		}
		plain, err := regexp.Compile(`\A(?:` + p.canonical + `)\z`)
		if err != nil {
			t.Fatalf("%q: canonical form: %v", pattern, err)
		}
		canonical := appendLower(nil, trimHost([]byte(host)))
		if got, want := p.MatchHost([]byte(host)), plain.Match(canonical); got != want {
			t.Fatalf("%q on %q: %v, plain %s: %v", pattern, host, got, plain, want)
		}
	})
}
