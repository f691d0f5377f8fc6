package server_test

import (
	"crypto/tls"
	"slices"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"edgerouter/internal/testkit"
	"edgerouter/router"
	"edgerouter/server"
)

// TestConnectionLives: which requests keep the connection and which end it.
func TestConnectionLives(t *testing.T) {
	r := start(t, nil)
	for name, c := range map[string]struct {
		in    string
		lives bool
		says  string // in Connection
	}{
		"plain":                 {"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", true, ""},
		"keep-alive":            {"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n", true, ""},
		"close":                 {"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n", false, "close"},
		"close among others":    {"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: X-A, CLOSE\r\n\r\n", false, "close"},
		"HTTP/1.0":              {"GET / HTTP/1.0\r\nHost: a.test\r\n\r\n", false, "close"},
		"HTTP/1.0 keep-alive":   {"GET / HTTP/1.0\r\nHost: a.test\r\nConnection: Keep-Alive\r\n\r\n", true, "keep-alive"},
		"HTTP/1.0, no host":     {"GET / HTTP/1.0\r\n\r\n", false, "close"},
		"body":                  {"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello", true, ""},
		"chunked body":          {"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", true, ""},
		"upgrade nobody takes":  {"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", true, ""},
		"empty line in between": {"\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n\r\n", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c2 := dial(t, r.addr)
			c2.send(c.in)
			a := c2.response("GET")
			if a.StatusCode != 200 || strings.Join(a.Header["Connection"], ",") != c.says && !(a.Close && c.says == "close") {
				t.Errorf("%d, Connection: %v, close %v", a.StatusCode, a.Header["Connection"], a.Close)
			}
			if c.lives {
				c2.open()
			} else {
				c2.ended()
			}
		})
	}
}

func TestPipelining(t *testing.T) {
	t.Parallel()
	entered, release := make(chan string, 10), make(chan struct{})
	r := start(t, handler(func(ctx *fasthttp.RequestCtx) {
		if string(ctx.Path()) == "/slow" {
			entered <- ""
			<-release
		}
		ctx.SetBodyString(string(ctx.Path()) + " " + string(ctx.Request.Body()))
	}))
	c := dial(t, r.addr)
	c.send("GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n")
	<-entered
	// The second comes while the first is served, more come in one piece with
	// bodies between them, the last in two.
	c.send("GET /second HTTP/1.1\r\nHost: a.test\r\n\r\n")
	c.send("POST /third HTTP/1.1\r\nHost: a.test\r\nContent-Length: 35\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n" +
		"POST /fourth HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" +
		"GET /fifth HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\nGET /sixth HTTP/1.1\r\nHo")
	close(release)
	for _, want := range []string{"/slow ", "/second ", "/third GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n", "/fourth abc", "/fifth "} {
		if a := c.response("GET"); a.body != want {
			t.Errorf("got %q, not %q", a.body, want)
		}
	}
	c.ended()
}

func TestManyPipelinedRequests(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	c := dial(t, r.addr)
	const n = 2000
	go func() {
		c.Write([]byte(repeat("GET /"+repeat("p", 70)+" HTTP/1.1\r\nHost: a.test\r\n\r\n", n)))
	}()
	for i := range n {
		if a := c.response("GET"); a.StatusCode != 200 || a.body != "ok" {
			t.Fatalf("request %d: %d %q", i, a.StatusCode, a.body)
		}
	}
	if got := len(r.requests()); got != n {
		t.Errorf("%d requests reached the handler", got)
	}
}

// TestTargets: what the forms of a target become for the lookup and the handler.
func TestTargets(t *testing.T) {
	type asked struct{ host, path, query string }
	var got asked
	r := start(t, func(c *server.Config, e *router.Entry) {
		inner := c.Lookup
		c.Lookup = func(host, path []byte, a router.Attributes) *router.Entry {
			got = asked{string(host), string(path), string(a.Query())}
			return inner(host, path, a)
		}
		e.Handler = func(ctx *fasthttp.RequestCtx) {
			ctx.SetBodyString(string(ctx.Method()) + " " + string(ctx.Request.Header.RequestURI()) + " " + string(ctx.Request.Header.Host()))
		}
	})
	c := dial(t, r.addr)
	for in, want := range map[string]struct {
		asked
		body string
	}{
		"GET /a/%62/../c?x=%31":    {asked{"a.test", "/a/c", "x=%31"}, "GET /a/%62/../c?x=%31 a.test"},
		"GET //a///b":              {asked{"a.test", "/a/b", ""}, "GET //a///b a.test"},
		"GET http://a.test":        {asked{"a.test", "/", ""}, "GET / a.test"},
		"GET http://a.test?q":      {asked{"a.test", "/", "q"}, "GET /?q a.test"},
		"GET HTTP://A.TEST/x/./y?": {asked{"A.TEST", "/x/y", ""}, "GET /x/./y? A.TEST"},
		"OPTIONS *":                {asked{"a.test", "/", ""}, "OPTIONS * a.test"},
		"OPTIONS http://a.test":    {asked{"a.test", "/", ""}, "OPTIONS * a.test"},
	} {
		c.send(in + " HTTP/1.1\r\nHost: a.test\r\n\r\n")
		if a := c.response("GET"); a.body != want.body || got != want.asked {
			t.Errorf("%s: lookup of %+v, handler saw %q", in, got, a.body)
		}
	}
	for _, in := range []string{"/%", "/%zz", "/a\\b", "/%00", "/../x", "/a/..%2fb", "/..;/x"} {
		c.send("GET " + in + " HTTP/1.1\r\nHost: a.test\r\n\r\n")
		if a := c.response("GET"); a.StatusCode != 400 || !strings.Contains(a.body, "request id: ") {
			t.Errorf("%s: %d %q", in, a.StatusCode, a.body)
		}
	}
	c.open()
}

func TestTLSKeepsAlive(t *testing.T) {
	t.Parallel()
	srv, cli := testkit.TLS(t, "a.test")
	r := start(t, func(c *server.Config, e *router.Entry) {
		c.TLS = srv
		e.AllowPlain = false
		e.Handler = func(ctx *fasthttp.RequestCtx) {
			if !ctx.IsTLS() || ctx.TLSConnectionState() == nil || string(ctx.URI().Scheme()) != "https" {
				ctx.SetStatusCode(500)
			}
			ctx.SetBody(slices.Concat([]byte("hello "), ctx.Request.Body()))
		}
	})
	nc, err := tls.Dial("tcp", r.addr, cli)
	if err != nil {
		t.Fatal(err)
	}
	c := wrap(t, nc)
	for range 3 {
		c.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nyou")
		if a := c.response("POST"); a.StatusCode != 200 || a.body != "hello you" {
			t.Errorf("%d %q", a.StatusCode, a.body)
		}
	}
	c.send("GET / HTTP/1.1\r\nHost: a.test\r\nX : y\r\n\r\n" + smuggled)
	if a := c.response("GET"); a.StatusCode != 400 {
		t.Errorf("%d", a.StatusCode)
	}
	c.ended()
}
