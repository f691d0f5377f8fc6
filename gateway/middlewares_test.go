package gateway

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edgerouter/app"
	"edgerouter/internal/testkit"
)

// behind is an application whose backend stands behind middlewares, a JSON list.
func behind(id, middlewares, backend string) string {
	return `{"id":"` + id + `","frontends":[{"kind":"hostname","hostname":"` + id + `.example.com"}],"middlewares":` + middlewares + `,"backend":` + backend + `}`
}

const (
	onePeer   = `{"kind":"peer_set","peer_set_opts":{"addrs":["http://127.0.0.1:1"]}}`
	otherPeer = `{"kind":"prom_metrics"}`
)

// Only an application without middlewares writes to the wire itself.
func TestMiddlewaresAreInBetween(t *testing.T) {
	f := newStandard(t)
	kinds := map[string]string{
		"headers":            `,"headers_opts":{"response":{"X":"y"}}`,
		"strip_prefix":       `,"strip_prefix_opts":{"prefixes":["/a"]}`,
		"add_prefix":         `,"add_prefix_opts":{"prefix":"/a"}`,
		"replace_path":       `,"replace_path_opts":{"path":"/a"}`,
		"redirect_scheme":    `,"redirect_scheme_opts":{"scheme":"https"}`,
		"redirect_regex":     `,"redirect_regex_opts":{"regexp":"a","replacement":"b"}`,
		"basic_auth":         `,"basic_auth_opts":{"users":["bob:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M="]}`,
		"forward_auth":       `,"forward_auth_opts":{"address":"http://127.0.0.1:1"}`,
		"allowed_ips":        `,"allowed_ips_opts":{"ranges":["10.0.0.0/8"]}`,
		"rate_limit":         `,"rate_limit_opts":{"average":1}`,
		"in_flight":          `,"in_flight_opts":{"amount":1}`,
		"retry":              `,"retry_opts":{"attempts":1}`,
		"compress":           ``,
		"client_certificate": `,"client_certificate_opts":{"ca_file":"` + testkit.CAFile(t) + `"}`,
		"max_request_body":   `,"max_request_body_opts":{"bytes":1}`,
		"chain":              `,"chain_opts":{"middlewares":[{"kind":"compress"}]}`,
		"auth_v0":            `,"auth_v0_opts":{"bearer_token":"sesame"}`,
		"auth_sso":           `,"auth_sso_opts":{"allowed_user_ids":["u"],"audience":"a"}`,
		"auth_forward":       `,"auth_forward_opts":{"address":"http://127.0.0.1:1"}`,
		"auth_oidc":          `,"auth_oidc_opts":{"issuer":"https://id.example.com","client_id":"c","allowed":{"emails":["a@example.com"]}}`,
	}
	defs := []string{behind("none", `[]`, onePeer)}
	for kind, opts := range kinds {
		defs = append(defs, behind(kind, `[{"kind":"`+kind+`"`+opts+`}]`, onePeer))
	}
	f.Apply(decode(t, defs...))
	for kind := range kinds {
		f.wantState(t, kind, StateRunning)
		if e := f.Lookup([]byte(kind+".example.com"), []byte("/"), nil); e == nil || e.Direct {
			t.Errorf("%s: the backend writes to the wire past it", kind)
		}
	}
	if e := f.Lookup([]byte("none.example.com"), []byte("/"), nil); !e.Direct {
		t.Error("without a middleware the backend does not write to the wire itself")
	}
	for kind := range (Standard{}).Middlewares() {
		if _, ok := kinds[string(kind)]; !ok {
			t.Errorf("%s is not tried", kind)
		}
	}
}

