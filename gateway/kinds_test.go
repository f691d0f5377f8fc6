package gateway

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/auth"
	"edgerouter/metrics"
	"edgerouter/upstream"
)

func newStandard(t *testing.T) *fixture {
	t.Helper()
	ms := metrics.NewSet()
	say := func(s string) fasthttp.RequestHandler {
		return func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString(s) }
	}
	kinds := Standard{
		Upstream: upstream.Deps{Log: zerolog.Nop(), Stats: &upstream.Stats{}},
		Auth:     auth.V0Deps{Resolve: testResolve},
		SignIn:   auth.SignInDeps{Client: http.DefaultClient, SessionKey: make([]byte, 32)}, IDServerURL: "https://id.example.com",
		Admin: say("admin"), Metrics: say("metrics"),
	}
	f := &fixture{log: &logBuffer{}, ms: ms}
	f.Gateway = New(Options{
		Builders: kinds.Builders(), Middlewares: kinds.Middlewares(),
		Metrics: ms, Log: zerolog.New(f.log), Grace: time.Hour,
	})
	t.Cleanup(f.Close)
	return f
}

func decode(t *testing.T, defs ...string) []SourceSet {
	t.Helper()
	apps, problems := app.Decode("test", []byte(`{"apps":[`+strings.Join(defs, ",")+`]}`))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return files(apps...)
}

func hostApp(id, backend string) string {
	return `{"id":"` + id + `","frontends":[{"kind":"hostname","hostname":"` + id + `.example.com"}],"backend":` + backend + `}`
}

func (f *fixture) request(t *testing.T, host string, fields ...string) *fasthttp.RequestCtx {
	t.Helper()
	ctx := &fasthttp.RequestCtx{}
	ctx.Request.SetRequestURI("/some/path?q=1")
	ctx.Request.Header.SetHost(host)
	for i := 0; i < len(fields); i += 2 {
		ctx.Request.Header.Set(fields[i], fields[i+1])
	}
	e := f.Lookup([]byte(host), []byte("/some/path"), nil)
	if e == nil {
		t.Fatalf("%s: no entry", host)
	}
	e.Handler(ctx)
	return ctx
}

func TestStandardKinds(t *testing.T) {
	f := newStandard(t)
	f.Apply(decode(t,
		hostApp("redirect", `{"kind":"redirect","redirect_opts":{"to":"https://new.example.com{path}","code":308}}`),
		hostApp("admin", `{"kind":"edgerouter_admin"}`),
		hostApp("metrics", `{"kind":"prom_metrics"}`),
		hostApp("guarded", `{"kind":"auth_v0","auth_v0_opts":{"bearer_token":"sesame","authorized_backend":{"kind":"prom_metrics"}}}`),
		hostApp("guarded-peers", `{"kind":"auth_v0","auth_v0_opts":{"bearer_token":"sesame","authorized_backend":{"kind":"peer_set","peer_set_opts":{"addrs":["http://127.0.0.1:1"]}}}}`),
		hostApp("guarded-lambda", `{"kind":"auth_v0","auth_v0_opts":{"bearer_token":"sesame","authorized_backend":{"kind":"aws_lambda","aws_lambda_opts":{"function_name":"f","region_id":"eu-central-1"}}}}`),
		hostApp("peers", `{"kind":"peer_set","peer_set_opts":{"addrs":["http://127.0.0.1:1","http://127.0.0.1:2"]}}`),
	))
	for _, c := range []struct {
		host, token string
		status      int
		body        string
	}{
		{"redirect", "", 308, ""},
		{"admin", "", 200, "admin"},
		{"metrics", "", 200, "metrics"},
		{"guarded", "", 401, ""},
		{"guarded", "wrong", 401, ""},
		{"guarded", "sesame", 200, "metrics"},
		{"guarded-lambda", "", 503, "aws_lambda is not available"},
	} {
		var fields []string
		if c.token != "" {
			fields = []string{"Authorization", "Bearer " + c.token}
		}
		ctx := f.request(t, c.host+".example.com", fields...)
		if ctx.Response.StatusCode() != c.status || !bytes.Contains(ctx.Response.Body(), []byte(c.body)) {
			t.Errorf("%s with token %q: %d %s", c.host, c.token, ctx.Response.StatusCode(), ctx.Response.Body())
		}
	}
	if got := string(f.request(t, "redirect.example.com").Response.Header.Peek("Location")); got != "https://new.example.com/some/path" {
		t.Errorf("Location: %s", got)
	}
	for id, want := range map[string]int{"peers": 2, "guarded-peers": 1, "redirect": 0} {
		if got := len(f.Snapshot().App(id).Peers()); got != want {
			t.Errorf("%s has %d peers, want %d", id, got, want)
		}
	}
	for id, want := range map[string]bool{"peers": true, "guarded-peers": false, "redirect": false, "admin": false} {
		if e := f.Lookup([]byte(id+".example.com"), []byte("/"), nil); e.Direct != want {
			t.Errorf("%s: direct is %v", id, e.Direct)
		}
	}
	f.wantState(t, "guarded-lambda", StateUnavailable)
	if strings.Contains(f.log.take(), "sesame") {
		t.Error("the log shows a secret")
	}
}

