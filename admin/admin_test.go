package admin

import (
	"encoding/json"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/certs"
	"edgerouter/discovery"
	"edgerouter/gateway"
	"edgerouter/metrics"
	"edgerouter/upstream"
)

const secret = "do-not-show-this-token"

// applications are what the tests serve.
const applications = `{"apps": [
  {"id": "shop", "frontends": [
      {"kind": "hostname", "hostname": "shop.example.com", "allow_insecure_http": true},
      {"kind": "hostname", "hostname": "shop.example.com", "path_prefix": "/files/", "strip_path_prefix": "/files/", "allow_insecure_http": true}],
    "backend": {"kind": "peer_set", "peer_set_opts": {"addrs": ["http://10.0.0.1:8080", "http://10.0.0.2:8080"],
      "remove_query_string": true, "headers_to_origin": {"X-B": "b", "X-A": "a"}}}},
  {"id": "private", "frontends": [{"kind": "hostname", "hostname": "*.example.com"}],
    "backend": {"kind": "auth_v0", "auth_v0_opts": {"bearer_token": "` + secret + `",
      "authorized_backend": {"kind": "peer_set", "peer_set_opts": {"addrs": ["https://10.0.0.3"], "pass_host_header": true}}}}},
  {"id": "third", "frontends": [{"kind": "hostname", "hostname": "shop.example.com"}],
    "backend": {"kind": "redirect", "redirect_opts": {"to": "https://example.com/"}}},
  {"id": "later", "frontends": [{"kind": "hostname", "hostname": "later.example.com"}],
    "backend": {"kind": "aws_lambda", "aws_lambda_opts": {"function_name": "f", "region_id": "eu-central-1"}}}
]}`

// fakeBackend has the addresses of a peer set for peers, without connections.
type fakeBackend struct{ peers []upstream.PeerStatus }

func (f *fakeBackend) Handler(bool) fasthttp.RequestHandler { return func(*fasthttp.RequestCtx) {} }
func (f *fakeBackend) Close()                               {}
func (f *fakeBackend) Peers() []upstream.PeerStatus         { return f.peers }

func build(_ string, b app.Backend) (gateway.Backend, error) {
	if b.AuthV0 != nil {
		b = *b.AuthV0.AuthorizedBackend
	}
	f := &fakeBackend{}
	if b.PeerSet != nil {
		for i, addr := range b.PeerSet.Addrs {
			state := "up"
			if i == 1 {
				state = "down"
			}
			f.peers = append(f.peers, upstream.PeerStatus{Addr: addr, State: state, Weight: 1, Requests: 7})
		}
	}
	return f, nil
}

func newGateway(t *testing.T) *gateway.Gateway {
	t.Helper()
	g := gateway.New(gateway.Options{
		Builders: map[app.BackendKind]gateway.Builder{
			app.BackendPeerSet: build, app.BackendAuthV0: build, app.BackendRedirect: build,
		},
		Metrics: metrics.NewSet(),
		Log:     zerolog.Nop(),
	})
	t.Cleanup(g.Close)
	return g
}

func apply(t *testing.T, g *gateway.Gateway, definitions string) {
	t.Helper()
	apps, problems := app.Decode("apps.json", []byte(definitions))
	for _, p := range problems {
		t.Fatal(p)
	}
	g.Apply([]gateway.SourceSet{{Source: "file", Apps: apps, Problems: []app.Problem{
		{File: "apps.json", App: "shop", Message: "a <warning> of the source"},
	}}})
}

func newAdmin(t *testing.T, g *gateway.Gateway) *Admin {
	t.Helper()
	apply(t, g, applications)
	until := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	return New(Deps{
		Version:   "1.2.3",
		Snapshot:  g.Snapshot,
		Subscribe: g.Subscribe,
		Certs: func() []certs.Status {
			return []certs.Status{{Names: []string{"*.example.com"}, Source: "file", NotAfter: until, Expired: true}}
		},
		Sources: func() []discovery.Status {
			return []discovery.Status{{Name: "file", State: discovery.StateFailing, Apps: 4, LastError: "it is gone"}}
		},
		Ready:        func() []string { return nil },
		WriteMetrics: func(w io.Writer) { _, _ = io.WriteString(w, "er_requests_ok{app=\"shop\"} 1\n") },
		Gate:         newGate(t),
	})
}