func TestMiddlewareProblems(t *testing.T) {
	f := newStandard(t)
	const users = `{"kind":"basic_auth","basic_auth_opts":{"users_file":"/nowhere/htpasswd"}}`
	sets := decode(t,
		behind("users", `[{"kind":"compress"},`+users+`]`, otherPeer),
		behind("chain", `[{"kind":"chain","chain_opts":{"middlewares":[{"kind":"compress"},`+users+`]}}]`, otherPeer),
		behind("ca", `[{"kind":"forward_auth","forward_auth_opts":{"address":"https://127.0.0.1:1","tls_config":{"ca_file":"/nowhere/ca.pem"}}}]`, otherPeer),
		behind("secret", `[{"kind":"headers","headers_opts":{"request":{"Authorization":"env:EDGEROUTER_NOT_THERE"}}}]`, otherPeer),
		behind("forward", `[{"kind":"auth_forward","auth_forward_opts":{"address":"https://127.0.0.1:1","tls_config":{"ca_file":"/nowhere/ca.pem"}}}]`, otherPeer),
		behind("oidc", `[{"kind":"auth_oidc","auth_oidc_opts":{"issuer":"https://id.example.com","client_id":"c","client_secret_file":"/nowhere/oidc","allowed":{"emails":["a@example.com"]}}}]`, otherPeer),
		behind("token", `[{"kind":"auth_v0","auth_v0_opts":{"bearer_token":"file:/nowhere/token"}}]`, otherPeer),
		behind("good", `[{"kind":"compress"}]`, otherPeer))
	// Definitions that no decoder has seen must not do worse than be broken.
	for kind := range (Standard{}).Middlewares() {
		if kind != app.MiddlewareCompress {
			a := peers("raw-"+string(kind), "", string(kind)+".raw.example.com")
			a.Middlewares, a.Backend = []app.Middleware{{Kind: kind}}, app.Backend{Kind: app.BackendPromMetrics}
			sets[0].Apps = append(sets[0].Apps, a)
		}
	}
	f.Apply(sets)
	for id, want := range map[string][2]string{
		"users":   {"middlewares[1].basic_auth_opts.users_file", "/nowhere/htpasswd"},
		"chain":   {"middlewares[0].chain_opts.middlewares[1].basic_auth_opts.users_file", "/nowhere/htpasswd"},
		"ca":      {"middlewares[0].forward_auth_opts.tls_config.ca_file", "/nowhere/ca.pem"},
		"secret":  {`middlewares[0].headers_opts.request["Authorization"]`, "EDGEROUTER_NOT_THERE"},
		"forward": {"middlewares[0].auth_forward_opts.tls_config.ca_file", "/nowhere/ca.pem"},
		"oidc":    {"middlewares[0].auth_oidc_opts.client_secret_file", "/nowhere/oidc"},
		"token":   {"middlewares[0].auth_v0_opts.bearer_token", "/nowhere/token"},
	} {
		a := f.wantState(t, id, StateBroken)
		if len(a.Problems) != 1 || a.Problems[0].Field != want[0] || !strings.Contains(a.Problems[0].Message, want[1]) {
			t.Errorf("%s: problems %q", id, a.Problems)
		}
	}
	for kind := range (Standard{}).Middlewares() {
		if kind != app.MiddlewareCompress {
			a := f.wantState(t, "raw-"+string(kind), StateBroken)
			if len(a.Problems) != 1 || !strings.HasSuffix(a.Problems[0].Error(), "is missing") || !strings.Contains(a.Problems[0].Error(), string(kind)+"_opts") {
				t.Errorf("%s: problems %q", kind, a.Problems)
			}
		}
	}
	f.wantState(t, "good", StateRunning)
}

