package admin

import (
	"crypto/tls"
	"net"
	"testing"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/auth"
)

func newGate(t *testing.T) *auth.Gate {
	t.Helper()
	token, err := auth.NewToken([]byte("good"))
	if err != nil {
		t.Fatal(err)
	}
	return auth.NewGate(token, "edgerouter", auth.NewFailures())
}

func TestGuard(t *testing.T) {
	type header map[string]string
	bearer := func(h header) header {
		with := header{"Authorization": "Bearer good"}
		for k, v := range h {
			with[k] = v
		}
		return with
	}
	const pass = 200
	for _, c := range []struct {
		access       Access
		method, path string
		host         string
		header       header
		want         int
	}{
		// Loopback: reading is open, to names of this machine only.
		{AccessLoopback, "GET", "/", "127.0.0.1:9090", nil, pass},
		{AccessLoopback, "GET", "/api/v1/apps", "localhost:9090", nil, pass},
		{AccessLoopback, "HEAD", "/", "LOCALHOST.", nil, pass},
		{AccessLoopback, "GET", "/", "admin.localhost", nil, pass},
		{AccessLoopback, "GET", "/", "[::1]:9090", nil, pass},
		{AccessLoopback, "GET", "/", "[::1]", nil, pass},
		{AccessLoopback, "GET", "/", "127.9.9.9", nil, pass},
		{AccessLoopback, "GET", "/", "evil.example", nil, 403},
		{AccessLoopback, "GET", "/", "evil.example:9090", nil, 403},
		{AccessLoopback, "GET", "/", "127.0.0.1.evil.example", nil, 403},
		{AccessLoopback, "GET", "/", "notlocalhost", nil, 403},
		{AccessLoopback, "GET", "/", "192.0.2.1", nil, 403},
		{AccessLoopback, "GET", "/", "[2001:db8::1]", nil, 403},
		{AccessLoopback, "GET", "/", "", nil, 403},
		{AccessLoopback, "GET", "/", "evil.example", bearer(nil), pass},
		{AccessLoopback, "GET", "/", "evil.example", header{"Authorization": "Bearer bad"}, 401},
		{AccessLoopback, "GET", "/healthz", "anything", nil, pass},
		{AccessLoopback, "GET", "/readyz", "anything", nil, pass},
		{AccessLoopback, "GET", "/healthz/", "anything", nil, 403},

		// Not to pages of other origins: neither by a call nor by an image or a link.
		{AccessLoopback, "GET", "/debug/pprof/profile", "127.0.0.1:9090", header{"Sec-Fetch-Site": "cross-site"}, 403},
		{AccessLoopback, "GET", "/debug/pprof/profile", "localhost:9090", header{"Sec-Fetch-Site": "same-site"}, 403},
		{AccessLoopback, "GET", "/debug/pprof/profile", "127.0.0.1:9090", header{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 403},
		{AccessLoopback, "GET", "/debug/pprof/heap", "127.0.0.1:9090", header{"Origin": "http://evil.example"}, 403},
		{AccessLoopback, "GET", "/debug/pprof/heap", "127.0.0.1:9090", header{"Origin": "null"}, 403},
		{AccessLoopback, "GET", "/debug/pprof/heap", "127.0.0.1:9090", header{"Referer": "http://evil.example/127.0.0.1:9090/"}, 403},
		{AccessLoopback, "GET", "/debug/pprof/heap", "evil.example", nil, 403},
		{AccessLoopback, "GET", "/metrics", "127.0.0.1:9090", header{"Sec-Fetch-Site": "cross-site"}, 403},
		{AccessLoopback, "OPTIONS", "/api/v1/apps", "127.0.0.1:9090", header{"Origin": "http://127.0.0.1:8080"}, 403},
		{AccessLoopback, "GET", "/", "127.0.0.1:9090", header{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, 403},
		{AccessLoopback, "GET", "/", "127.0.0.1:9090", header{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, pass},
		{AccessLoopback, "GET", "/debug/pprof/", "127.0.0.1:9090", header{"Sec-Fetch-Site": "none"}, pass},
		{AccessLoopback, "GET", "/debug/pprof/", "127.0.0.1:9090", header{"Sec-Fetch-Site": "same-origin", "Referer": "http://127.0.0.1:9090/"}, pass},
		{AccessLoopback, "GET", "/api/v1/apps", "127.0.0.1:9090", header{"Origin": "http://127.0.0.1:9090"}, pass},
		{AccessLoopback, "GET", "/metrics", "127.0.0.1:9090", bearer(header{"Sec-Fetch-Site": "cross-site"}), pass},

		// Changing always needs the token, and no foreign page behind it.
		{AccessLoopback, "POST", "/x", "127.0.0.1:9090", nil, 401},
		{AccessLoopback, "POST", "/x", "127.0.0.1:9090", bearer(nil), pass},
		{AccessLoopback, "POST", "/x", "127.0.0.1:9090", header{"Authorization": "Bearer bad"}, 401},
		{AccessLoopback, "POST", "/healthz", "127.0.0.1:9090", nil, 401},
		{AccessLoopback, "POST", "/x", "127.0.0.1:9090", bearer(header{"Origin": "http://127.0.0.1:9090"}), pass},
		{AccessLoopback, "POST", "/x", "Admin.Example", bearer(header{"Origin": "https://admin.example"}), pass},
		{AccessLoopback, "POST", "/x", "127.0.0.1:9090", bearer(header{"Origin": "http://127.0.0.1:8080"}), 403},
		{AccessLoopback, "POST", "/x", "127.0.0.1:9090", bearer(header{"Origin": "http://evil.example"}), 403},
		{AccessLoopback, "POST", "/x", "127.0.0.1:9090", bearer(header{"Origin": "null"}), 403},
		{AccessLoopback, "POST", "/x", "127.0.0.1:9090", bearer(header{"Origin": ""}), 403},
		{AccessLoopback, "POST", "/x", "", bearer(header{"Origin": "http://"}), 403},
		{AccessLoopback, "POST", "/x", "127.0.0.1:9090", bearer(header{"Sec-Fetch-Site": "cross-site"}), 403},
		{AccessLoopback, "POST", "/x", "127.0.0.1:9090", bearer(header{"Sec-Fetch-Site": "same-origin"}), pass},
		{AccessLoopback, "DELETE", "/x", "127.0.0.1:9090", nil, 401},
		{AccessLoopback, "BREW", "/x", "127.0.0.1:9090", nil, 401},

		// Elsewhere every call needs it, the probes aside.
		{AccessToken, "GET", "/", "10.0.0.1", nil, 401},
		{AccessToken, "GET", "/", "127.0.0.1", nil, 401},
		{AccessToken, "GET", "/metrics", "10.0.0.1", nil, 401},
		{AccessToken, "GET", "/api/v1/apps", "10.0.0.1", bearer(nil), pass},
		{AccessToken, "GET", "/", "10.0.0.1", header{"Authorization": "Basic eDpnb29k"}, pass}, // x:good
		{AccessToken, "GET", "/healthz", "10.0.0.1", nil, pass},
		{AccessToken, "HEAD", "/readyz", "10.0.0.1", nil, pass},
		{AccessToken, "GET", "//healthz", "10.0.0.1", nil, 401},
		{AccessToken, "GET", "/healthz/../metrics", "10.0.0.1", nil, 401},
		{AccessToken, "POST", "/x", "10.0.0.1", bearer(nil), pass},
		{AccessToken, "POST", "/x", "10.0.0.1", bearer(header{"Origin": "http://10.0.0.2"}), 403},
	} {
		var req fasthttp.Request
		req.Header.SetMethod(c.method)
		req.Header.SetRequestURI(c.path)
		req.Header.SetHost(c.host)
		for k, v := range c.header {
			req.Header.Set(k, v)
		}
		var ctx fasthttp.RequestCtx
		ctx.Init(&req, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, nil)
		passed := false
		guard(c.access, newGate(t), func(*fasthttp.RequestCtx) { passed = true })(&ctx)
		if code := ctx.Response.StatusCode(); code != c.want || passed != (c.want == pass) {
			t.Errorf("access %d: %s %s of %q with %v: %d, passed %v; want %d", c.access, c.method, c.path, c.host, c.header, code, passed, c.want)
		}
	}
}

// Behind auth_v0, which takes Authorization away, reading is open.
func TestGuardBehindAuthentication(t *testing.T) {
	wrap, err := auth.NewV0(app.AuthV0Opts{BearerToken: "of the application"}, auth.V0Deps{
		Resolve: func(s app.Secret) (string, error) { return string(s), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	handler := wrap(guard(AccessToken, newGate(t), func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("passed") }))
	for _, c := range []struct {
		method, token string
		want          int
	}{
		{"GET", "of the application", 200},
		{"GET", "good", 401},
		{"POST", "of the application", 401},
	} {
		var ctx fasthttp.RequestCtx
		ctx.Request.Header.SetMethod(c.method)
		ctx.Request.Header.SetHost("admin.example")
		ctx.Request.Header.Set("Authorization", "Bearer "+c.token)
		handler(&ctx)
		if code := ctx.Response.StatusCode(); code != c.want {
			t.Errorf("%s with token %q: %d, want %d", c.method, c.token, code, c.want)
		}
	}
}

func TestGuardOverTLS(t *testing.T) {
	for origin, want := range map[string]bool{"https://admin.example": true, "http://admin.example": false} {
		var ctx fasthttp.RequestCtx
		ctx.Init2(tlsConn{}, nil, false)
		ctx.Request.Header.SetHost("admin.example")
		ctx.Request.Header.Set("Origin", origin)
		if got := sameOrigin(&ctx); got != want {
			t.Errorf("Origin %s over TLS: %v", origin, got)
		}
	}
}

// tlsConn is what fasthttp takes for a TLS connection.
type tlsConn struct{ net.Conn }

func (tlsConn) Handshake() error                     { return nil }
func (tlsConn) ConnectionState() tls.ConnectionState { return tls.ConnectionState{} }
