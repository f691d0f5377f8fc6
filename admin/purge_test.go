package admin

import (
	"encoding/json"
	"testing"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/gateway"
	"edgerouter/metrics"
)

// storing is a backend with a cache.
type storing struct {
	fakeBackend
	host, prefix string
	asked        int
}

// Purge is that of a cache with seven responses in it.
func (s *storing) Purge(host, prefix string) int {
	s.asked++
	s.host, s.prefix = host, prefix
	return 7
}

// TestPurge drops what a cache has stored: with the token only, of an application
// that has a cache, and as host and prefix say.
func TestPurge(t *testing.T) {
	cache := &storing{}
	g := gateway.New(gateway.Options{
		Builders: map[app.BackendKind]gateway.Builder{
			app.BackendPeerSet:  func(string, app.Backend) (gateway.Backend, error) { return cache, nil },
			app.BackendRedirect: build, app.BackendAuthV0: build,
		},
		Metrics: metrics.NewSet(), Log: zerolog.Nop(),
	})
	t.Cleanup(g.Close)
	handler := newAdmin(t, g).Handler(Exposure{Access: AccessLoopback})
	apply(t, g, `{"apps": [
		{"id": "stored", "frontends": [{"kind": "hostname", "hostname": "a.example.com"}], "backend": {"kind": "peer_set", "peer_set_opts": {"addrs": ["http://127.0.0.1:1"]}}},
		{"id": "moved", "frontends": [{"kind": "hostname", "hostname": "b.example.com"}], "backend": {"kind": "redirect", "redirect_opts": {"to": "https://a.example.com"}}}
	]}`)
	purge := func(method, query, token string) *fasthttp.Response {
		var req fasthttp.Request
		req.Header.SetMethod(method)
		req.Header.SetRequestURI("/api/v1/cache" + query)
		req.Header.SetHost("127.0.0.1:9090")
		if token != "" {
			req.Header.Set(tokenField, token)
		}
		return callRequest(handler, &req)
	}
	for _, c := range []struct {
		method, query, token string
		status               int
	}{
		{"DELETE", "?app=stored", "", 401},
		{"DELETE", "?app=stored", "wrong", 401},
		{"GET", "?app=stored", "good", 405},
		{"DELETE", "", "good", 400},
		{"DELETE", "?app=nobody", "good", 404},
		{"DELETE", "?app=moved", "good", 409},
	} {
		if resp := purge(c.method, c.query, c.token); resp.StatusCode() != c.status {
			t.Errorf("%s %s with %q: %d %s, want %d", c.method, c.query, c.token, resp.StatusCode(), resp.Body(), c.status)
		}
	}
	if cache.asked != 0 {
		t.Errorf("what was refused purged %d times", cache.asked)
	}
	for _, c := range []struct{ query, host, prefix string }{
		{"?app=stored", "", ""},
		{"?app=stored&host=a.example.com&prefix=/static%20files/", "a.example.com", "/static files/"},
	} {
		resp := purge("DELETE", c.query, "good")
		var answer PurgeAnswer
		if err := json.Unmarshal(resp.Body(), &answer); err != nil || resp.StatusCode() != 200 || answer.Purged != 7 || cache.host != c.host || cache.prefix != c.prefix {
			t.Errorf("%s: %d %s, %q %q", c.query, resp.StatusCode(), resp.Body(), cache.host, cache.prefix)
		}
	}
}
