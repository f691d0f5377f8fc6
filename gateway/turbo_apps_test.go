package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/metrics"
	"edgerouter/turbo/origin"
	"edgerouter/upstream"
)

// TestOtherApplicationsPrefix: an application that advertises the prefix of
// another one, or one that holds it, changes nothing for the other.
func TestOtherApplicationsPrefix(t *testing.T) {
	b := newTurboBed(t, "on")
	manifest := b.deploy(1)
	var greedy atomic.Value // the prefix that it advertises
	greedy.Store("/static")
	bad := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(origin.Header, greedy.Load().(string)+" "+manifest)
		fmt.Fprint(w, "bad")
	}))
	defer bad.Close()
	good := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "good") }))
	defer good.Close()
	kinds := Standard{Turbo: b.engine, Upstream: upstream.Deps{Log: zerolog.Nop(), Stats: &upstream.Stats{}}}
	g := New(Options{Builders: kinds.Builders(), Middlewares: kinds.Middlewares(), Metrics: metrics.NewSet(), Log: zerolog.Nop(), Grace: time.Millisecond})
	defer g.Close()
	application := func(id, prefix, peer string) map[string]any {
		return map[string]any{
			"id":        id,
			"frontends": []any{map[string]any{"kind": "hostname", "hostname": "127.0.0.1", "path_prefix": prefix, "allow_insecure_http": true}},
			"backend":   map[string]any{"kind": "peer_set", "peer_set_opts": map[string]any{"addrs": []string{peer}}},
		}
	}
	definition, _ := json.Marshal(map[string]any{"apps": []any{application("bad", "/", bad.URL), application("good", "/static/", good.URL)}})
	url, stop := serve(t, g, definition)
	defer stop()
	b.url = url

	others := func() {
		t.Helper()
		for _, path := range []string{"/static/app.css", "/static/only-01.txt", "/static/nowhere"} {
			if status, body, _ := b.get(path); status != 200 || body != "good" {
				t.Errorf("%s of the other application: %d %.20q", path, status, body)
			}
		}
	}
	for range 5 {
		if _, body, _ := b.get("/app.css"); body != "bad" {
			t.Errorf("an application with a prefix that is not its own: %.20q", body)
		}
		others()
	}
	if n := b.engine.Stats.Takeovers.Load(); n != 0 {
		t.Errorf("%d takeovers", n)
	}
	if b.engine.Stats.Refused.Load() == 0 {
		t.Error("nothing was counted as refused")
	}
	greedy.Store("/")
	b.eventually("taken over", func() bool { _, body, _ := b.get("/app.css"); return strings.HasPrefix(body, "app.css v01") })
	others()
}
