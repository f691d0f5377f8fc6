package middleware

import (
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
)

// guard is an authentication server that keeps the last question.
type guard struct {
	*httptest.Server
	asked *http.Request
	body  string
}

func startGuard(t *testing.T, answer http.HandlerFunc) *guard {
	g := &guard{}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		g.asked, g.body = r, string(b)
		answer(w, r)
	}))
	t.Cleanup(g.Close)
	return g
}

func TestForwardAuthLetsIn(t *testing.T) {
	noLeaks(t, 1)
	g := startGuard(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("X-User", "alice")
		w.Header().Add("X-Groups", "a")
		w.Header().Add("X-Groups", "b")
		w.Header().Add("X-Other", "not taken")
		w.WriteHeader(204)
	})
	w := must(t)(NewForwardAuth(app.AuthForwardOpts{
		Address: g.URL + "/check?app=1", AuthResponseHeaders: []string{"X-User", "x-groups", "X-Gone"},
	}, Deps{}))
	s := &spy{}
	ctx := request("POST", "/a%20b?c=d", "Cookie: s=1", "Authorization: Bearer x", "X-User: forged", "X_User: forged", "x-gone: forged", "X-Forwarded-For: 203.0.113.7",
		"X-Forwarded-Host: app.example", "X-Forwarded-Method: FORGED", "X-Forwarded-Uri: /forged", "Content-Type: text/x", "Te: trailers", "Upgrade: x", "User-Agent: browser")
	ctx.Request.SetBodyString("the body stays here")
	w(s.serve)(ctx)
	if s.asked != 1 {
		t.Fatalf("refused: %d %s", ctx.Response.StatusCode(), ctx.Response.Body())
	}
	for name, want := range map[string]string{"X-User": "alice", "X_User": "", "X-Groups": "a|b", "X-Gone": "", "X-Other": "", "Cookie": "s=1", "Authorization": "Bearer x"} {
		if got := all(s.header.PeekAll(name)); got != want {
			t.Errorf("backend sees %s: %q, want %q", name, got, want)
		}
	}
	q := g.asked
	if q.Method != "GET" || q.URL.RequestURI() != "/check?app=1" || q.Host != strings.TrimPrefix(g.URL, "http://") || g.body != "" || q.ContentLength > 0 {
		t.Errorf("asked %s %s at %s with %q", q.Method, q.URL, q.Host, g.body)
	}
	for name, want := range map[string]string{
		"X-Forwarded-Method": "POST", "X-Forwarded-Uri": "/a%20b?c=d", "X-Forwarded-Host": "app.example", "X-Forwarded-Proto": "http",
		"X-Forwarded-For": "203.0.113.7", "Cookie": "s=1", "Authorization": "Bearer x", "X-User": "forged", "User-Agent": "browser",
		"Content-Type": "text/x", "Te": "", "Upgrade": "", "Connection": "",
	} {
		if got := strings.Join(q.Header.Values(name), "|"); got != want {
			t.Errorf("asked with %s: %q, want %q", name, got, want)
		}
	}
}

