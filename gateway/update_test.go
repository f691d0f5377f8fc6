package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/app"
	"edgerouter/auth"
	"edgerouter/gateway"
	"edgerouter/metrics"
	"edgerouter/server"
	"edgerouter/upstream"
)

// live is a gateway with real peer sets behind a real server.
type live struct {
	*gateway.Gateway
	built map[app.BackendKind]int
	addr  string
	log   *strings.Builder
}

// listen serves it until the test ends, and closes it then.
func (l *live) listen(t *testing.T) {
	t.Helper()
	srv := server.New(server.Config{Lookup: l.Lookup, Unmatched: nothing{}, Log: zerolog.Nop(), TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.addr = ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln, false) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		srv.Shutdown(ctx, 0)
		<-served
		l.Close()
	})
}

type nothing struct{}

func (nothing) Observe([]byte, int, time.Duration) {}

func startLive(t *testing.T) *live {
	l := &live{built: map[app.BackendKind]int{}, log: &strings.Builder{}}
	ms := metrics.NewSet()
	kinds := gateway.Standard{
		Upstream: upstream.Deps{Log: zerolog.Nop(), Stats: &upstream.Stats{}},
		Auth:     auth.V0Deps{Resolve: func(s app.Secret) (string, error) { return string(s), nil }},
	}
	builders := kinds.Builders()
	for kind, build := range builders {
		builders[kind] = func(id string, b app.Backend) (gateway.Backend, error) {
			l.built[kind]++
			return build(id, b)
		}
	}
	l.Gateway = gateway.New(gateway.Options{Builders: builders, Metrics: ms, Log: zerolog.New(l.log)})
	l.listen(t)
	return l
}

func (l *live) get(t *testing.T) string {
	t.Helper()
	req, err := http.NewRequest("GET", "http://"+l.addr+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "a.example.com"
	req.Header.Set("Authorization", "Bearer sesame")
	req.Close = true
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return fmt.Sprintf("%d %s", res.StatusCode, b)
}

// apply makes a peer_set the backend of the application, behind auth_v0 if asked.
func (l *live) apply(guarded bool, token string, opts app.PeerSetOpts, middlewares ...app.Middleware) {
	a := app.Application{
		ID:          "a",
		Frontends:   []app.Frontend{{Kind: app.FrontendHostname, Hostname: "a.example.com", AllowInsecureHTTP: true}},
		Backend:     app.Backend{Kind: app.BackendPeerSet, PeerSet: &opts},
		Middlewares: middlewares,
	}
	if guarded {
		inner := a.Backend
		a.Backend = app.Backend{Kind: app.BackendAuthV0, AuthV0: &app.AuthV0Opts{BearerToken: app.Secret(token), AuthorizedBackend: &inner}}
	}
	l.Apply([]gateway.SourceSet{{Source: "file", Apps: []app.Application{a}}})
}

// TestPeersChangeInPlace: other addresses or weights keep the running set and its
// counters; other options build a new one.
func TestPeersChangeInPlace(t *testing.T) {
	var addrs []string
	for _, name := range []string{"one", "two"} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, name) }))
		defer s.Close()
		addrs = append(addrs, s.URL)
	}
	for _, guarded := range []bool{false, true} {
		l := startLive(t)
		check := func(what string, sets int, answer string, requests uint64) {
			t.Helper()
			got := l.get(t)
			a := l.Snapshot().App("a")
			if n := l.built[app.BackendPeerSet]; n != sets || got != answer || a.State != gateway.StateRunning {
				t.Errorf("%s: %d sets built, want %d; %s, want %s; state %s", what, n, sets, got, answer, a.State)
			}
			if s := a.Peers(); requests > 0 && s[0].Requests != requests {
				t.Errorf("%s: %+v, want %d requests", what, s, requests)
			}
		}
		one := app.PeerSetOpts{Addrs: addrs[:1]}
		l.apply(guarded, "sesame", one)
		check("first", 1, "200 one", 1)
		l.apply(guarded, "sesame", app.PeerSetOpts{Addrs: addrs, Weights: map[string]int{addrs[1]: 0}})
		check("another address", 1, "200 one", 2)
		l.apply(guarded, "sesame", app.PeerSetOpts{Addrs: addrs[1:]})
		check("the first leaves", 1, "200 two", 1)
		l.apply(guarded, "sesame", app.PeerSetOpts{})
		if got := l.get(t); !strings.HasPrefix(got, "503") || l.built[app.BackendPeerSet] != 1 {
			t.Errorf("no addresses: %s", got)
		}
		l.apply(guarded, "sesame", one)
		check("it comes back", 1, "200 one", 0) // as it was, if it had not gone yet

		// A bad address changes nothing, and shows.
		l.apply(guarded, "sesame", app.PeerSetOpts{Addrs: []string{addrs[1], "ftp://x"}})
		if a := l.Snapshot().App("a"); a.State != gateway.StateKept || len(a.Problems) != 1 ||
			!strings.Contains(a.Problems[0].Error(), `addrs: "ftp://x"`) || l.get(t) != "200 one" {
			t.Errorf("a bad address: %s, %v", a.State, a.Problems)
		}
		l.apply(guarded, "sesame", one)
		check("it is well again", 1, "200 one", 0)

		limited := one
		limited.MaxRequests = 5
		l.apply(guarded, "sesame", limited)
		check("another option", 2, "200 one", 1)
		limited.Addrs = addrs
		limited.Weights = map[string]int{addrs[1]: 0}
		l.apply(guarded, "sesame", limited)
		check("an address of the new set", 2, "200 one", 2)
		if guarded {
			l.apply(guarded, "other", limited)
			if got := l.get(t); !strings.HasPrefix(got, "401") || l.built[app.BackendPeerSet] != 3 {
				t.Errorf("another token: %s, %d sets", got, l.built[app.BackendPeerSet])
			}
		}
	}
}
