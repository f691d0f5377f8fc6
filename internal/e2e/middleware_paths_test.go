package e2e

import (
	"strings"
	"testing"
)

// What the kinds that change the path send to the peer.
func TestMiddlewarePaths(t *testing.T) {
	for _, tt := range []struct {
		name, middlewares, target, want string
		prefix                          string // X-Forwarded-Prefix
	}{
		{"add_prefix", `[{"kind": "add_prefix", "add_prefix_opts": {"prefix": "/v1"}}]`, "/a%2Fb?q=1", "/v1/a%2Fb?q=1", ""},
		{"add_prefix, climbing", `[{"kind": "add_prefix", "add_prefix_opts": {"prefix": "/v1"}}]`, "/a/%2e%2e/./secret", "/v1/secret", ""},
		{"strip_prefix", `[{"kind": "strip_prefix", "strip_prefix_opts": {"prefixes": ["/x", "/app/"]}}]`, "/app/a?q", "/a?q", "/app"},
		{"strip_prefix, whole segments", `[{"kind": "strip_prefix", "strip_prefix_opts": {"prefixes": ["/app"]}}]`, "/apple", "/apple", ""},
		{"strip_prefix, nothing left", `[{"kind": "strip_prefix", "strip_prefix_opts": {"prefixes": ["/app"]}}]`, "/app", "/", "/app"},
		{"strip_prefix, regexp", `[{"kind": "strip_prefix", "strip_prefix_opts": {"regexps": ["/[0-9]+/"]}}]`, "/42/a", "/a", "/42"},
		{"replace_path", `[{"kind": "replace_path", "replace_path_opts": {"path": "/fixed"}}]`, "/a/b?q", "/fixed?q", ""},
		{"replace_path, regexp", `[{"kind": "replace_path", "replace_path_opts": {"regexp": "^/user/([^/]+)$", "replacement": "/u/$1/home"}}]`, "/user/7?q", "/u/7/home?q", ""},
		{"in their order", `[{"kind": "add_prefix", "add_prefix_opts": {"prefix": "/a"}}, {"kind": "strip_prefix", "strip_prefix_opts": {"prefixes": ["/a/b"]}}]`, "/b/c", "/c", "/a/b"},
		{"the other way round", `[{"kind": "strip_prefix", "strip_prefix_opts": {"prefixes": ["/a/b"]}}, {"kind": "add_prefix", "add_prefix_opts": {"prefix": "/a"}}]`, "/b/c", "/a/b/c", ""},
		{"a chain in their midst", `[{"kind": "strip_prefix", "strip_prefix_opts": {"prefixes": ["/app"]}},
			{"kind": "chain", "chain_opts": {"middlewares": [
				{"kind": "add_prefix", "add_prefix_opts": {"prefix": "/in"}},
				{"kind": "chain", "chain_opts": {"middlewares": [{"kind": "add_prefix", "add_prefix_opts": {"prefix": "/middle"}}]}}]}},
			{"kind": "add_prefix", "add_prefix_opts": {"prefix": "/last"}}]`, "/app/x", "/last/middle/in/x", "/app"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var peer seen
			e := newMiddlewareEdge(t, tt.middlewares, httpOrigin(t, peer.serve))
			if _, body := e.ask("GET", tt.target, "X-Forwarded-Prefix: /forged"); body != "GET "+tt.want {
				t.Fatalf("the peer was asked for %s, want %s", body, tt.want)
			}
			if got := peer.request().Header.Get("X-Forwarded-Prefix"); got != tt.prefix {
				t.Errorf("X-Forwarded-Prefix %q, want %q", got, tt.prefix)
			}
		})
	}
}

