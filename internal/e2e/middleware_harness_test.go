package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/molecule-man/go-brrr"
	"github.com/rs/zerolog"

	"edgerouter/app"
	"edgerouter/auth"
	"edgerouter/gateway"
	"edgerouter/metrics"
	"edgerouter/server"
	"edgerouter/upstream"
)

// newMiddlewareEdge serves an application with middlewares, a JSON list, in front
// of the peer.
func newMiddlewareEdge(t testing.TB, middlewares, peer string, trusted ...string) *edge {
	t.Helper()
	return newFileEdge(t, `{"apps": [{"id": "app", "frontends": [{"kind": "path_prefix", "path_prefix": "/", "allow_insecure_http": true}],
		"middlewares": `+middlewares+`,
		"backend": {"kind": "peer_set", "peer_set_opts": {"addrs": ["`+peer+`"], "pass_host_header": true, "retries": {"attempts": 0}}}}]}`, trusted...)
}

// newFileEdge serves the applications of a file, with the kinds that `edgerouter
// serve` builds from.
func newFileEdge(t testing.TB, file string, trusted ...string) *edge {
	t.Helper()
	apps, problems := app.Decode("apps.json", []byte(file))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	e := &edge{t: t, stats: &upstream.Stats{}}
	resolve := func(s app.Secret) (string, error) { return app.Resolve(s, os.ReadFile, os.LookupEnv) }
	kinds := gateway.Standard{
		Upstream: upstream.Deps{Log: zerolog.Nop(), Stats: e.stats},
		Auth:     auth.V0Deps{Resolve: resolve},
	}
	g := gateway.New(gateway.Options{Builders: kinds.Builders(), Middlewares: kinds.Middlewares(), Metrics: metrics.NewSet(), Log: zerolog.Nop()})
	g.Apply([]gateway.SourceSet{{Source: "file", Apps: apps}})
	for a := range g.Snapshot().Apps.All() {
		if a.State != gateway.StateRunning {
			t.Fatalf("%s is %s: %v", a.ID(), a.State, a.Problems)
		}
	}
	cfg := server.Config{Lookup: g.Lookup, Unmatched: unobserved{}, Log: zerolog.Nop()}
	for _, network := range trusted {
		cfg.TrustedProxies = append(cfg.TrustedProxies, netip.MustParsePrefix(network))
	}
	e.server = server.New(cfg)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e.addr = ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- e.server.Serve(ln, false) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		e.server.Shutdown(ctx, 0)
		g.Close()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if n := e.server.Stats.Panics.Load(); n > 0 {
			t.Errorf("%d panics", n)
		}
	})
	return e
}

// seen is a peer that remembers the last request and answers with a text.
type seen struct {
	mu   sync.Mutex
	last *http.Request
	body string
	n    int
}

func (s *seen) serve(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.last, s.body = r, string(b)
	s.n++
	s.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("X-From-Peer", "yes")
	fmt.Fprintf(w, "%s %s", r.Method, r.RequestURI)
}

// request is the last one that came; count how many did.
func (s *seen) request() *http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

func (s *seen) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// ask sends one request on a connection of its own and reads the response. lines
// are whole field lines.
func (e *edge) ask(method, target string, lines ...string) (*http.Response, string) {
	e.t.Helper()
	c := e.dial()
	defer c.Close()
	return c.ask(method, target, lines...)
}

func (c *raw) ask(method, target string, lines ...string) (*http.Response, string) {
	c.t.Helper()
	c.send(method + " " + target + " HTTP/1.1\r\nHost: app.test\r\n" + strings.Join(append(lines, ""), "\r\n") + "\r\n")
	return c.response(method)
}

// decoder reads what a content coding made.
func decoder(t testing.TB, coding string, r io.Reader) io.Reader {
	t.Helper()
	switch coding {
	case "gzip":
		z, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		return z
	case "br":
		return brrr.NewReader(r)
	case "zstd":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(z.Close)
		return z
	}
	return r
}