// TestForwardAuthReadings: a policy about /admin sees every path that is /admin for
// a server behind the edge, and ordinary paths are asked about once.
func TestForwardAuthReadings(t *testing.T) {
	noLeaks(t, 1)
	var seen []string
	g := startGuard(t, func(w http.ResponseWriter, r *http.Request) {
		uri := r.Header.Get("X-Forwarded-Uri")
		seen = append(seen, uri)
		if path, _, _ := strings.Cut(uri, "?"); path == "/admin" || strings.HasPrefix(path, "/admin/") {
			w.WriteHeader(401)
		}
	})
	w := must(t)(NewForwardAuth(app.AuthForwardOpts{Address: g.URL}, Deps{}))
	for _, target := range []string{
		"/admin", "/admin;x", "/admin;x=/y", "/;y/admin", "/a/..;/admin", "/admin%2Fusers", "/x%2f..%2fadmin", "/%2561dmin", "/admin%3Bx/y", "/;%2Fb/admin/x", "/x%5c..%5cadmin/y?q",
	} {
		s := &spy{}
		ctx := request("GET", target)
		w(s.serve)(ctx)
		if status := ctx.Response.StatusCode(); s.asked != 0 || status != 401 && status != 400 {
			t.Errorf("%s: let in %d times, %d", target, s.asked, status)
		}
	}
	for _, target := range []string{"/", "/a/b?c=/admin;x", "/a%20b", "/%C3%BC", "/a:b", "/index.php/x", "/a.b", "/A", "/a%3Fb", "/a+b", "/a%2Bb", "/~a", "/a,b", "/100%25"} {
		seen = seen[:0]
		s := &spy{}
		w(s.serve)(request("GET", target))
		if s.asked != 1 || len(seen) != 1 {
			t.Errorf("%s: let in %d times, asked about %q", target, s.asked, seen)
		}
	}
	// A slash in an escape is a path of its own for some and two segments for others.
	seen = seen[:0]
	s := &spy{}
	w(s.serve)(request("GET", "/projects/a%2Fb?q"))
	if s.asked != 1 || strings.Join(seen, " ") != "/projects/a%2Fb?q /projects/a/b?q" {
		t.Errorf("let in %d times, asked about %q", s.asked, seen)
	}
}

func TestForwardAuthRefuses(t *testing.T) {
	noLeaks(t, 1)
	g := startGuard(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Set-Cookie", "a=1; Path=/")
		h.Add("Set-Cookie", "a=2; Path=/x")
		h.Add("Www-Authenticate", `Basic realm="x"`)
		h.Add("Connection", "X-Hop")
		h.Add("Keep-Alive", "timeout=5")
		if r.Header.Get("X-Forwarded-Uri") == "/redirect" {
			h.Set("Location", "/login?next=1")
			w.WriteHeader(302)
			return
		}
		h.Set("Content-Type", "application/json")
		w.WriteHeader(401)
		io.WriteString(w, `{"sorry":true}`)
	})
	w := must(t)(NewForwardAuth(app.AuthForwardOpts{Address: g.URL}, Deps{}))
	s := &spy{}
	ctx := request("GET", "/")
	w(s.serve)(ctx)
	h := &ctx.Response.Header
	if s.asked != 0 || ctx.Response.StatusCode() != 401 || string(ctx.Response.Body()) != `{"sorry":true}` || string(h.ContentType()) != "application/json" {
		t.Errorf("%d %s", ctx.Response.StatusCode(), ctx.Response.Body())
	}
	var cookies [][]byte
	for k, v := range h.All() {
		if string(k) == "Set-Cookie" {
			cookies = append(cookies, v)
		}
	}
	if got := all(cookies); got != "a=1; Path=/|a=2; Path=/x" {
		t.Errorf("Set-Cookie %q", got)
	}
	if string(h.Peek("Www-Authenticate")) != `Basic realm="x"` || len(h.Peek("Keep-Alive")) > 0 || len(h.Peek("Connection")) > 0 {
		t.Errorf("fields: %s", h)
	}
	ctx = request("GET", "/redirect")
	w(s.serve)(ctx)
	if s.asked != 0 || ctx.Response.StatusCode() != 302 || string(ctx.Response.Header.Peek("Location")) != "/login?next=1" {
		t.Errorf("%d to %s", ctx.Response.StatusCode(), ctx.Response.Header.Peek("Location"))
	}
}

func TestForwardAuthWithoutAnAnswer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + ln.Addr().String()
	ln.Close()
	w := must(t)(NewForwardAuth(app.AuthForwardOpts{Address: address}, Deps{}))
	s := &spy{}
	ctx := request("GET", "/")
	w(s.serve)(ctx)
	if s.asked != 0 || ctx.Response.StatusCode() != 502 || strings.Contains(string(ctx.Response.Body()), "127.0.0.1") {
		t.Errorf("%d %s", ctx.Response.StatusCode(), ctx.Response.Body())
	}

	large := startGuard(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(403)
		w.Write(make([]byte, maxAuthAnswer+1))
	})
	w = must(t)(NewForwardAuth(app.AuthForwardOpts{Address: large.URL}, Deps{}))
	ctx = request("GET", "/")
	w(s.serve)(ctx)
	if s.asked != 0 || ctx.Response.StatusCode() != 502 {
		t.Errorf("an endless answer: %d", ctx.Response.StatusCode())
	}
}

