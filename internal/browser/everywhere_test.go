package browser

import (
	"context"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"edgerouter/admin"
	"edgerouter/app"
	"edgerouter/auth"
	"edgerouter/bus"
	"edgerouter/certs"
	"edgerouter/discovery"
	"edgerouter/gateway"
	"edgerouter/internal/testkit"
	"edgerouter/metrics"
	"edgerouter/upstream"
)

// evil becomes markup, or a script, wherever text is taken for markup.
const evil = `"'><img src=x onerror="document.title='owned'"><script>document.title='owned'</script><b id=owned>{{x}}</b>` + "\u202e\u2028"

// evilPeers is a backend whose peers have odd names.
type evilPeers struct{}

func (evilPeers) Handler(bool) fasthttp.RequestHandler { return func(*fasthttp.RequestCtx) {} }
func (evilPeers) Close()                               {}
func (evilPeers) Peers() []upstream.PeerStatus {
	until := time.Now().Add(time.Hour)
	return []upstream.PeerStatus{{Addr: evil, State: "ejected", Reason: evil, EjectedUntil: &until, Weight: 2}}
}

// serveEvil is the admin interface of a node of which every text is evil.
func serveEvil(t *testing.T) string {
	t.Helper()
	g := gateway.New(gateway.Options{
		Builders: map[app.BackendKind]gateway.Builder{app.BackendPeerSet: func(string, app.Backend) (gateway.Backend, error) { return evilPeers{}, nil }},
		Metrics:  metrics.NewSet(), Log: zerolog.Nop(),
	})
	t.Cleanup(g.Close)
	apps, problems := app.Decode("apps.json", []byte(`{"apps": [
  {"id": "shop", "frontends": [{"kind": "hostname", "hostname": "shop.example.com"}], "backend": {"kind": "peer_set", "peer_set_opts": {"addrs": ["http://127.0.0.1:1"]}}},
  {"id": "other", "frontends": [{"kind": "hostname", "hostname": "shop.example.com"}], "backend": {"kind": "peer_set", "peer_set_opts": {"addrs": ["http://127.0.0.1:1"]}}}
]}`))
	if len(problems) > 0 {
		t.Fatal(problems[0])
	}
	// As no source should make them, and the gateway does not look.
	apps[0].ID, apps[0].Frontends[0].PathPrefix, apps[1].Frontends[0].PathPrefix = evil, "/"+evil, "/"+evil
	problem := app.Problem{App: evil, File: evil, Field: evil, Value: evil, Message: evil, Suggestion: evil}
	never := app.Problem{App: "never" + evil, Message: evil}
	g.Apply([]gateway.SourceSet{{Source: evil, Apps: apps, Problems: []app.Problem{problem}}})
	token, err := auth.NewToken([]byte("good"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	a := admin.New(admin.Deps{
		Version: evil, Snapshot: g.Snapshot, Subscribe: g.Subscribe, Gate: auth.NewGate(token, "edgerouter", auth.NewFailures()),
		Certs: func() []certs.Status {
			return []certs.Status{{Names: []string{evil}, IPs: []string{evil}, Source: evil, Origin: evil, Issuer: evil, KeyType: evil, NotAfter: now}}
		},
		CertProblems: func() map[string][]certs.Problem {
			return map[string][]certs.Problem{evil: {{File: evil, Message: evil}}}
		},
		Sources: func() []discovery.Status {
			return []discovery.Status{{Name: evil, State: discovery.StateFailing, LastError: evil, Problems: []app.Problem{problem, never}}}
		},
		Origin: func(string, string) (discovery.Origin, bool) {
			return discovery.Origin{Engine: evil, EngineName: evil, Kind: evil, Name: evil, Labels: evil,
				Containers: []discovery.OriginContainer{{Name: evil, Address: evil, State: evil}},
				Siblings:   []discovery.Sibling{{ID: evil, Broken: true, Served: true}, {ID: "b", Broken: true}}}, true
		},
		Ready: func() []string { return nil }, Notes: func() []string { return []string{evil} },
		Cluster: func() admin.Cluster {
			return admin.Cluster{Bus: evil, Name: evil, Node: evil, Error: evil, Leader: evil, Nodes: []admin.ClusterNode{
				{NodeStatus: admin.NodeStatus{Node: evil, Version: evil, Streams: []bus.FollowerStatus{{Stream: evil, State: bus.Damaged, Digest: evil, Error: evil}}}, State: admin.NodeSilent},
			}}
		},
		History: func(context.Context, string) ([]admin.HistoryRow, error) {
			return []admin.HistoryRow{{Version: 1, At: now, User: evil, Change: app.Change{ID: evil, Kind: app.Changed, Details: []string{evil}}, Rollback: true, Back: []string{evil}}}, nil
		},
		IPRules: func() admin.IPRules { return admin.IPRules{Rules: 1, Source: evil, Since: &now, Problem: evil} },
	})
	running, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	go a.Run(running)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &fasthttp.Server{Handler: a.Handler(admin.Exposure{Access: admin.AccessLoopback})}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { ln.Close() })
	time.AfterFunc(0, func() {
		// Something for the list of events, a moment later than the page may be open.
		changed := append([]app.Application(nil), apps...)
		changed[1].ID = "changed" + evil
		g.Apply([]gateway.SourceSet{{Source: evil, Apps: changed, Problems: []app.Problem{problem, never}}})
	})
	return "http://" + ln.Addr().String() + "/"
}

// TestForeignTextEverywhere: whatever a source, a label, a certificate, another
// node, the writer of a change or an error has for text stays text, in every
// place of the page, and makes no page wider than a telephone.
func TestForeignTextEverywhere(t *testing.T) {
	testkit.Long(t)
	need(t, "chromium")
	at := serveEvil(t)
	b := openTab(t, 360, 740)
	for part, want := range map[string]string{
		"": "failing", "#/apps": "no peer up", "#/apps/" + url.PathEscape(evil): "broken, served as before", "#/apps/" + url.PathEscape("never"+evil): "Containers",
		"#/routes": "shop.example.com", "#/nodes": "Newer ones cannot be used", "#/certs": "certificates in service stay", "#/events": "Generation",
	} {
		b.open(at + part)
		b.until(part+" has "+want, `document.querySelector("main").innerText.includes("`+want+`") && document.querySelector("main").innerText.includes("<img src=x")`)
		var owned bool
		b.eval(`document.title.startsWith("owned") || !!document.querySelector("main img, main script, #owned, [onerror]")`, &owned)
		if owned {
			t.Errorf("%q: foreign text became markup", part)
		}
		var width int
		b.eval(`document.documentElement.scrollWidth`, &width)
		if width > 360 {
			t.Errorf("%q is %d pixels wide", part, width)
		}
		if part == "#/apps/"+url.PathEscape(evil) {
			b.until("why a peer is ejected is told", `document.querySelector("tbody tr").innerText.includes("ejected") && document.querySelector("tbody tr").innerText.includes("until ") && document.querySelector("tbody tr").innerText.includes("weight 2")`)
			b.until("siblings that are broken are told", `document.querySelector("dl").innerText.includes("broken, not served")`)
			b.until("the writer of a change is told", `document.querySelector(".timeline")?.innerText.includes("<img src=x")`)
			b.click(`[aria-label^="Roll back"]`)
			b.until("the question has it as text", `document.getElementById("ask").open && document.getElementById("ask-text").parentNode.innerText.includes("<img src=x")`)
			b.eval(`!!document.querySelector("dialog img, dialog script, #owned")`, &owned)
			if owned {
				t.Error("foreign text became markup in the question")
			}
			b.checkAccess("question on a telephone")
			b.click("#ask-no")
		}
	}
	b.quiet()
}
