package certs

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/internal/testkit"
	"edgerouter/metrics"
)

// manyCerts makes n certificates of one name each, which share a key.
func manyCerts(t testing.TB, n int) []*Certificate {
	base := certificate(t, ecdsaKey(), 90*day, "example.com")
	out := make([]*Certificate, n)
	for i := range out {
		c := *base
		c.Names = []string{fmt.Sprintf("host-%d.example.com", i)}
		out[i] = &c
	}
	return out
}

// swapped is the list with another certificate in one place.
func swapped(list []*Certificate, i int) []*Certificate {
	next := slices.Clone(list)
	c := *list[i]
	next[i] = &c
	return next
}

// A swap touches the names of one certificate, and shares the rest of the table.
func TestSwapSharesTheTable(t *testing.T) {
	s := NewStore(Options{Metrics: metrics.NewSet(), Log: zerolog.Nop()})
	list := manyCerts(t, 20_000)
	s.Set(SourceFile, list, nil)
	before := s.Table()
	next := swapped(list, 777)
	next[777].TLS = &tls.Certificate{Leaf: next[777].TLS.Leaf}
	s.Set(SourceFile, next, nil)
	after := s.Table()
	if after.Lookup("host-777.example.com", nil) != next[777].TLS || before.Lookup("host-777.example.com", nil) != list[777].TLS {
		t.Fatal("the swap is not in the new table alone")
	}
	changed := 0
	for i := range before.exact {
		for name, c := range before.exact[i] {
			if after.exact[i][name] != c {
				changed++
			}
		}
	}
	if changed != 1 || after.Names() != 20_000 {
		t.Errorf("%d names were changed, %d are there", changed, after.Names())
	}
	// Removing and adding come out as a table that was made at once.
	s.Set(SourceFile, slices.Delete(slices.Clone(next), 100, 200), nil)
	if s.Table().Names() != 19_900 || s.Table().Lookup("host-150.example.com", nil) != nil || s.Table().Lookup("host-200.example.com", nil) == nil {
		t.Error("removing a hundred went wrong")
	}
	slices.Reverse(next)
	s.Set(SourceFile, next, nil)
	if s.Table().Names() != 20_000 || s.Table().Lookup("host-777.example.com", nil) == nil {
		t.Error("another order went wrong")
	}
}

func BenchmarkSwapAmong100000(b *testing.B) {
	s := NewStore(Options{Metrics: metrics.NewSet(), Log: zerolog.Nop()})
	list := manyCerts(b, 100_000)
	s.Set(SourceFile, list, nil)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		list = swapped(list, i*7919%len(list))
		s.Set(SourceFile, list, nil)
	}
}

// Full handshakes while one certificate after another among 100,000 is swapped:
// none fails. It logs p99 without and with the swaps, ten a second.
func TestSwapUnderLoad(t *testing.T) {
	testkit.Long(t)
	if raceEnabled {
		t.Skip("it is about time")
	}
	s := NewStore(Options{Metrics: metrics.NewSet(), Log: zerolog.Nop()})
	list := manyCerts(t, 100_000)
	s.Set(SourceFile, list, nil)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", s.TLSConfig(TLSOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			})
		}
	})
	load := func(d time.Duration) (p99 time.Duration, n int, failed int64) {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		var all []time.Duration
		var bad atomic.Int64
		var mu sync.Mutex
		var clients sync.WaitGroup
		for range 2 {
			clients.Go(func() {
				var mine []time.Duration
				for i := 0; ctx.Err() == nil; i++ {
					began := time.Now()
					name := fmt.Sprintf("host-%d.example.com", i*31%100_000)
					conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", ln.Addr().String(), insecure(name))
					if err != nil {
						bad.Add(1)
						continue
					}
					conn.Close()
					mine = append(mine, time.Since(began))
				}
				mu.Lock()
				defer mu.Unlock()
				all = append(all, mine...)
			})
		}
		clients.Wait()
		slices.Sort(all)
		if len(all) == 0 {
			return 0, 0, bad.Load()
		}
		return all[len(all)*99/100], len(all), bad.Load()
	}
	load(300 * time.Millisecond)
	still, n, failed := load(2 * time.Second)
	ctx, stop := context.WithCancel(t.Context())
	var swapping sync.WaitGroup
	swaps := 0
	swapping.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				list = swapped(list, i*7919%len(list))
				s.Set(SourceFile, list, nil)
				swaps++
			}
		}
	})
	moved, m, failedToo := load(2 * time.Second)
	stop()
	swapping.Wait()
	ln.Close()
	serving.Wait()
	t.Logf("p99 of full handshakes: %v of %d without swaps, %v of %d with %d of them", still, n, moved, m, swaps)
	if failed+failedToo > 0 {
		t.Errorf("%d handshakes failed", failed+failedToo)
	}
}