func TestForwardAuthBody(t *testing.T) {
	g := startGuard(t, func(http.ResponseWriter, *http.Request) {})
	w := must(t)(NewForwardAuth(app.AuthForwardOpts{Address: g.URL, MaxBody: 10}, Deps{}))
	seen := ""
	s := &spy{}
	s.answer = func(ctx *fasthttp.RequestCtx) { seen = string(ctx.Request.Body()) }
	ctx := request("POST", "/")
	ctx.Request.SetBodyStream(strings.NewReader("0123456789"), -1)
	w(s.serve)(ctx)
	if s.asked != 1 || g.body != "0123456789" || seen != "0123456789" || g.asked.Method != "GET" {
		t.Errorf("asked with %q, backend saw %q", g.body, seen)
	}
	for _, size := range []int{11, -1} {
		g.asked = nil
		ctx = request("POST", "/")
		ctx.Request.SetBodyStream(strings.NewReader("0123456789a"), size)
		w(s.serve)(ctx)
		if s.asked != 1 || ctx.Response.StatusCode() != 413 || g.asked != nil {
			t.Errorf("size %d: %d", size, ctx.Response.StatusCode())
		}
	}
}

func TestForwardAuthTLS(t *testing.T) {
	g := &guard{Server: httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) }))}
	g.Config.ErrorLog = nil
	t.Cleanup(g.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		opts *app.TLSConfig
		want int
	}{
		{nil, 502},
		{&app.TLSConfig{CAFile: ca}, 200},
		{&app.TLSConfig{CAFile: ca, ServerName: "other.example"}, 502},
		{&app.TLSConfig{CAFile: ca, ServerName: "example.com"}, 200},
		{&app.TLSConfig{InsecureSkipVerify: true}, 200},
	} {
		w := must(t)(NewForwardAuth(app.AuthForwardOpts{Address: g.URL, TLSConfig: c.opts}, Deps{}))
		ctx := request("GET", "/")
		w((&spy{}).serve)(ctx)
		if got := ctx.Response.StatusCode(); got != c.want {
			t.Errorf("%+v: %d, want %d", c.opts, got, c.want)
		}
	}
}

func TestForwardAuthErrors(t *testing.T) {
	for _, c := range []struct {
		opts app.AuthForwardOpts
		want string
	}{
		{app.AuthForwardOpts{}, `forward_auth_opts.address: "" is not an http or https URL`},
		{app.AuthForwardOpts{Address: "auth:80"}, "forward_auth_opts.address"},
		{app.AuthForwardOpts{Address: "ftp://auth/"}, "forward_auth_opts.address"},
		{app.AuthForwardOpts{Address: "http://u:p@auth/"}, "forward_auth_opts.address: has a user name"},
		{app.AuthForwardOpts{Address: "http://auth/", AuthResponseHeaders: []string{"X", "a b"}}, "forward_auth_opts.auth_response_headers[1]"},
		{app.AuthForwardOpts{Address: "http://auth/", MaxBody: -1}, "forward_auth_opts.max_body"},
		{app.AuthForwardOpts{Address: "https://auth/", TLSConfig: &app.TLSConfig{CAFile: "/nonexistent"}}, "forward_auth_opts.tls_config.ca_file"},
		{app.AuthForwardOpts{Address: "https://auth/", TLSConfig: &app.TLSConfig{ClientCertFile: "/nonexistent"}}, "forward_auth_opts.tls_config.client_cert_file"},
	} {
		_, err := NewForwardAuth(c.opts, Deps{})
		refused(t, err, c.want)
	}
}
