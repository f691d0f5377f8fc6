package gateway_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/discovery"
	"edgerouter/discovery/file"
	"edgerouter/gateway"
	"edgerouter/metrics"
)

// chain is flow 2 as the process has it: a file, the merge, the gateway.
type chain struct {
	path  string
	gw    *gateway.Gateway
	built atomic.Int64
}

type noBackend struct{}

func (*noBackend) Handler(bool) fasthttp.RequestHandler { return func(*fasthttp.RequestCtx) {} }
func (*noBackend) Close()                               {}

func startChain(t testing.TB, content []byte) *chain {
	t.Helper()
	c := &chain{path: filepath.Join(t.TempDir(), "applications.json")}
	c.write(t, content)
	ms, log := metrics.NewSet(), zerolog.Nop()
	c.gw = gateway.New(gateway.Options{
		Builders: map[app.BackendKind]gateway.Builder{
			app.BackendPeerSet: func(string, app.Backend) (gateway.Backend, error) {
				c.built.Add(1)
				return new(noBackend), nil
			},
		},
		Metrics: ms, Log: log,
	})
	merge, err := discovery.New(discovery.Options{
		Sources: []discovery.Source{file.New(c.path, log)},
		Apply: func(sets []discovery.Set) {
			in := make([]gateway.SourceSet, len(sets))
			for i, s := range sets {
				in[i] = gateway.SourceSet{Source: s.Source, Parts: s.Parts, Problems: s.Problems, Kept: s.Kept}
			}
			c.gw.Apply(in)
		},
		Metrics: ms, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		merge.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		c.gw.Close()
	})
	select {
	case <-merge.Ready():
	case <-time.After(20 * time.Second):
		t.Fatal("not ready after 20 s")
	}
	return c
}

// write replaces the file as an editor would.
func (c *chain) write(t testing.TB, content []byte) {
	t.Helper()
	next := c.path + ".new"
	if err := os.WriteFile(next, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, c.path); err != nil {
		t.Fatal(err)
	}
}

// manyJSON is a file of applications with three frontends each; the one called
// app-N/2 has the given port.
func manyJSON(n, port int) []byte {
	var b bytes.Buffer
	b.WriteString("{\"apps\": [\n")
	for i := range n {
		p := 8080
		if i == n/2 {
			p = port
		}
		if i > 0 {
			b.WriteString(",\n")
		}
		fmt.Fprintf(&b, `  {"id": "app-%d",
   "frontends": [
     {"kind": "hostname", "hostname": "app-%05d.example.com"},
     {"kind": "hostname", "hostname": "app-%05d.example.com", "path_prefix": "/api"},
     {"kind": "hostname", "hostname": "app-%05d.example.com", "path_prefix": "/static", "allow_insecure_http": true}],
   "backend": {"kind": "peer_set", "peer_set_opts": {"addrs": ["http://127.0.0.1:%d", "http://127.0.0.2:%d"]}}}`, i, i, i, i, p, p)
	}
	b.WriteString("\n]}\n")
	return b.Bytes()
}

func waitGeneration(t testing.TB, g *gateway.Gateway, above uint64, events <-chan gateway.Event) {
	t.Helper()
	timeout := time.After(10 * time.Second)
	for g.Snapshot().Generation <= above {
		select {
		case <-events:
		case <-timeout:
			t.Fatal("no change was applied within 10 s")
		}
	}
}

// A change of one of many applications builds one backend.
func TestChangeOfOneAmongMany(t *testing.T) {
	const n = 2000
	c := startChain(t, manyJSON(n, 1000))
	if got := c.gw.Snapshot().Apps.Len(); got != n {
		t.Fatalf("%d applications, want %d", got, n)
	}
	other := c.gw.Lookup([]byte("app-00001.example.com"), []byte("/api/x"), nil)
	built := c.built.Load()
	events, cancel := c.gw.Subscribe()
	defer cancel()
	generation := c.gw.Snapshot().Generation
	c.write(t, manyJSON(n, 1001))
	waitGeneration(t, c.gw, generation, events)
	if got := c.built.Load() - built; got != 1 {
		t.Errorf("%d backends were built for one changed application", got)
	}
	if c.gw.Lookup([]byte("app-00001.example.com"), []byte("/api/x"), nil) != other {
		t.Error("the entry of an unchanged application is new")
	}
}

// BenchmarkReload is from the file's replacement to the change in service, with
// 10,000 applications of three frontends each.
func BenchmarkReload(b *testing.B) {
	const n = 10_000
	files := [][]byte{manyJSON(n, 1000), manyJSON(n, 1001)}
	b.Run("start", func(b *testing.B) {
		for b.Loop() {
			startChain(b, files[0])
		}
	})
	b.Run("change", func(b *testing.B) {
		c := startChain(b, files[0])
		events, cancel := c.gw.Subscribe()
		defer cancel()
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			b.StopTimer()
			generation := c.gw.Snapshot().Generation
			next := c.path + ".new"
			if err := os.WriteFile(next, files[(i+1)%2], 0o600); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			if err := os.Rename(next, c.path); err != nil {
				b.Fatal(err)
			}
			waitGeneration(b, c.gw, generation, events)
		}
	})
}
