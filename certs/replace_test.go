package certs

import (
	"crypto/tls"
	"testing"

	"github.com/rs/zerolog"

	"edgerouter/metrics"
)

// Replace comes out as Set does, and what a source does not have is not replaced.
func TestReplace(t *testing.T) {
	s := NewStore(Options{Metrics: metrics.NewSet(), Log: zerolog.Nop()})
	list := manyCerts(t, 3)
	s.Set(SourceFile, list, nil)
	fresh := *list[1]
	fresh.TLS = &tls.Certificate{Leaf: list[1].TLS.Leaf}
	fresh.Names = []string{"host-1.example.com", "more.example.com"}
	if !s.Replace(SourceFile, list[1], &fresh) {
		t.Fatal("it was not replaced")
	}
	for _, name := range fresh.Names {
		if s.Table().Lookup(name, nil) != fresh.TLS {
			t.Errorf("%s is not served by the new certificate", name)
		}
	}
	if s.Table().Names() != 4 {
		t.Errorf("there are %d names, want 4", s.Table().Names())
	}
	for _, source := range []string{SourceFile, SourceACME, "nobody"} {
		if s.Replace(source, list[1], list[1]) {
			t.Errorf("%s had a certificate that it does not have", source)
		}
	}
	// What Set is given next is compared with what Replace left.
	next := []*Certificate{list[0], &fresh, list[2]}
	before := s.Table()
	if s.Set(SourceFile, next, nil); s.Table() != before {
		t.Error("the same certificates made another table")
	}
	if s.Set(SourceFile, list, nil); s.Table().Lookup("more.example.com", nil) != nil || s.Table().Lookup("host-1.example.com", nil) != list[1].TLS {
		t.Error("the old list did not come back")
	}
}

func BenchmarkReplaceAmong100000(b *testing.B) {
	s := NewStore(Options{Metrics: metrics.NewSet(), Log: zerolog.Nop()})
	list := manyCerts(b, 100_000)
	s.Set(SourceFile, list, nil)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		at := i * 7919 % len(list)
		c := *list[at]
		if !s.Replace(SourceFile, list[at], &c) {
			b.Fatal("it was not replaced")
		}
		list[at] = &c
	}
}
