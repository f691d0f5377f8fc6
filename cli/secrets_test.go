package cli

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"edgerouter/bus/remote"
	"edgerouter/discovery/stream"
	"edgerouter/internal/testkit"
)

// markers are secrets that can be told from everything else, by what they are of.
type markers struct {
	dir string
	of  map[string]string
	env []string // NAME=value of those that are in the environment
}

func (m *markers) add(what, value string) string {
	m.of[value] = what
	return value
}

// text is a new secret.
func (m *markers) text(what string) string {
	return m.add(what, fmt.Sprintf("mArk%03dx%s", len(m.of), hex.EncodeToString([]byte(what))[:6]))
}

// file is a new secret in a file, and what refers to it.
func (m *markers) file(t *testing.T, what, format string) (path string) {
	t.Helper()
	path = filepath.Join(m.dir, fmt.Sprintf("file-%d", len(m.of)))
	if err := os.WriteFile(path, fmt.Appendf(nil, format+"\n", m.text(what)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (m *markers) variable(what, format string) (name string) {
	name = fmt.Sprintf("SECRETS_TEST_%d", len(m.of))
	m.env = append(m.env, name+"="+fmt.Sprintf(format, m.text(what)))
	return name
}

// hash is an htpasswd hash, which is a secret as well.
func (m *markers) hash(what string) string {
	sum := sha1.Sum([]byte(what))
	return "{SHA}" + m.add(what, base64.StdEncoding.EncodeToString(sum[:]))
}

// leaks are the secrets that a text has in it, as they are, in base64 or quoted.
func (m *markers) leaks(text string) []string {
	found := []string{}
	for value, what := range m.of {
		if strings.Contains(text, value) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(value))) {
			found = append(found, what)
		}
	}
	slices.Sort(found)
	return found
}

// secretApps are applications with a secret in every place that can have one.
// version makes each version of them another one.
func secretApps(t *testing.T, m *markers, version, peer string) []string {
	in := func(what string) string { return what + " " + version }
	users := filepath.Join(m.dir, "users"+version)
	if err := os.WriteFile(users, []byte("anna:"+m.hash(in("users_file"))+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	line := filepath.Join(m.dir, "line"+version)
	if err := os.WriteFile(line, []byte("bert:"+m.hash(in("users file:"))+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.env = append(m.env, "SECRETS_TEST_USER"+version+"=carl:"+m.hash(in("users env:")))
	inner := fmt.Sprintf(`"authorized_backend":{"kind":"peer_set","peer_set_opts":{"addrs":[%q],"headers_to_origin":{"Authorization":"Bearer %s"}}}`, peer, m.text(in("header behind auth")))
	app := func(id, rest string) string {
		return fmt.Sprintf(`{"id":%q,"frontends":[{"kind":"hostname","hostname":"%s.test","allow_insecure_http":true}],%s}`, id, id, rest)
	}
	guarded := func(kind, opts string) string {
		return fmt.Sprintf(`"backend":{"kind":%q,"%s_opts":{%s,%s}}`, kind, kind, opts, inner)
	}
	oidc := `"issuer":"http://127.0.0.1:1","client_id":"edge","allowed":{"domains":["corp.example"]},`
	return []string{
		app("direct", guarded("auth_v0", fmt.Sprintf(`"bearer_token":%q`, m.text(in("bearer_token"))))),
		app("file", guarded("auth_v0", fmt.Sprintf(`"bearer_token":"file:%s"`, m.file(t, in("bearer_token file:"), "%s")))),
		app("env", guarded("auth_v0", fmt.Sprintf(`"bearer_token":"env:%s"`, m.variable(in("bearer_token env:"), "%s")))),
		app("oidc", guarded("auth_oidc", oidc+fmt.Sprintf(`"client_secret":%q`, m.text(in("client_secret"))))),
		app("oidc-file", guarded("auth_oidc", oidc+fmt.Sprintf(`"client_secret_file":%q`, m.file(t, in("client_secret_file"), "%s")))),
		app("oidc-env", guarded("auth_oidc", oidc+fmt.Sprintf(`"client_secret":"env:%s"`, m.variable(in("client_secret env:"), "%s")))),
		app("sso", guarded("auth_sso", `"id_server_url":"http://127.0.0.1:1","audience":"prod","allowed_user_ids":["joonas"]`)),
		app("forward", guarded("auth_forward", `"address":"http://127.0.0.1:1/"`)),
		app("rest", fmt.Sprintf(`"middlewares":[
			{"kind":"basic_auth","basic_auth_opts":{"users":["dora:%s","file:%s","env:SECRETS_TEST_USER%s"],"users_file":%q}},
			{"kind":"chain","chain_opts":{"middlewares":[{"kind":"auth_v0","auth_v0_opts":{"bearer_token":%q}}]}},
			{"kind":"headers","headers_opts":{"request":{"X-Api-Key":%q,"X-Passphrase":%q},"response":{"Set-Cookie":"sid=%s"}}}],
			"backend":{"kind":"peer_set","peer_set_opts":{"addrs":["http://127.0.0.1:1"],
				"headers_to_origin":{"authorization":"Basic %s","Cookie":"session=%s","X-Shared-Secret":"file:%s","X-Access-Token":"env:%s"},
				"response_headers":{"set":{"X-Session":%q}}}}`,
			m.hash(in("users")), line, version, users, m.text(in("token in a chain")),
			m.text(in("X-Api-Key")), m.text(in("X-Passphrase")), m.text(in("Set-Cookie")),
			m.text(in("basic to origin")), m.text(in("Cookie")), m.file(t, in("X-Shared-Secret file:"), "%s"), m.variable(in("X-Access-Token env:"), "Bearer %s"),
			m.text(in("response X-Session")))),
	}
}

// brokenApps are definitions with something wrong in or beside a secret.
func brokenApps(t *testing.T, m *markers) []string {
	whole := func(rest string) string {
		return `{"id":"broken","frontends":[{"kind":"hostname","hostname":"broken.test"}],` + rest + `}`
	}
	one := func(rest string, args ...any) string { return whole(fmt.Sprintf(rest, args...)) }
	redirect := `"backend":{"kind":"redirect","redirect_opts":{"to":"/"}}`
	v0 := func(opts string, args ...any) string {
		return whole(redirect + `,"middlewares":[{"kind":"auth_v0","auth_v0_opts":` + fmt.Sprintf(opts, args...) + `}]`)
	}
	basic := func(opts string, args ...any) string {
		return whole(redirect + `,"middlewares":[{"kind":"basic_auth","basic_auth_opts":` + fmt.Sprintf(opts, args...) + `}]`)
	}
	peers := func(opts string, args ...any) string {
		return whole(`"backend":{"kind":"peer_set","peer_set_opts":{` + fmt.Sprintf(opts, args...) + `}}`)
	}
	key := m.file(t, "client_key_file", "-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----")
	return []string{
		v0(`{"bearer_token":%q,"relm":"x"}`, m.text("beside an unknown field")),
		v0(`{"bearer_tokn":%q}`, m.text("a misspelt field")),
		v0(`{"bearer_token":" %s "}`, m.text("white space around it")),
		v0(`{"bearer_token":"%s\n"}`, m.text("a line end after it")),
		v0(`{"bearer_token":[%q]}`, m.text("a list")),
		v0(`{"bearer_token":{"value":%q}}`, m.text("an object")),
		v0(`%q`, m.text("a text for the options")),
		v0(`{%q:"x"}`, "Bearer: "+m.text("a name of a field")),
		v0(`{"bearer_token":%q,"bearer_token":%q}`, m.text("given once"), m.text("given twice")),
		v0(`{"bearer_token":"env:%s and more"}`, m.text("an env: that is none")),
		v0(`{"bearer_token":"%s%s"}`, strings.Repeat("x", 1001), m.text("a token that is too long")),
		v0(`{"bearer_token":"file:/nowhere/%s"}`, "gone"),
		v0(`{"bearer_token":"env:SECRETS_TEST_UNSET"}`),
		basic(`{"users":["anna:%s"]}`, m.text("a password that is not hashed")),
		basic(`{"users":["%s"]}`, m.text("a user without a colon")),
		basic(`{"users":["anna:$2y$05$%s"]}`, m.text("a hash that is cut off")),
		basic(`{"users":"anna:%s"}`, m.text("users that are no list")),
		basic(`{"users":[{"anna":%q}]}`, m.text("a user that is an object")),
		basic(`{"anna":%q}`, m.text("users among the options")),
		basic(`{"users_file":%q}`, m.file(t, "a users_file without hashes", "anna:%s")),
		basic(`{"users":["file:%s"]}`, m.file(t, "users file: without a hash", "anna:%s")),
		one(redirect+`,"middlewares":[{"kind":"headers","headers_opts":{"request":{"Authorization: Bearer %s":""}}}]`, m.text("a header as a name")),
		one(redirect+`,"middlewares":[{"kind":"headers","headers_opts":{"request":{"Authorization":"Bearer %s\r"}}}]`, m.text("a header with CR")),
		one(redirect+`,"middlewares":[{"kind":"headers","headers_opts":{"request":"Authorization: Bearer %s"}}]`, m.text("headers that are no object")),
		one(redirect+`,"middlewares":[{"kind":"headers","headers_opts":{"Authorization: Bearer %s":""}}]`, m.text("a header among the options")),
		peers(`"addrs":["http://127.0.0.1:1"],"headers_to_origin":{"Authorization":"Bearer %s","authorization":"x"}`, m.text("a header twice")),
		peers(`"addrs":["http://127.0.0.1:1"],"headers_to_origin":{"X-Token":{"value":%q}}`, m.text("a header that is an object")),
		peers(`"addrs":["http://anna:%s@127.0.0.1:1"]`, m.text("an address with a password")),
		peers(`"addrs":["anna:%s@127.0.0.1:1"]`, m.text("an address with a password and no scheme")),
		peers(`"addrs":["http://anna:%s@127.0.0.1:1"],"weights":{"http://anna@127.0.0.1:1":1}`, m.text("an address near a weight")),
		peers(`"addrs":["http://127.0.0.1:1"],"weights":{"http://anna:%s@127.0.0.1:1":-1}`, m.text("a weight of an address with a password")),
		peers(`"addrs":["https://127.0.0.1:1"],"tls_config":{"client_cert_file":%q,"client_key_file":%q}`, key, key),
		peers(`"addrs":["http://127.0.0.1:1"],"headers_to_origin":{"Authorization":"file:%s"}`, m.file(t, "a header with a line end in file:", "Bearer\n%s")),
		one(`"backend":{"kind":"redirect","redirect_opts":{"to":"https://anna:%s@example.com/"}}`, m.text("a redirect with a password")),
		one(`"backend":{"kind":"auth_oidc","auth_oidc_opts":{"issuer":"http://anna:%s@127.0.0.1:1","client_id":"edge","client_secret":%q,"allowed":{},"authorized_backend":{"kind":"redirect","redirect_opts":{"to":"/"}}}}`,
			m.text("an issuer with a password"), m.text("a client_secret beside it")),
		one(`"backend":{"kind":"auth_v0","auth_v0_opts":{"bearer_token":%q}}`, m.text("nothing behind it")),
		one(`"backend":{"kind":"peer_set","auth_v0_opts":{"bearer_token":%q}}`, m.text("options of another kind")),
	}
}

// told is what a process says, by where.
type told struct {
	t *testing.T
	m *markers
}

// clean checks that there is no secret in a text.
func (c told) clean(where, text string) {
	c.t.Helper()
	for _, what := range c.m.leaks(text) {
		excerpt := ""
		for value, of := range c.m.of {
			if i := strings.Index(text, value); of == what && i >= 0 {
				excerpt = text[max(0, i-160):min(len(text), i+len(value)+40)]
			}
		}
		c.t.Errorf("%s tells the secret %q: ...%s...", where, what, excerpt)
	}
}

// Secrets of definitions and of the process are nowhere to be seen: not in what
// commands print, not in the API, the page and the metrics, not in the log at its
// most talkative and not in the access log. Only the event log itself, for which
// the admin token is needed, and discovery cat --secrets have them.
func TestSecretsAreNotTold(t *testing.T) {
	dir := t.TempDir()
	m := &markers{dir: dir, of: map[string]string{}}
	says := told{t, m}
	first, second := secretApps(t, m, "1", origin(t, "peer")), secretApps(t, m, "2", origin(t, "peer"))
	broken := brokenApps(t, m)

	busSecret, adminToken, certbusKey := m.file(t, "--bus-secret-file", "%s-and-some-more"), m.file(t, "--admin-token-file", "%s"), filepath.Join(dir, "certbus.key")
	output(t, "cert", "keygen", "--out", certbusKey)
	key, err := os.ReadFile(certbusKey)
	if err != nil {
		t.Fatal(err)
	}
	private := strings.TrimSpace(string(key)) // base64 of PEM
	m.add("--certbus-key", private[200:260])
	if pem, err := base64.StdEncoding.DecodeString(private); err != nil || !strings.Contains(string(pem), "PRIVATE KEY") {
		t.Errorf("%s is not what CERTBUS_CLIENT_PRIVKEY wants: %v", certbusKey, err)
	}
	apps := filepath.Join(dir, "apps.json")
	writeApps(t, apps, `{"id":"admin","frontends":[{"kind":"hostname","hostname":"admin.test","allow_insecure_http":true}],"backend":{"kind":"edgerouter_admin"}}`)
	for _, variable := range m.env {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	t.Setenv("CERTBUS_CLIENT_PRIVKEY", private)
	t.Setenv("METRICS_ENDPOINT", "/"+m.text("METRICS_ENDPOINT"))
	p := startServe(t, apps, "--https", freePort(t), "--bus-client", freePort(t), "--bus-secret-file", busSecret, "--admin-token-file", adminToken,
		"--log-level", "trace", "--access-log", "json")
	token, err := os.ReadFile(adminToken)
	if err != nil {
		t.Fatal(err)
	}
	var events, live testkit.Buffer
	for path, into := range map[string]io.Writer{"/api/v1/events": &events, "/api/v1/live": &live} {
		follow(t, "http://"+p.admin+path, into)
	}

	run := func(stdin string, args ...string) string {
		cmd := edgerouter(t, args...)
		cmd.Stdin = strings.NewReader(stdin)
		out, _ := cmd.CombinedOutput() // many of them have to fail
		return string(out)
	}
	node := []string{"--server", "http://" + p.admin, "--token-file", adminToken}
	discovery := func(stdin string, args ...string) string {
		t.Helper()
		text := run(stdin, append(append([]string{"discovery"}, args...), node...)...)
		says.clean("discovery "+strings.Join(args, " "), text)
		return text
	}
	log, err := remote.New("http://"+p.admin, strings.TrimSpace(string(token)))
	if err != nil {
		t.Fatal(err)
	}
	set := func(apps []string) string { return `{"apps":[` + strings.Join(apps, ",") + `]}` }
	generation := func(version int64) {
		t.Helper()
		p.eventually(fmt.Sprint("at version ", version), func() bool {
			var o struct {
				Nodes []struct{ Generation int64 } `json:"nodes"`
			}
			return json.Unmarshal([]byte(ask(t, p.admin, "/api/v1/overview")), &o) == nil && len(o.Nodes) == 1 && o.Nodes[0].Generation >= version
		})
	}
	last := func() {
		t.Helper()
		at, err := log.Last(t.Context(), stream.Path("1"))
		if err != nil {
			t.Fatal(err)
		}
		generation(at.Version)
	}
	ids := []string{"direct", "file", "env", "oidc", "oidc-file", "oidc-env", "sso", "forward", "rest", "broken"}
	look := func(when string) {
		t.Helper()
		paths := []string{"/", "/metrics", "/readyz", "/api/v1/apps", "/api/v1/overview", "/api/v1/peers", "/api/v1/sources", "/api/v1/conflicts", "/api/v1/certs",
			"/api/v1/cluster", "/api/v1/ip-rules", "/api/v1/openapi.json", "/api/v1/log?stream=/t-1/loadbalancer", "/debug/pprof/cmdline"}
		for _, id := range ids {
			paths = append(paths, "/api/v1/apps/"+id, "/api/v1/history?app="+id, "/api/v1/explain?url=http://"+id+".test/")
		}
		for _, path := range paths {
			says.clean(when+": "+path, ask(t, p.admin, path))
		}
		says.clean(when+": explain", run("", "explain", "http://rest.test/", "--server", "http://"+p.admin))
		discovery("", "ls")
		discovery("", "ls", "--json")
		discovery("", "history")
		discovery("", "history", "--json")
		discovery("", "cat", "rest")
		discovery("", "cat", "direct")
	}

	// Put, changed, set back, and put back as they are shown.
	discovery(set(first), "put", "-", "--dry-run")
	discovery(set(first), "put", "-")
	last()
	if text := ask(t, p.admin, "/api/v1/apps"); strings.Count(text, `"source": "stream"`) != len(first) || strings.Contains(text, `"broken"`) {
		t.Fatal(text)
	}
	look("put")
	discovery(set(second), "put", "-", "--dry-run")
	discovery(set(second), "put", "-")
	last()
	look("changed")
	discovery("", "rollback", "rest", "1", "--dry-run")
	discovery("", "rollback", "rest", "1")
	last()
	if shown := discovery("", "cat", "direct"); !strings.Contains(shown, `"***`) {
		t.Errorf("cat shows %s", shown)
	} else if i := strings.IndexByte(shown, '{'); !strings.Contains(discovery(shown[i:], "put", "-"), "--secrets") {
		t.Error("a definition was put with what is shown instead of its secrets")
	}
	if text := run("", append([]string{"discovery", "cat", "direct", "--secrets"}, node...)...); !slices.Equal(m.leaks(text), []string{"bearer_token 2", "header behind auth 2"}) {
		t.Errorf("cat --secrets shows %s", text)
	}

	// Asked for with credentials that are right, wrong and no credentials at all.
	for _, id := range ids {
		for value := range m.of {
			raw(t, p.http, "GET / HTTP/1.1\r\nHost: "+id+".test\r\nAccept: text/html\r\nAuthorization: Bearer "+value+"\r\nConnection: close\r\n\r\n")
		}
		raw(t, p.http, "GET / HTTP/1.1\r\nHost: "+id+".test\r\nAuthorization: Basic "+base64.StdEncoding.EncodeToString([]byte("x:"+m.text("a wrong password")))+"\r\nConnection: close\r\n\r\n")
		raw(t, p.http, "GET / HTTP/1.1\r\nHost: "+id+".test\r\nAuthorization : Bearer "+m.text("a malformed request")+"\r\n\r\n")
		raw(t, p.http, "GET /_auth/redirect?next=/&token="+m.text("a token in the query")+" HTTP/1.1\r\nHost: "+id+".test\r\nConnection: close\r\n\r\n")
		raw(t, p.http, "GET /_auth/callback?state=12345678&code="+m.text("a code in the query")+" HTTP/1.1\r\nHost: "+id+".test\r\nReferer: https://"+id+".test/_auth/redirect?token="+m.text("a token in the referrer")+"\r\nConnection: close\r\n\r\n")
		raw(t, p.http, "GET / HTTP/1.1\r\nHost: "+id+".test\r\nCookie: auth="+m.text("a cookie")+"; auth=a.b.c\r\nConnection: close\r\n\r\n")
	}
	for secret, what := range m.of {
		if what == "METRICS_ENDPOINT" && !strings.Contains(raw(t, p.http, "GET /"+secret+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "er_requests_ok") {
			t.Error("METRICS_ENDPOINT has no metrics")
		}
	}
	raw(t, p.admin, "POST /api/v1/rollback HTTP/1.1\r\nHost: "+p.admin+"\r\nX-Edgerouter-Token: "+m.text("a wrong admin token")+"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

	// Refused by commands, and by the node when they come past these.
	for i, definition := range broken {
		file := filepath.Join(dir, "broken.json")
		if err := os.WriteFile(file, []byte(definition), 0o600); err != nil {
			t.Fatal(err)
		}
		says.clean("validate "+definition, run("", "validate", file))
		if i%6 == 0 { // a process each; they have their problems from where validate has them
			discovery(definition, "put", "-")
			says.clean("explain --apps", run("", "explain", "http://broken.test/", "--apps", file))
		}
		line, err := stream.Updated(time.Now(), json.RawMessage(definition))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := log.Append(t.Context(), stream.Path("1"), line); err != nil {
			t.Fatal(err)
		}
		last()
		for _, path := range []string{"/api/v1/apps", "/api/v1/apps/broken", "/api/v1/overview", "/api/v1/sources", "/api/v1/explain?url=http://broken.test/"} {
			says.clean(path+" with "+definition, ask(t, p.admin, path))
		}
	}
	if text := ask(t, p.admin, "/api/v1/apps/broken"); !strings.Contains(text, `"broken"`) {
		t.Errorf("the broken application is shown as %s", text)
	}
	for _, text := range []string{
		`{"id":"broken","middlewares":[{"kind":"auth_v0","auth_v0_opts":{"bearer_token":` + m.text("without quotes") + `}}]}`,
		`{"id":"broken","middlewares":[{"kind":"auth_v0","auth_v0_opts":{"bearer_token":'` + m.text("with other quotes") + `'}}]}`,
		`{"id":"broken","middlewares":[{"kind":"auth_v0","auth_v0_opts":{"bearer_token":"` + m.text("cut off"),
		m.text("nothing else"),
	} {
		says.clean("validate "+text, run(text, "validate", "-"))
		discovery(text, "put", "-")
		file := filepath.Join(dir, "broken.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		says.clean("validate "+text, run("", "validate", file))
	}
	for _, line := range []string{
		m.text("a line that is no event"),
		"AppUpdated " + m.text("an event without a time"),
		"2026-11-01T12:12:00.000Z AppUpdated token=" + m.text("an event that is cut off"),
		"2026-11-01T12:12:00.000Z AppUpdated    " + m.text("an event without an object"),
		"2026-11-01T12:12:00.000Z App-Updated:" + m.text("a type that is none") + "    {}",
		`2026-11-01T12:12:00.000Z AppUpdated    {"Application":"` + m.text("an application that is a text") + `"}`,
		`2026-11-01T12:12:00.000Z AppUpdated    {"Aplication":"` + m.text("an event of another form") + `"}`,
		`2026-11-01T12:12:00.000Z IpRulesUpdated    {"Rules":"` + m.text("rules that are none") + ` {"}`,
	} {
		if _, err := log.Append(t.Context(), stream.Path("1"), line); err != nil {
			says.clean("append", err.Error())
		}
	}
	last()
	look("broken")
	for _, id := range ids {
		discovery("", "rm", id, "--dry-run")
		discovery("", "rm", id)
	}
	last()
	look("removed")

	p.cmd.Process.Signal(os.Interrupt)
	p.cmd.Wait()
	text := p.stderr.String()
	if access := p.stdout.String(); !strings.Contains(access, `"uri":"/_auth/redirect"`) {
		t.Errorf("the access log has not what was asked: %.2000s", access)
	}
	for line := range strings.Lines(p.stdout.String()) {
		says.clean("the access log", line)
	}
	for _, want := range []string{`"level":"debug"`, "configuration applied", "broken"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log has no %s", want)
		}
	}
	for line := range strings.Lines(text) {
		says.clean("the log", line)
	}
	for name, text := range map[string]string{"events": events.String(), "live": live.String()} {
		if !strings.Contains(text, "***") {
			t.Errorf("%s told of no change of a secret: %.2000s", name, text)
		}
		says.clean(name, text)
	}
}

// Settings that are wrong or lead nowhere are told without what is secret in them.
func TestSecretsOfSettingsAreNotTold(t *testing.T) {
	m := &markers{dir: t.TempDir(), of: map[string]string{}}
	says := told{t, m}
	for _, c := range []struct {
		env  string
		args []string
		told string
	}{
		{"CERTBUS_CLIENT_PRIVKEY=" + m.text("CERTBUS_CLIENT_PRIVKEY"), nil, "CERTBUS_CLIENT_PRIVKEY"},
		{"CERTBUS_CLIENT_PRIVKEY=file:" + m.file(t, "a certbus key", "-----BEGIN RSA PRIVATE KEY-----\n%s\n-----END RSA PRIVATE KEY-----"), nil, "CERTBUS_CLIENT_PRIVKEY"},
		{"EVENTHORIZON=prod:1:AKIA:" + m.text("EVENTHORIZON"), []string{"--bus", "eventhorizon"}, "EVENTHORIZON"},
		{"EVENTHORIZON=prod:1:AKIA:" + m.text("EVENTHORIZON with a fifth") + ":nowhere:more", []string{"--bus", "eventhorizon"}, "EVENTHORIZON"},
		{"DOCKER_CLIENTCERT_KEY=" + m.text("DOCKER_CLIENTCERT_KEY"), []string{"--docker", "tcp://127.0.0.1:1"}, "DOCKER_CLIENTCERT_KEY"},
		{"", []string{"--bus", "nats://anna:" + m.text("a password of NATS") + "@"}, "--bus"},
		{"", []string{"--bus", "nats://anna:" + m.text("a password of NATS that does not answer") + "@127.0.0.1:1"}, "--bus"},
		{"", []string{"--bus", "nets://anna:" + m.text("a password of no scheme") + "@127.0.0.1:1"}, "--bus"},
		{"", []string{"--bus-client", "127.0.0.1:1", "--bus-secret-file", m.file(t, "a short secret", "%.15s")}, "--bus-secret-file"},
		{"", []string{"--admin-token-file", m.file(t, "a token that is too long", strings.Repeat("x", 1000)+"%s")}, "--admin-token-file"},
	} {
		args := append([]string{"serve", "--http", freePort(t), "--https", "", "--admin", freePort(t), "--data", t.TempDir(), "--docker", "off", "--log-level", "trace"}, c.args...)
		cmd := edgerouter(t, args...)
		if c.env != "" {
			cmd.Env = append(os.Environ(), c.env)
		}
		var out testkit.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { defer close(ended); cmd.Wait() }()
		eventually(t, fmt.Sprint(c.args, " is told"), time.Minute, func() bool {
			select {
			case <-ended:
				return true
			default:
				return strings.Contains(out.String(), "again_in") // a server that does not answer
			}
		})
		cmd.Process.Kill()
		<-ended
		if !strings.Contains(out.String(), c.told) {
			t.Errorf("%s %v: %s, want %s", c.env, c.args, out.String(), c.told)
		}
		says.clean(fmt.Sprint(c.env, c.args), out.String())
	}
}

// follow copies what a stream of events has until the test ends.
func follow(t *testing.T, url string, into io.Writer) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(into, resp.Body)
	}()
	t.Cleanup(func() { cancel(); <-done; resp.Body.Close() })
}

// ask reads a path of the admin listener without a token.
func ask(t *testing.T, addr, path string) string {
	t.Helper()
	resp, err := http.Get("http://" + addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// raw sends bytes and reads the answer.
func raw(t *testing.T, addr, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	bufio.NewReader(c).WriteTo(&b)
	return b.String()
}
