package server_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/internal/testkit"
	"edgerouter/router"
	"edgerouter/server"
)

// tally is an observer that keeps what it was told.
type tally struct {
	mu   sync.Mutex
	seen []string
}

func (o *tally) Observe(method []byte, code int, d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = append(o.seen, string(method)+" "+fasthttp.StatusMessage(code))
	if d < 0 || d > time.Minute {
		o.seen = append(o.seen, d.String())
	}
}

func (o *tally) all() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.seen, ", ")
}

func TestRedirectToTLS(t *testing.T) {
	for _, c := range []struct {
		port       int
		target     string
		host, want string
	}{
		{0, "/a?b=c", "a.test", "https://a.test/a?b=c"},
		{443, "/a//b%20", "a.test:80", "https://a.test/a//b%20"},
		{8443, "/", "a.test:8080", "https://a.test:8443/"},
		{8443, "/", "[::1]:8080", "https://[::1]:8443/"},
		{443, "http://a.test?x", "a.test", "https://a.test/?x"},
	} {
		r := start(t, func(cfg *server.Config, e *router.Entry) {
			cfg.HTTPSPort = c.port
			e.AllowPlain = false
			e.Handler = func(*fasthttp.RequestCtx) { t.Error("the handler was asked") }
		})
		c2 := r.dial()
		c2.send("POST " + c.target + " HTTP/1.1\r\nHost: " + c.host + "\r\nContent-Length: 3\r\n\r\nabc")
		if a := c2.response("POST"); a.StatusCode != 307 || a.Header.Get("Location") != c.want || a.body != "" {
			t.Errorf("%s of %s: %d to %q, body %q", c.target, c.host, a.StatusCode, a.Header.Get("Location"), a.body)
		}
		c2.send("GET / HTTP/1.0\r\n\r\n")
		if a := c2.response("GET"); a.StatusCode != 400 {
			t.Errorf("without a host: %d to %q", a.StatusCode, a.Header.Get("Location"))
		}
		c2.ended()
	}
}

func TestNobodyTakesIt(t *testing.T) {
	unmatched, matched := &tally{}, &tally{}
	r := start(t, func(c *server.Config, e *router.Entry) {
		c.Unmatched, e.Observer = unmatched, matched
		c.Lookup = func(host, _ []byte, _ router.Attributes) *router.Entry {
			if string(host) == "a.test" {
				return e
			}
			return nil
		}
	})
	c := r.dial()
	c.send("PUT /x HTTP/1.1\r\nHost: b.test:8080\r\nContent-Length: 3\r\n\r\nabc")
	if a := c.response("PUT"); a.StatusCode != 404 || !strings.HasPrefix(a.body, "no website for hostname: b.test\nrequest id: ") {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
	c.open()
	c.send("GET / HTTP/1.1\r\n\r\n")
	c.response("GET")
	c.ended()
	if got := unmatched.all(); got != "PUT Not Found,  Bad Request" {
		t.Errorf("unmatched: %s", got)
	}
	if got := matched.all(); got != "GET OK" {
		t.Errorf("matched: %s", got)
	}
}

func TestMetricsPath(t *testing.T) {
	srv, cli := testkit.TLS(t, "a.test")
	change := func(c *server.Config, _ *router.Entry) {
		c.MetricsPath = "/secret/metrics"
		c.Metrics = func() []byte { return []byte("er_up 1\n") }
	}
	r := start(t, change)
	c := r.dial()
	if a := c.get("/secret/metrics"); a.StatusCode != 200 || a.body != "er_up 1\n" || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
	c.send("HEAD /secret/metrics HTTP/1.1\r\nHost: b.test\r\n\r\n")
	if a := c.response("HEAD"); a.StatusCode != 200 || a.ContentLength != 8 {
		t.Errorf("%d, length %d", a.StatusCode, a.ContentLength)
	}
	c.send("POST /secret/metrics HTTP/1.1\r\nHost: b.test\r\nContent-Length: 0\r\n\r\n")
	if a := c.response("POST"); a.StatusCode != 405 {
		t.Errorf("%d", a.StatusCode)
	}
	if a := c.get("/secret/metrics/"); a.body != "ok" {
		t.Errorf("another path gave %q", a.body)
	}
	r = start(t, func(c *server.Config, e *router.Entry) { change(c, e); c.TLS = srv })
	c = tlsDial(t, r, cli)
	if a := c.get("/secret/metrics"); a.body != "ok" {
		t.Errorf("over TLS it gave %q", a.body)
	}
}

func TestStrippedPrefix(t *testing.T) {
	r := start(t, func(_ *server.Config, e *router.Entry) {
		e.StripPrefix = "/api"
		e.Handler = func(ctx *fasthttp.RequestCtx) {
			ctx.SetBodyString(string(ctx.Request.Header.RequestURI()) + " " + string(ctx.Request.Header.Peek("X-Forwarded-Prefix")))
		}
	})
	c := r.dial()
	for in, want := range map[string]string{
		"/api/a?b":          "/a?b /api",
		"/api":              "/ /api",
		"/other":            "/other ",
		"/%61pi//x%2f":      "/x%2f /api",
		"http://a.test/api": "/ /api",
	} {
		if a := c.get(in); a.body != want {
			t.Errorf("%s became %q", in, a.body)
		}
	}
}

func TestUserValuesStayWithTheRequest(t *testing.T) {
	r := start(t, handler(func(ctx *fasthttp.RequestCtx) {
		if v := ctx.UserValue("k"); v != nil || len(ctx.Request.Header.Peek("X-Once")) > 0 && string(ctx.Path()) != "/once" {
			ctx.SetStatusCode(500)
		}
		ctx.SetUserValue("k", 1)
		ctx.Response.Header.Set("X-Left", string(ctx.Path()))
	}))
	for range 3 {
		c := r.dial()
		c.send("GET /once HTTP/1.1\r\nHost: a.test\r\nX-Once: 1\r\n\r\n")
		if a := c.response("GET"); a.StatusCode != 200 {
			t.Fatalf("%d", a.StatusCode)
		}
		if a := c.get("/then"); a.StatusCode != 200 || a.Header.Get("X-Left") != "/then" {
			t.Errorf("%d %v", a.StatusCode, a.Header)
		}
	}
}
