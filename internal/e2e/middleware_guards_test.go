package e2e

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"golang.org/x/crypto/bcrypt"
)

func credentials(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

const (
	apr1Password = "$apr1$r31.Bo$aZY0tsh3YEetLNwfz/wiT." // of "password"
	shaTest      = "{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M="   // of "test"
)

func TestMiddlewareBasicAuth(t *testing.T) {
	users := filepath.Join(t.TempDir(), "htpasswd")
	hash, err := bcrypt.GenerateFromPassword([]byte("open:sesame"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(users, []byte("# staff\ncarol:"+string(hash)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var peer seen
	e := newMiddlewareEdge(t, fmt.Sprintf(`[{"kind": "basic_auth", "basic_auth_opts": {"users": ["alice:%s", "bob:%s"],
		"users_file": %q, "realm": "staff", "header_field": "X-User", "remove_header": true}}]`, apr1Password, shaTest, users), httpOrigin(t, peer.serve))
	for _, tt := range []struct {
		user, password string
		code           int
	}{
		{"alice", "password", 200}, {"bob", "test", 200}, {"carol", "open:sesame", 200},
		{"alice", "test", 401}, {"mallory", "test", 401}, {"", "", 401},
	} {
		before := peer.count()
		fields := []string{"X-User: root", "X_User: root"}
		if tt.user != "" {
			fields = append(fields, credentials(tt.user, tt.password))
		}
		resp, _ := e.ask("GET", "/", fields...)
		if resp.StatusCode != tt.code {
			t.Errorf("%s:%s: %d, want %d", tt.user, tt.password, resp.StatusCode, tt.code)
		}
		if tt.code == 401 {
			if resp.Header.Get("WWW-Authenticate") != `Basic realm="staff"` || peer.count() != before {
				t.Errorf("%s:%s: %v, the peer was asked %d times", tt.user, tt.password, resp.Header, peer.count()-before)
			}
			continue
		}
		h := peer.request().Header
		if h.Get("Authorization") != "" || h.Get("X-User") != tt.user || len(h["X_user"]) > 0 {
			t.Errorf("%s: the peer saw %v", tt.user, h)
		}
	}
}

// guardServer is a server that is asked by forward_auth.
func guardServer(w http.ResponseWriter, r *http.Request) {
	switch r.Header.Get("Authorization") {
	case "Bearer good":
		w.Header().Set("X-User", "bob of "+r.Header.Get("X-Forwarded-Method")+" "+r.Header.Get("X-Forwarded-Uri"))
		w.Header().Set("X-Seen-For", r.Header.Get("X-Forwarded-For"))
	case "Bearer stranger":
		w.Header().Set("Set-Cookie", "login=1")
		http.Redirect(w, r, "https://login.test/", http.StatusFound)
	default:
		http.Error(w, "who are you?", http.StatusUnauthorized)
	}
}

func TestMiddlewareForwardAuth(t *testing.T) {
	var peer seen
	origin, guard := httpOrigin(t, peer.serve), httpOrigin(t, guardServer)
	e := newMiddlewareEdge(t, `[{"kind": "forward_auth", "forward_auth_opts": {"address": "`+guard+`/ask", "auth_response_headers": ["X-User", "X-Role", "X-Seen-For"]}}]`, origin)
	spoofs := []string{"X-User: root", "X_User: root", "X-Role: admin", "X-Forwarded-For: 10.0.0.1", "X-Forwarded-Uri: /public", "X-Forwarded-Method: HEAD"}

	resp, _ := e.ask("PUT", "/private?q=1", append(spoofs, "Authorization: Bearer good", "Content-Length: 0")...)
	h := peer.request().Header
	if resp.StatusCode != 200 || h.Get("X-User") != "bob of PUT /private?q=1" || len(h["X_user"])+len(h["X-Role"]) > 0 || h.Get("X-Seen-For") != "127.0.0.1" {
		t.Errorf("%d; the peer saw %v", resp.StatusCode, h)
	}
	before := peer.count()
	if resp, body := e.ask("GET", "/", spoofs...); resp.StatusCode != 401 || !strings.Contains(body, "who are you?") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if resp, _ := e.ask("GET", "/", "Authorization: Bearer stranger"); resp.StatusCode != 302 || resp.Header.Get("Location") != "https://login.test/" || resp.Header.Get("Set-Cookie") != "login=1" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	e = newMiddlewareEdge(t, `[{"kind": "forward_auth", "forward_auth_opts": {"address": "http://127.0.0.1:1"}}]`, origin)
	if resp, body := e.ask("GET", "/"); resp.StatusCode != 502 || strings.Contains(body, "127.0.0.1") {
		t.Errorf("without a server to ask: %d %s", resp.StatusCode, body)
	}
	if peer.count() != before {
		t.Error("a request that was refused reached the peer")
	}
}

func TestMiddlewareAllowedIPs(t *testing.T) {
	var peer seen
	origin := httpOrigin(t, peer.serve)
	const list = `[{"kind": "allowed_ips", "allowed_ips_opts": {"ranges": ["192.0.2.0/24", "2001:db8::7"]}}]`
	for _, tt := range []struct {
		name    string
		trusted []string
		fields  []string
		code    int
	}{
		{"by itself", nil, nil, 403},
		{"what a client says is not believed", nil, []string{"X-Forwarded-For: 192.0.2.1", "X-Real-Ip: 192.0.2.1", "Forwarded: for=192.0.2.1"}, 403},
		{"what a trusted proxy says is", []string{"127.0.0.0/8"}, []string{"X-Forwarded-For: 192.0.2.1"}, 200},
		{"of that, the last that is no proxy", []string{"127.0.0.0/8"}, []string{"X-Forwarded-For: 192.0.2.1, 198.51.100.1"}, 403},
		{"proxies after each other", []string{"127.0.0.0/8", "198.51.100.1/32"}, []string{"X-Forwarded-For: 10.0.0.1, 192.0.2.1, 198.51.100.1"}, 200},
		{"IPv6", []string{"127.0.0.0/8"}, []string{"X-Forwarded-For: 2001:db8::7"}, 200},
		{"IPv4 in IPv6 form", []string{"127.0.0.0/8"}, []string{"X-Forwarded-For: ::ffff:192.0.2.9"}, 200},
		{"nonsense", []string{"127.0.0.0/8"}, []string{"X-Forwarded-For: 192.0.2.1, nonsense"}, 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := newMiddlewareEdge(t, list, origin, tt.trusted...)
			if resp, body := e.ask("GET", "/", tt.fields...); resp.StatusCode != tt.code {
				t.Errorf("%d %s, want %d", resp.StatusCode, body, tt.code)
			}
		})
	}
}

func TestMiddlewareRateLimit(t *testing.T) {
	var peer seen
	e := newMiddlewareEdge(t, `[{"kind": "rate_limit", "rate_limit_opts": {"average": 1, "period": "1h", "burst": 3, "per": "header:X-Key"}}]`, httpOrigin(t, peer.serve))
	codes := func(key string) (got []int) {
		for range 5 {
			resp, _ := e.ask("GET", "/", "X-Key: "+key)
			got = append(got, resp.StatusCode)
			if resp.StatusCode == 429 && resp.Header.Get("Retry-After") == "" {
				t.Error("429 without Retry-After")
			}
		}
		return got
	}
	for _, key := range []string{"a", "b"} {
		if got := fmt.Sprint(codes(key)); got != "[200 200 200 429 429]" {
			t.Errorf("key %s: %s", key, got)
		}
	}
	if peer.count() != 6 {
		t.Errorf("the peer was asked %d times", peer.count())
	}
}

func TestMiddlewareInFlight(t *testing.T) {
	release := make(chan struct{})
	e := newMiddlewareEdge(t, `[{"kind": "in_flight", "in_flight_opts": {"amount": 2}}]`, httpOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/stream":
			w.(http.Flusher).Flush()
			select {
			case <-release:
			case <-r.Context().Done():
			}
		case "/ws":
			if s, err := websocket.Accept(w, r, nil); err == nil {
				s.Read(r.Context())
				s.CloseNow()
			}
		}
	}))
	c := e.dial()
	c.send("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
	stream := c.head("GET")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, "ws://"+e.addr+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, _ := e.ask("GET", "/"); resp.StatusCode != 429 {
		t.Errorf("beside a stream and a WebSocket: %d", resp.StatusCode)
	}
	ws.CloseNow()
	eventually(t, "the WebSocket's place is free", func() bool { resp, _ := e.ask("GET", "/"); return resp.StatusCode == 200 })
	close(release)
	stream.Body.Close()
}

func TestMiddlewareMaxRequestBody(t *testing.T) {
	var peer seen
	e := newMiddlewareEdge(t, `[{"kind": "max_request_body", "max_request_body_opts": {"bytes": 10}}]`, httpOrigin(t, peer.serve))
	for _, tt := range []struct {
		request string
		code    int
	}{
		{"Content-Length: 10\r\n\r\n0123456789", 200},
		{"Content-Length: 11\r\n\r\n", 413},
		{"Content-Length: 11\r\nExpect: 100-continue\r\n\r\n", 413},
		{"Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n", 200},
		{"Transfer-Encoding: chunked\r\n\r\nb\r\n0123456789x\r\n0\r\n\r\n", 413},
	} {
		c := e.dial()
		c.send("POST / HTTP/1.1\r\nHost: a\r\n" + tt.request)
		if resp, _ := c.response("POST"); resp.StatusCode != tt.code {
			t.Errorf("%q: %d, want %d", tt.request, resp.StatusCode, tt.code)
		}
	}
}

func TestMiddlewareRetry(t *testing.T) {
	failures := make(chan struct{}, 10)
	e := newMiddlewareEdge(t, `[{"kind": "retry", "retry_opts": {"attempts": 2, "initial_interval": "1ms"}}]`, httpOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-failures:
			w.WriteHeader(503)
		default:
			echo(w, r)
		}
	}))
	fail := func(n int) {
		for len(failures) > 0 {
			<-failures
		}
		for range n {
			failures <- struct{}{}
		}
	}
	for _, tt := range []struct {
		method   string
		failures int
		code     int
	}{{"GET", 2, 200}, {"GET", 3, 503}, {"PUT", 2, 200}, {"POST", 1, 503}} {
		fail(tt.failures)
		c := e.dial()
		c.send(tt.method + " / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
		resp, body := c.response(tt.method)
		if resp.StatusCode != tt.code || tt.code == 200 && body != "hello" {
			t.Errorf("%s after %d failures: %d %q", tt.method, tt.failures, resp.StatusCode, body)
		}
	}
}
