package middleware

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"edgerouter/app"
)

// TestForwardAuthTrust: what a client says of how it came never gets to the
// authentication server; what a trusted proxy says does, where the definition
// says so.
func TestForwardAuthTrust(t *testing.T) {
	noLeaks(t, 5)
	var mu sync.Mutex
	var asked http.Header
	g := startGuard(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = r.Header.Clone()
		mu.Unlock()
	})
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	for _, c := range []struct {
		trust   bool
		proxies []netip.Prefix
		want    string
	}{
		{false, nil, "GET http app.example /x?y 127.0.0.1 "},
		{true, nil, "GET http app.example /x?y 127.0.0.1 "},
		{true, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, "GET http app.example /x?y 127.0.0.1 "},
		{false, loopback, "GET https other.example /x?y 192.0.2.1, 127.0.0.1 8443"},
		{true, loopback, "PUT https other.example /z 192.0.2.1, 127.0.0.1 8443"},
	} {
		e := startEdgeBehind(t, c.proxies, must(t)(NewForwardAuth(app.AuthForwardOpts{Address: g.URL, TrustForwardHeader: c.trust}, Deps{})), http.NotFoundHandler())
		e.dial(t).get("/x?y", "X-Forwarded-Method: PUT", "X-Forwarded-Proto: https", "X-Forwarded-Host: other.example", "X-Forwarded-Uri: /z", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Port: 8443")
		mu.Lock()
		got := fmt.Sprint(asked.Get("X-Forwarded-Method"), " ", asked.Get("X-Forwarded-Proto"), " ", asked.Get("X-Forwarded-Host"), " ",
			asked.Get("X-Forwarded-Uri"), " ", asked.Get("X-Forwarded-For"), " ", asked.Get("X-Forwarded-Port"))
		mu.Unlock()
		e.dial(t).get("/x", "X-Original-URL: https://app.example/public", "x-original-method: OPTIONS", "X_Original_URI: /public", "X-Rewrite-Url: /public", "X-HTTP-Method-Override: OPTIONS", "X-Original: kept")
		mu.Lock()
		for name := range asked {
			if name != "X-Original" && (strings.HasPrefix(name, "X-Original") || strings.HasPrefix(name, "X_orig") || strings.HasPrefix(name, "X-Rewrite") || strings.HasPrefix(name, "X-Http")) {
				t.Errorf("the client's %s gets there", name)
			}
		}
		if asked.Get("X-Original") != "kept" {
			t.Error("a field that misleads nobody is lost")
		}
		mu.Unlock()
		if got != c.want {
			t.Errorf("trust %v behind %v: %q, want %q", c.trust, c.proxies, got, c.want)
		}
	}
}

// TestForwardAuthRegex: fields by a regexp come from the answer only, whatever the
// client calls its own; those of the edge and of the message are not for the answer.
func TestForwardAuthRegex(t *testing.T) {
	g := startGuard(t, func(w http.ResponseWriter, r *http.Request) {
		for name, value := range map[string]string{
			"Remote-User": "alice", "remote-groups": "a", "X-Forwarded-User": "alice", "X-Forwarded-For": "6.6.6.6", "X-Real-Ip": "6.6.6.6",
			"X-Request-Id": "forged", "Other": "no", "Host": "evil", "Content-Encoding": "br",
		} {
			w.Header()[name] = []string{value}
		}
	})
	var mu sync.Mutex
	var got http.Header
	origin := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		got = r.Header.Clone()
		mu.Unlock()
	})
	e := startEdge(t, must(t)(NewForwardAuth(app.AuthForwardOpts{
		Address: g.URL, AuthResponseHeaders: []string{"Remote-User"}, AuthResponseHeadersRegex: "^(remote-|x-|host|content-)",
	}, Deps{})), origin)
	e.dial(t).get("/", "Remote-User: root", "Remote_User: root", "REMOTE-NAME: root", "remote_name: root", "Remote.Email: root", "X_Forwarded_User: root", "X-Auth-Role: root",
		"X.Auth.Role: root", "Mine: yes", "Content-Language: fi")
	mu.Lock()
	defer mu.Unlock()
	for name, values := range got {
		for _, v := range values {
			if v == "root" {
				t.Errorf("the client's %s: %s", name, v)
			}
		}
	}
	for name, want := range map[string]string{
		"Remote-User": "alice", "Remote-Groups": "a", "X-Forwarded-User": "alice", "X-Forwarded-For": "127.0.0.1", "X-Real-Ip": "127.0.0.1",
		"Other": "", "Mine": "yes", "Content-Language": "fi", "Content-Encoding": "",
	} {
		if v := strings.Join(got.Values(name), "|"); v != want {
			t.Errorf("%s: %q, want %q", name, v, want)
		}
	}
	if got.Get("X-Request-Id") == "forged" || len(got.Values("X-Request-Id")) != 1 {
		t.Errorf("X-Request-Id %v", got.Values("X-Request-Id"))
	}
	_, err := NewForwardAuth(app.AuthForwardOpts{Address: "http://auth/", AuthResponseHeadersRegex: "a)(b"}, Deps{})
	refused(t, err, "forward_auth_opts.auth_response_headers_regex")
	_, err = NewForwardAuth(app.AuthForwardOpts{Address: "http://auth/", AddAuthCookiesToResponse: []string{"a", "b c"}}, Deps{})
	refused(t, err, "forward_auth_opts.add_auth_cookies_to_response[1]")
}

// TestForwardAuthCookies: cookies of an answer that lets a request through are set
// beside those of the backend, as they came; with names only these.
func TestForwardAuthCookies(t *testing.T) {
	g := startGuard(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Set-Cookie", `session="a, b"; Path=/; HttpOnly`)
		w.Header().Add("Set-Cookie", "other=2; Path=/x")
		w.Header().Add("Set-Cookie", "session=; Path=/old; Max-Age=0")
	})
	origin := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Set-Cookie", "own=1")
		w.(http.Flusher).Flush() // streamed
	})
	const session, other, old = `session="a, b"; Path=/; HttpOnly`, "other=2; Path=/x", "session=; Path=/old; Max-Age=0"
	for _, c := range []struct {
		names []string
		want  []string
	}{
		{nil, []string{"own=1", session, other, old}},
		{[]string{"session"}, []string{"own=1", session, old}},
		{[]string{"none"}, []string{"own=1"}},
	} {
		e := startEdge(t, must(t)(NewForwardAuth(app.AuthForwardOpts{Address: g.URL, AddAuthCookiesToResponse: c.names}, Deps{})), origin)
		if got := e.dial(t).get("/").Header.Values("Set-Cookie"); strings.Join(got, "|") != strings.Join(c.want, "|") {
			t.Errorf("with %v: %q, want %q", c.names, got, c.want)
		}
	}
}