func TestStandardProblems(t *testing.T) {
	f := newStandard(t)
	sets := decode(t,
		hostApp("token", `{"kind":"auth_v0","auth_v0_opts":{"bearer_token":"file:/nowhere/token","authorized_backend":{"kind":"prom_metrics"}}}`),
		hostApp("nested", `{"kind":"auth_sso","auth_sso_opts":{"allowed_user_ids":["u"],"audience":"a","authorized_backend":
			{"kind":"auth_oidc","auth_oidc_opts":{"issuer":"https://id.example.com","client_id":"c","client_secret_file":"/nowhere/oidc",
			"allowed":{"emails":["a@example.com"]},"authorized_backend":{"kind":"prom_metrics"}}}}}`),
		hostApp("ca", `{"kind":"peer_set","peer_set_opts":{"addrs":["https://127.0.0.1:1"],"tls_config":{"ca_file":"/nowhere/ca.pem"}}}`),
		hostApp("good", `{"kind":"prom_metrics"}`))
	// Definitions that no decoder has seen must not do worse than be broken.
	for _, b := range []app.Backend{
		{Kind: app.BackendPeerSet}, {Kind: app.BackendRedirect}, {Kind: app.BackendAuthV0}, {Kind: app.BackendAuthV0, AuthV0: &app.AuthV0Opts{}},
		{Kind: app.BackendAuthSSO}, {Kind: app.BackendAuthForward}, {Kind: app.BackendAuthOIDC, AuthSSO: &app.AuthSSOOpts{}}, {Kind: "nonsense"},
	} {
		a := peers("raw"+string(b.Kind), "", string(b.Kind)+".raw.example.com")
		a.Backend = b
		sets[0].Apps = append(sets[0].Apps, a)
	}
	f.Apply(sets)
	for id, part := range map[string]string{
		"token": "/nowhere/token", "ca": "/nowhere/ca.pem",
		"rawpeer_set": "peer_set_opts is missing", "rawredirect": "redirect_opts is missing", "rawauth_v0": "auth_v0_opts",
		"rawauth_sso": "auth_sso_opts", "rawauth_forward": "auth_forward_opts", "rawauth_oidc": "auth_oidc_opts",
		"nested": "auth_oidc_opts.client_secret_file: read the secret file:/nowhere/oidc",
	} {
		a := f.wantState(t, id, StateBroken)
		if len(a.Problems) != 1 || !strings.Contains(a.Problems[0].Error(), part) || !strings.HasPrefix(a.Problems[0].Field, "backend") {
			t.Errorf("%s: problems %v", id, a.Problems)
		}
	}
	f.wantState(t, "good", StateRunning)
	f.wantState(t, "rawnonsense", StateUnavailable)
}

// A token that was changed in its file counts after Refresh, and a file that has
// gone leaves the old one.
func TestRefresh(t *testing.T) {
	f := newStandard(t)
	path := filepath.Join(t.TempDir(), "token")
	write := func(token string) {
		if err := os.WriteFile(path, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := func(token string, status int) {
		t.Helper()
		if got := f.request(t, "a.example.com", "Authorization", "Bearer "+token).Response.StatusCode(); got != status {
			t.Errorf("token %q: %d, want %d", token, got, status)
		}
	}
	write("one")
	f.Apply(decode(t,
		hostApp("a", `{"kind":"auth_v0","auth_v0_opts":{"bearer_token":"file:`+path+`","authorized_backend":{"kind":"prom_metrics"}}}`),
		hostApp("b", `{"kind":"peer_set","peer_set_opts":{"addrs":["http://127.0.0.1:1"]}}`)))
	b := f.Snapshot().App("b").backend
	write("two")
	want("one", 200)
	f.Refresh()
	want("one", 401)
	want("two", 200)
	if f.Snapshot().App("b").backend != b {
		t.Error("an application without references was built again")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	f.Refresh()
	want("two", 200)
	f.wantState(t, "a", StateKept)
	f.Apply(append(f.Gateway.last, SourceSet{Source: "docker"})) // an unrelated change
	f.wantState(t, "a", StateKept)
	write("three")
	f.Refresh()
	want("three", 200)
	f.wantState(t, "a", StateRunning)
}

// Applications that come and go leave no goroutine behind.
func TestNoGoroutineIsLeft(t *testing.T) {
	before := runtime.NumGoroutine()
	f := newStandard(t)
	for range 5 {
		f.Apply(decode(t, hostApp("a", `{"kind":"peer_set","peer_set_opts":{"addrs":["http://127.0.0.1:1"],"health_check":{"path":"/","interval":"1h"}}}`)))
		f.Apply(decode(t, hostApp("b", `{"kind":"peer_set","peer_set_opts":{"addrs":["http://127.0.0.1:2"]}}`)))
	}
	f.Close()
	for range 200 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	buf := make([]byte, 1<<16)
	t.Errorf("goroutines: %d before, %d after\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
}

func testResolve(s app.Secret) (string, error) { return app.Resolve(s, os.ReadFile, os.LookupEnv) }