// call asks a handler as a program on this machine would.
func call(handler fasthttp.RequestHandler, method, target string) *fasthttp.Response {
	var req fasthttp.Request
	req.Header.SetMethod(method)
	req.Header.SetRequestURI(target)
	req.Header.SetHost("127.0.0.1:9090")
	return callRequest(handler, &req)
}

func callRequest(handler fasthttp.RequestHandler, req *fasthttp.Request) *fasthttp.Response {
	var ctx fasthttp.RequestCtx
	ctx.Init(req, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, nil)
	handler(&ctx)
	return &ctx.Response
}

func TestEndpoints(t *testing.T) {
	handler := newAdmin(t, newGateway(t)).Handler(Exposure{Access: AccessLoopback, PProf: true})
	for _, c := range []struct {
		target string
		status int
		want   []string // parts of the body, white space aside
	}{
		{"/healthz", 200, []string{"ok"}},
		{"/readyz", 200, []string{`"ready":true,"reasons":[]`}},
		{"/metrics", 200, []string{`er_requests_ok{app="shop"} 1`}},
		{"/api/v1/apps", 200, []string{
			`"generation":1`, `"id":"shop","source":"file","state":"running","frontends":["shop.example.com/","shop.example.com/files/"]`,
			`"id":"later"`, `"state":"unavailable"`, `"message":"a<warning>ofthesource"`,
		}},
		{"/api/v1/apps/shop", 200, []string{`"definition":{"id":"shop"`, `"addr":"http://10.0.0.1:8080","state":"up"`, `"winner":"shop"`}},
		{"/api/v1/apps/private", 200, []string{`"bearer_token":"***`}},
		{"/api/v1/apps/sh%6Fp", 200, []string{`"id":"shop"`}},
		{"/api/v1/apps/nobody", 404, []string{`{"error":"thereisnoapplicationwiththisid;api/v1/appsliststhem"}`}},
		{"/api/v1/apps/%zz", 400, []string{`"error":`}},
		{"/api/v1/peers", 200, []string{`{"peers":[{"app":"shop","addr":"http://10.0.0.1:8080","state":"up"`, `"addr":"http://10.0.0.2:8080","state":"down"`, `"app":"private"`}},
		{"/api/v1/certs", 200, []string{`{"certs":[{"names":["*.example.com"]`, `"expired":true`}},
		{"/api/v1/sources", 200, []string{`{"sources":[{"name":"file","state":"failing"`}},
		{"/api/v1/conflicts", 200, []string{`{"conflicts":[{"app":"third","frontend":0,"source":"file","claim":"shop.example.com/","winner":"shop"`}},
		{"/api/v1/explain?url=http://shop.example.com/files/a", 200, []string{`"winner":{"app":"shop","frontend":1,"source":"file"`}},
		{"/api/v1/explain", 400, []string{`"error":"theURLismissing`}},
		{"/api/v1/explain?url=ftp://x/", 400, []string{`neitherhttpnorhttps`}},
		{"/debug/pprof/", 200, []string{"goroutine"}},
		{"/debug/pprof/cmdline", 200, []string{"edgerouter"}},
		{"/debug/pprof/goroutine?debug=1", 200, []string{"goroutineprofile"}},
		{"/nothing", 404, []string{`"error":"thereisnothing`}},
		{"/api/v1/apps/", 404, nil},
	} {
		resp := call(handler, "GET", c.target)
		if resp.StatusCode() != c.status {
			t.Errorf("%s: status %d, want %d: %s", c.target, resp.StatusCode(), c.status, resp.Body())
		}
		body := string(resp.Body())
		if strings.Contains(body, secret) {
			t.Errorf("%s shows the secret", c.target)
		}
		tight := strings.NewReplacer("\n", "", " ", "", `\u003c`, "<", `\u003e`, ">").Replace(body)
		for _, want := range c.want {
			if !strings.Contains(tight, strings.ReplaceAll(want, " ", "")) {
				t.Errorf("%s: no %s in\n%s", c.target, want, body)
			}
		}
		if strings.HasPrefix(c.target, "/api/") && !json.Valid(resp.Body()) {
			t.Errorf("%s: not JSON: %s", c.target, body)
		}
		for name, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY"} {
			if got := string(resp.Header.Peek(name)); got != want {
				t.Errorf("%s: %s: %q, want %q", c.target, name, got, want)
			}
		}
	}
	if got := string(call(handler, "GET", "/metrics").Header.ContentType()); got != "text/plain; version=0.0.4; charset=utf-8" {
		t.Errorf("content type of metrics: %s", got)
	}
}

