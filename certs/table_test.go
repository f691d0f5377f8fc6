package certs

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestLookup(t *testing.T) {
	c := func(names ...string) *Certificate { return certificate(t, ecdsaKey(), 90*day, names...) }
	exact, wild, deep, many := c("example.com"), c("*.Example.com"), c("*.a.example.com"), c("one.example.net", "two.example.net")
	table := NewTable([][]*Certificate{{exact, wild, deep, many}}, time.Now())
	for _, x := range []struct {
		name string
		want *Certificate
	}{
		{"example.com", exact},
		{"EXAMPLE.com", exact},
		{"example.com.", exact},
		{"www.example.com", wild},
		{"WWW.Example.COM.", wild},
		{"a.example.com", wild},
		{"b.a.example.com", deep},
		{"c.b.a.example.com", nil},
		{"one.example.net", many},
		{"two.example.net", many},
		{"three.example.net", nil},
		{".example.com", nil},
		{"*.example.com", wild},
		{"com", nil},
		{"", nil},
		{".", nil},
		{"..", nil},
		{"example.com..", nil},
		{strings.Repeat("a", 400) + ".example.com", nil},
		{"ex\x00ample.com", nil},
	} {
		got := table.Lookup(x.name, nil)
		if x.want == nil && got != nil || x.want != nil && got != x.want.TLS {
			t.Errorf("Lookup(%q) found the wrong certificate", x.name)
		}
	}
}

func TestWhichOfSeveralWins(t *testing.T) {
	now := time.Now()
	c := func(valid time.Duration) *Certificate { return certificate(t, ecdsaKey(), valid, "x.example.com") }
	long, short, expired, other := c(90*day), c(30*day), c(-day), c(365*day)
	for _, x := range []struct {
		name    string
		sources [][]*Certificate
		want    *Certificate
	}{
		{"valid longer within a source", [][]*Certificate{{short, long}}, long},
		{"valid longer, the other way round", [][]*Certificate{{long, short}}, long},
		{"the earlier source, though shorter", [][]*Certificate{{short}, {other}}, short},
		{"one that has not expired", [][]*Certificate{{expired}, {short}}, short},
		{"an expired one rather than none", [][]*Certificate{{expired}}, expired},
	} {
		if NewTable(x.sources, now).Lookup("x.example.com", nil) != x.want.TLS {
			t.Errorf("%s does not win", x.name)
		}
	}
}

func TestLookupAllocatesNothing(t *testing.T) {
	const n = 100_000
	base := certificate(t, ecdsaKey(), 90*day, "example.com")
	var certs []*Certificate
	for i := range n / 100 {
		c := *base
		c.Names = nil
		for j := range 99 {
			c.Names = append(c.Names, fmt.Sprintf("host-%d-%d.example.com", i, j))
		}
		c.Names = append(c.Names, fmt.Sprintf("*.wild-%d.example.com", i))
		certs = append(certs, &c)
	}
	table := NewTable([][]*Certificate{certs}, time.Now())
	if table.Names() != n {
		t.Fatalf("%d names", table.Names())
	}
	hello := &tls.ClientHelloInfo{}
	for _, name := range []string{"host-500-50.example.com", "HOST-500-50.Example.com.", "anything.wild-7.example.com", "unknown.example.org"} {
		if allocs := testing.AllocsPerRun(100, func() { table.Lookup(name, hello) }); allocs != 0 && !raceEnabled {
			t.Errorf("Lookup(%q) allocates %v times", name, allocs)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	const n = 100_000
	base := certificate(b, ecdsaKey(), 90*day, "example.com")
	c := *base
	c.Names = nil
	for i := range n {
		c.Names = append(c.Names, fmt.Sprintf("host-%d.example.com", i))
	}
	certs := []*Certificate{&c}
	table := NewTable([][]*Certificate{certs}, time.Now())
	names := make([]string, 1024)
	for i := range names {
		names[i] = fmt.Sprintf("host-%d.example.com", i*97%n)
	}
	b.Run("names=100000", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if table.Lookup(names[i%len(names)], nil) == nil {
				b.Fatal("not found")
			}
		}
	})
	b.Run("build", func(b *testing.B) {
		for b.Loop() {
			NewTable([][]*Certificate{certs}, time.Now())
		}
	})
}

// Whatever a client sends as a name, a lookup finds what a plain search finds.
func FuzzLookup(f *testing.F) {
	for _, s := range []string{"example.com", "WWW.example.com", "a.b.example.com.", "", ".", "xn--bcher-kva.example", "[::1]", "\xff.example.com"} {
		f.Add(s)
	}
	names := []string{"example.com", "*.example.com", "xn--bcher-kva.example", "*.b.example.com"}
	var certs []*Certificate
	for _, name := range names {
		certs = append(certs, certificate(f, ecdsaKey(), 90*day, name))
	}
	table := NewTable([][]*Certificate{certs}, time.Now())
	f.Fuzz(func(t *testing.T, name string) {
		got := table.Lookup(name, nil)
		lower := strings.Map(func(r rune) rune {
			if 'A' <= r && r <= 'Z' {
				return r + 'a' - 'A'
			}
			return r
		}, strings.TrimSuffix(name, "."))
		var want *tls.Certificate
		for i, n := range names {
			if n == lower {
				want = certs[i].TLS
			}
		}
		if label, parent, ok := strings.Cut(lower, "."); want == nil && ok && label != "" {
			for i, n := range names {
				if n == "*."+parent {
					want = certs[i].TLS
				}
			}
		}
		if len(strings.TrimSuffix(name, ".")) > maxName {
			want = nil // no name of DNS
		}
		if got != want {
			t.Errorf("Lookup(%q) differs from a plain search", name)
		}
		if clean := Clean(name); len(clean) > maxName || strings.ContainsAny(clean, "\r\n\x1b\x00\"") {
			t.Errorf("Clean(%q) = %q", name, clean)
		}
	})
}