func TestMiddlewareRedirects(t *testing.T) {
	for _, tt := range []struct {
		name, middlewares, method, target, proto string
		code                                     int
		location                                 string
	}{
		{"scheme", `[{"kind": "redirect_scheme", "redirect_scheme_opts": {"scheme": "https"}}]`, "GET", "/a?b", "", 302, "https://app.test/a?b"},
		{"scheme, permanent, port", `[{"kind": "redirect_scheme", "redirect_scheme_opts": {"scheme": "https", "port": 8443, "permanent": true}}]`, "POST", "/", "", 308, "https://app.test:8443/"},
		{"scheme, is https", `[{"kind": "redirect_scheme", "redirect_scheme_opts": {"scheme": "https"}}]`, "GET", "/a", "https", 200, ""},
		{"regexp", `[{"kind": "redirect_regex", "redirect_regex_opts": {"regexp": "^http://app\\.test/old/(.*)$", "replacement": "https://new.test/$1", "permanent": true}}]`, "GET", "/old/a?b=c", "", 301, "https://new.test/a?b=c"},
		{"regexp, no match", `[{"kind": "redirect_regex", "redirect_regex_opts": {"regexp": "/old/", "replacement": "/new/"}}]`, "GET", "/a", "", 200, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var peer seen
			e := newMiddlewareEdge(t, tt.middlewares, httpOrigin(t, peer.serve), "127.0.0.0/8")
			var fields []string
			if tt.proto != "" {
				fields = []string{"X-Forwarded-Proto: " + tt.proto, "X-Forwarded-For: 192.0.2.1"}
			}
			resp, _ := e.ask(tt.method, tt.target, fields...)
			if resp.StatusCode != tt.code || resp.Header.Get("Location") != tt.location {
				t.Errorf("%d %s, want %d %s", resp.StatusCode, resp.Header.Get("Location"), tt.code, tt.location)
			}
			if (peer.count() > 0) != (tt.code == 200) {
				t.Errorf("the peer was asked %d times", peer.count())
			}
		})
	}
}

func TestMiddlewareHeaders(t *testing.T) {
	var peer seen
	t.Setenv("EDGEROUTER_E2E_KEY", "sesame")
	e := newMiddlewareEdge(t, `[{"kind": "headers", "headers_opts": {
		"request": {"X-Added": "one", "X-Drop": "", "Authorization": "env:EDGEROUTER_E2E_KEY"},
		"response": {"X-Frame-Options": "DENY", "X-From-Peer": "", "Cache-Control": "no-store"}}}]`, httpOrigin(t, peer.serve))
	resp, _ := e.ask("GET", "/", "X-Added: forged", "X_Added: forged", "X-Drop: x", "x_drop: x", "X-Kept: a", "X-Kept: b", "Authorization: Bearer mine")
	r := peer.request()
	if got := r.Header["X-Added"]; len(got) != 1 || got[0] != "one" || r.Header.Get("Authorization") != "sesame" {
		t.Errorf("the peer saw %v", r.Header)
	}
	for name := range r.Header {
		if low := strings.ToLower(strings.ReplaceAll(name, "_", "-")); low == "x-drop" || low == "x-added" && name != "X-Added" {
			t.Errorf("the peer saw %s", name)
		}
	}
	if got := strings.Join(r.Header["X-Kept"], ","); got != "a,b" {
		t.Errorf("X-Kept is %s", got)
	}
	if h := resp.Header; h.Get("X-Frame-Options") != "DENY" || h.Get("Cache-Control") != "no-store" || h.Values("X-From-Peer") != nil {
		t.Errorf("the client saw %v", h)
	}
	// The fields of the answer are there on an answer of a middleware inside too.
	e = newMiddlewareEdge(t, `[{"kind": "headers", "headers_opts": {"response": {"X-Frame-Options": "DENY"}}},
		{"kind": "allowed_ips", "allowed_ips_opts": {"ranges": ["192.0.2.0/24"]}}]`, httpOrigin(t, peer.serve))
	if resp, _ := e.ask("GET", "/"); resp.StatusCode != 403 || resp.Header.Get("X-Frame-Options") != "DENY" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
}