func TestMethodsAndProfiles(t *testing.T) {
	a := newAdmin(t, newGateway(t))
	loopback := a.Handler(Exposure{Access: AccessLoopback})
	for _, c := range []struct {
		method, target string
		want           int
	}{
		{"HEAD", "/api/v1/apps", 200},
		{"OPTIONS", "/api/v1/apps", 405},
		{"POST", "/api/v1/apps", 401}, // before anything else
		{"GET", "/debug/pprof/", 404},
		{"GET", "/debug/pprof/heap", 404},
		{"GET", "/debug/pprof/profile", 404},
	} {
		if got := call(loopback, c.method, c.target).StatusCode(); got != c.want {
			t.Errorf("%s %s: %d, want %d", c.method, c.target, got, c.want)
		}
	}
	elsewhere := a.Handler(Exposure{Access: AccessToken, PProf: true})
	for _, target := range []string{"/", "/metrics", "/api/v1/events", "/debug/pprof/heap", "/nothing"} {
		if got := call(elsewhere, "GET", target).StatusCode(); got != 401 {
			t.Errorf("%s without token: %d, want 401", target, got)
		}
	}
}

func TestNotReady(t *testing.T) {
	a := newAdmin(t, newGateway(t))
	a.deps.Ready = func() []string { return []string{"draining"} }
	handler := a.Handler(Exposure{Access: AccessLoopback})
	resp := call(handler, "GET", "/readyz")
	if resp.StatusCode() != 503 || !strings.Contains(string(resp.Body()), `"draining"`) {
		t.Errorf("%d %s", resp.StatusCode(), resp.Body())
	}
	if resp := call(handler, "GET", "/healthz"); resp.StatusCode() != 200 {
		t.Errorf("a process that drains lives: %d", resp.StatusCode())
	}
	if o := string(call(handler, "GET", "/api/v1/overview").Body()); !strings.Contains(o, `"ready": false`) || !strings.Contains(o, "not ready: draining") {
		t.Errorf("the overview does not say that the process is not ready: %s", o)
	}
}

func TestPage(t *testing.T) {
	handler := newAdmin(t, newGateway(t)).Handler(Exposure{Access: AccessLoopback, PProf: true})
	resp := call(handler, "GET", "/")
	page, policy := string(resp.Body()), string(resp.Header.Peek("Content-Security-Policy"))
	if len(page) > 200_000 {
		t.Errorf("the page has %d bytes", len(page))
	}
	// The policy allows what the page has inside and nothing from elsewhere.
	inlines := regexp.MustCompile(`(?s)<(style|script)>(.*?)</(?:style|script)>`).FindAllStringSubmatch(page, -1)
	if len(inlines) != 2 {
		t.Fatalf("%d inline parts", len(inlines))
	}
	for _, inline := range inlines {
		if !strings.Contains(policy, inline[1]+"-src "+sourceHash(inline[2])) {
			t.Errorf("the policy does not allow the page's own %s: %s", inline[1], policy)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") || !strings.HasPrefix(policy, "default-src 'none'") {
		t.Errorf("policy %s", policy)
	}
	if found := regexp.MustCompile(`(?:href|src|action)="(/|[a-z]+:[^"])[^"]*"`).FindAllString(page, -1); len(found) != 1 || found[0] != `href="data:,"` {
		t.Errorf("links that are not relative: %q", found)
	}
	for _, never := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", " style=\"", " onclick=\"", "localStorage"} {
		if strings.Contains(page, never) {
			t.Errorf("the page has %s", never)
		}
	}
}
