package gateway

import (
	"fmt"
	"slices"
	"testing"

	"github.com/rs/zerolog"

	"edgerouter/app"
	"edgerouter/metrics"
)

const manyApps = 10_000

// many are applications of three frontends each.
func many(n int) []app.Application {
	apps := make([]app.Application, n)
	for i := range apps {
		host := fmt.Sprintf("app-%05d.example.com", i)
		apps[i] = peers(fmt.Sprintf("app-%d", i), "http://127.0.0.1:8080", host)
		apps[i].Frontends = append(apps[i].Frontends,
			app.Frontend{Kind: app.FrontendHostname, Hostname: host, PathPrefix: "/api"},
			app.Frontend{Kind: app.FrontendHostname, Hostname: host, PathPrefix: "/static"})
	}
	return apps
}

func benchGateway(b *testing.B) *Gateway {
	fs := &fakes{}
	g := New(Options{
		Builders: map[app.BackendKind]Builder{app.BackendPeerSet: fs.build},
		Metrics:  metrics.NewSet(), Log: zerolog.Nop(),
	})
	b.Cleanup(g.Close)
	return g
}

// BenchmarkApply is what a change costs with 10,000 applications of three
// frontends each.
func BenchmarkApply(b *testing.B) {
	apps := many(manyApps)
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			benchGateway(b).Apply(files(apps...))
		}
	})
	b.Run("equal", func(b *testing.B) {
		g := benchGateway(b)
		g.Apply(files(apps...))
		b.ReportAllocs()
		for b.Loop() {
			g.Apply(files(apps...))
		}
	})
	changing := func(change func(apps []app.Application, i int)) func(*testing.B) {
		return func(b *testing.B) {
			g := benchGateway(b)
			current := slices.Clone(apps)
			g.Apply(files(current...))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				current = slices.Clone(current)
				change(current, i)
				g.Apply(files(current...))
			}
			if g.Snapshot().Generation < 2 {
				b.Fatal("nothing was applied")
			}
		}
	}
	b.Run("one backend", changing(func(apps []app.Application, i int) {
		apps[5000].Backend = app.Backend{Kind: app.BackendPeerSet, PeerSet: &app.PeerSetOpts{Addrs: []string{fmt.Sprintf("http://127.0.0.1:%d", 1000+i%2)}}}
	}))
	b.Run("one frontend", changing(func(apps []app.Application, i int) {
		f := slices.Clone(apps[5000].Frontends)
		f[1].PathPrefix = fmt.Sprintf("/api%d", i%2)
		apps[5000].Frontends = f
	}))
}