// What a middleware has counted outlives changes of what stands around it.
func TestMiddlewaresAreKept(t *testing.T) {
	f := newStandard(t)
	limit := func(burst string) string {
		return `{"kind":"rate_limit","rate_limit_opts":{"average":1,"period":"24h","per":"application","burst":` + burst + `}}`
	}
	status := func() int { return f.request(t, "a.example.com").Response.StatusCode() }
	f.Apply(decode(t, behind("a", `[`+limit("2")+`]`, otherPeer)))
	if got := status(); got != 200 {
		t.Fatalf("%d", got)
	}
	f.Apply(decode(t, behind("a", `[`+limit("2")+`,{"kind":"compress"}]`, `{"kind":"edgerouter_admin"}`)))
	if first, second := status(), status(); first != 200 || second != 429 {
		t.Errorf("with another backend: %d and %d, as if nothing had been counted", first, second)
	}
	f.Refresh()
	if got := status(); got != 429 {
		t.Errorf("after SIGHUP: %d", got)
	}
	f.Apply(decode(t, behind("a", `[`+limit("1")+`]`, otherPeer)))
	if got := status(); got != 200 {
		t.Errorf("with another limit: %d", got)
	}
}

// A middleware that refers to a file is built again on SIGHUP, and keeps what it
// had if that fails.
func TestMiddlewaresAreRefreshed(t *testing.T) {
	f := newStandard(t)
	path := filepath.Join(t.TempDir(), "user")
	write := func(line string) {
		if err := os.WriteFile(path, []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := func(user string, status int) {
		t.Helper()
		token := map[string]string{"bob": "Ym9iOnRlc3Q=", "eve": "ZXZlOnRlc3Q="}[user]
		if got := f.request(t, "a.example.com", "Authorization", "Basic "+token).Response.StatusCode(); got != status {
			t.Errorf("%s: %d, want %d", user, got, status)
		}
	}
	const hash = ":{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=" // of "test"
	write("bob" + hash)
	f.Apply(decode(t, behind("a", `[{"kind":"chain","chain_opts":{"middlewares":[{"kind":"basic_auth","basic_auth_opts":{"users":["file:`+path+`"]}}]}}]`, otherPeer)))
	want("bob", 200)
	write("eve" + hash)
	want("bob", 200)
	f.Refresh()
	want("bob", 401)
	want("eve", 200)
	write("eve:")
	f.Refresh()
	want("eve", 200)
	f.wantState(t, "a", StateKept)
}

// What is looked at and not served is checked as far as that can be done here.
func TestCheckedMiddlewares(t *testing.T) {
	kinds := CheckedMiddlewares()
	for list, want := range map[string]string{
		`[{"kind":"basic_auth","basic_auth_opts":{"users":["bob:$2y$05$tooshort"]}}]`:                                                                         "basic_auth_opts.users[0]",
		`[{"kind":"chain","chain_opts":{"middlewares":[{"kind":"headers","headers_opts":{"response":{"Date":"x"}}}]}}]`:                                       "chain_opts.middlewares[0].headers_opts.response",
		`[{"kind":"basic_auth","basic_auth_opts":{"users":["file:/nowhere"]}}]`:                                                                               "",
		`[{"kind":"chain","chain_opts":{"middlewares":[{"kind":"compress"},{"kind":"basic_auth","basic_auth_opts":{"users_file":"/nowhere"}}]}}]`:             "",
		`[{"kind":"forward_auth","forward_auth_opts":{"address":"https://a","tls_config":{"ca_file":"/nowhere"}}}]`:                                           "",
		`[{"kind":"headers","headers_opts":{"request":{"Authorization":"env:NOWHERE"}}}]`:                                                                     "",
		`[{"kind":"auth_v0","auth_v0_opts":{"bearer_token":"file:/nowhere"}}]`:                                                                                "",
		`[{"kind":"auth_v0","auth_v0_opts":{"bearer_token":"sesame"}},{"kind":"compress"},{"kind":"rate_limit","rate_limit_opts":{"average":1,"burst":100}}]`: "",
	} {
		for _, m := range decode(t, behind("a", list, otherPeer))[0].Apps[0].Middlewares {
			w, err := kinds[m.Kind]("a", m)
			if want == "" && (err != nil || w == nil) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%s: %v, want %q", list, err, want)
			}
		}
	}
}
