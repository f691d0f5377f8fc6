package admin

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/discovery"
	"edgerouter/gateway"
	"edgerouter/metrics"
)

// many is an Admin of n applications, with the counts of their requests.
func many(tb testing.TB, n int) (*Admin, *gateway.Gateway, *metrics.Set) {
	tb.Helper()
	set := metrics.NewSet()
	g := gateway.New(gateway.Options{Builders: map[app.BackendKind]gateway.Builder{app.BackendPeerSet: build}, Metrics: set})
	tb.Cleanup(g.Close)
	g.Apply([]gateway.SourceSet{{Source: "file", Apps: manyApps(tb, n, "10.0.0.1")}})
	a := New(Deps{Version: "1", Snapshot: g.Snapshot, Subscribe: g.Subscribe, Sources: func() []discovery.Status { return nil }, Ready: func() []string { return nil }, Requests: set.ReadRequests})
	return a, g, set
}

func manyApps(tb testing.TB, n int, addr string) []app.Application {
	tb.Helper()
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,{"id":"app-%d","frontends":[{"kind":"hostname","hostname":"a%d.example.com"}],"backend":{"kind":"peer_set","peer_set_opts":{"addrs":["http://%s"]}}}`, i, i, addr)
	}
	apps, problems := app.Decode("many.json", []byte(`{"apps":[`+b.String()[1:]+`]}`))
	if len(problems) > 0 {
		tb.Fatal(problems[0])
	}
	return apps
}

// A viewer gets everything first, and then what is different and nothing else.
func TestLive(t *testing.T) {
	a, g, set := many(t, 1200)
	now := time.Now()
	a.live.begin(now)
	first, viewer := a.live.join(now, LiveHello{})
	text := ""
	for _, f := range first {
		text += string(f)
	}
	if strings.Count(text, "event: rows\n") != 3 || strings.Count(text, `"id":"app-`) != 1200 || !strings.HasPrefix(text, "event: hello\n") {
		t.Errorf("%d bytes: %.300s", len(text), text)
	}
	next := func() string {
		select {
		case f := <-viewer:
			return string(f)
		default:
			return ""
		}
	}
	a.live.beat(now.Add(beat))
	if f := next(); !strings.HasPrefix(f, "event: overview") { // the first for this viewer's set
		t.Errorf("%.200s", f)
	}
	if f := next(); !strings.HasPrefix(f, "event: beat") || !strings.Contains(f, `"traffic":[]`) {
		t.Errorf("%.200s", f)
	}
	for range 10 {
		set.App("app-7").Observe([]byte("GET"), 503, time.Millisecond)
	}
	a.live.beat(now.Add(2 * beat))
	if f := next(); !strings.Contains(f, `"traffic":[{"id":"app-7","requests":5,"errors":5,`) || !strings.Contains(f, `"server_errors":5,`) {
		t.Errorf("%.300s", f)
	}
	apps := manyApps(t, 1199, "10.0.0.1")
	apps[3] = manyApps(t, 4, "10.0.0.2")[3]
	events, cancel := g.Subscribe()
	defer cancel()
	g.Apply([]gateway.SourceSet{{Source: "file", Apps: apps}})
	a.live.change(<-events)
	if f := next(); !strings.HasPrefix(f, "event: change") || !strings.Contains(f, `"id":"app-1199","kind":"removed"`) || !strings.Contains(f, `"source":"file"`) {
		t.Errorf("%.300s", f)
	}
	if f := next(); !strings.HasPrefix(f, "event: rows") || strings.Count(f, `"id":`) != 1 || !strings.Contains(f, `"gone":["app-1199"]`) {
		t.Errorf("%.300s", f)
	}
	// One that does not read is cut off, and the others are not held up.
	for range 2 * viewerBuffer {
		a.live.send("beat", LiveBeat{})
	}
	if len(a.live.viewers) != 0 {
		t.Error("a viewer that does not read is still there")
	}
	a.live.leave(viewer)
	a.live.beat(now.Add(3 * beat))
	if a.live.rows.cells != nil || a.live.perApp != nil {
		t.Error("what viewers need is kept without any")
	}
}

// Calls that change something: the token in its own field, no challenge, and no
// other origin.
func TestActionsNeedTheToken(t *testing.T) {
	handler := newAdmin(t, newGateway(t)).Handler(Exposure{Access: AccessLoopback})
	for _, c := range []struct {
		name, token, origin, site, kind, body string
		want                                  int
	}{
		{"no token", "", "", "", "application/json", `{}`, 401},
		{"wrong token", "bad", "", "", "application/json", `{}`, 401},
		{"other origin", "good", "http://evil.example", "", "application/json", `{}`, 403},
		{"origin null", "good", "null", "", "application/json", `{}`, 403},
		{"other site", "good", "", "cross-site", "application/json", `{}`, 403},
		{"a form", "good", "http://127.0.0.1:9090", "same-origin", "text/plain", `{"app":"shop"}`, 415},
		{"unknown field", "good", "", "", "application/json", `{"app":"shop","x":1}`, 400},
		{"two bodies", "good", "", "", "application/json", `{"app":"shop"}{}`, 400},
		{"no such application", "good", "", "", "application/json", `{"app":"nobody","peer":"x","drain":true}`, 404},
		{"no such peer", "good", "http://127.0.0.1:9090", "same-origin", "application/json", `{"app":"shop","peer":"x","drain":true}`, 404},
	} {
		var req fasthttp.Request
		req.Header.SetMethod("POST")
		req.Header.SetRequestURI("/api/v1/drain")
		req.Header.SetHost("127.0.0.1:9090")
		req.Header.SetContentType(c.kind)
		for name, value := range map[string]string{tokenField: c.token, "Origin": c.origin, "Sec-Fetch-Site": c.site} {
			if value != "" {
				req.Header.Set(name, value)
			}
		}
		req.SetBodyString(c.body)
		resp := callRequest(handler, &req)
		if resp.StatusCode() != c.want {
			t.Errorf("%s: %d, want %d: %s", c.name, resp.StatusCode(), c.want, resp.Body())
		}
		if c.token != "" && len(resp.Header.Peek("WWW-Authenticate")) > 0 {
			t.Errorf("%s: a browser would ask its user", c.name)
		}
	}
}

// What a beat costs the proxy while somebody looks, and while nobody does.
func BenchmarkBeat10000(b *testing.B) {
	for _, watched := range []bool{false, true} {
		b.Run(fmt.Sprintf("watched=%v", watched), func(b *testing.B) {
			a, _, set := many(b, 10_000)
			for i := range 10_000 {
				set.App(fmt.Sprintf("app-%d", i)).Observe([]byte("GET"), 200, time.Millisecond)
			}
			now := time.Now()
			a.live.begin(now)
			if watched {
				_, viewer := a.live.join(now, LiveHello{})
				go func() {
					for range viewer {
					}
				}()
				defer a.live.leave(viewer)
			}
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(beat)
				a.live.beat(now)
			}
		})
	}
}
