package server_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/internal/testkit"
	"edgerouter/router"
	"edgerouter/server"
	"edgerouter/wire"
)

// hits is how often a limit acted.
func (r *rig) hits(setting string) (n uint64) {
	known := false
	r.server.LimitHits(func(s string, count uint64) {
		if s == setting {
			n, known = count, true
		}
	})
	if !known {
		r.t.Errorf("there is no limit %s", setting)
	}
	return n
}

// told is how often the log was told of a limit.
func (r *rig) told(setting string) int {
	return strings.Count(r.log.String(), `"setting":"--`+setting+`"`)
}

// acted checks that a limit acted n times and was told once.
func (r *rig) acted(setting string, n uint64) {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("%s acts %d times", setting, n), func() bool { return r.hits(setting) == n })
	if told := r.told(setting); told != 1 {
		r.t.Errorf("the log was told %d times of %s", told, setting)
	}
}

func TestLimitOfHead(t *testing.T) {
	t.Parallel()
	head := func(n int) string { return "GET / HTTP/1.1\r\nHost: a.test\r\nX-A: " + repeat("b", n) + "\r\n\r\n" }
	r := start(t, nil)
	r.dial().open()
	c := r.dial()
	c.send(head(15 << 10))
	if a := c.response("GET"); a.StatusCode != 200 {
		t.Errorf("a head of 15 KiB gave %d", a.StatusCode)
	}
	for range 2 {
		c = r.dial()
		c.send(head(17 << 10))
		if a := c.response("GET"); a.StatusCode != 431 {
			t.Errorf("a head of 17 KiB gave %d", a.StatusCode)
		}
	}
	r.acted("max-header", 2)
}

// TestLimitOfBody: by length and by chunks, of whoever reads it and of nobody.
func TestLimitOfBody(t *testing.T) {
	for name, h := range map[string]fasthttp.RequestHandler{
		"read":     func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString(fmt.Sprint(len(ctx.Request.Body()))) },
		"not read": func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("none") },
		"in pieces": func(ctx *fasthttp.RequestCtx) {
			n, err := io.Copy(io.Discard, readOf(wire.From(ctx)))
			ctx.SetBodyString(fmt.Sprint(n, err))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, func(c *server.Config, e *router.Entry) {
				c.Limits.Body = 1000
				e.Handler = h
				lookup := c.Lookup
				c.Lookup = func(host, path []byte, a router.Attributes) *router.Entry {
					own := *lookup(host, path, a)
					own.LimitsBody = string(path) == "/own"
					return &own
				}
			})
			chunks := func(n int) string { return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", n, repeat("b", n)) }
			want := uint64(0)
			for _, x := range []struct {
				target string
				size   int
				over   bool
			}{{"/", 1000, false}, {"/", 1001, true}, {"/own", 1001, false}, {"/own", 100_000, false}, {"/", 100_000, true}} {
				c := r.dial()
				c.send(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n%s", x.target, x.size, repeat("b", x.size)))
				if a := c.response("POST"); (a.StatusCode == 413) != x.over {
					t.Errorf("%s with %d bytes gave %d", x.target, x.size, a.StatusCode)
				}
				if x.over {
					want++
				}
				c = r.dial()
				c.send(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n%s%s", x.target, chunks(x.size), smuggled))
				a := c.response("POST")
				if over := x.over && name != "not read"; (a.StatusCode == 413) != over {
					t.Errorf("%s with chunks of %d bytes gave %d %s", x.target, x.size, a.StatusCode, a.body)
				}
				if x.over && name != "not read" {
					want++
					c.ended()
				}
			}
			r.acted("max-body", want)
		})
	}
}

type exchangeReader struct{ x *wire.Exchange }

func (r exchangeReader) Read(p []byte) (int, error) { return r.x.ReadBody(p[:min(len(p), 100)]) }

func readOf(x *wire.Exchange) io.Reader { return exchangeReader{x} }

// TestLimitOfBodyBeforeContinue: the client is told before it sends the body.
func TestLimitOfBodyBeforeContinue(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *server.Config, _ *router.Entry) { c.Limits.Body = 1000 })
	c := r.dial()
	c.send("POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n")
	if a := c.response("POST"); a.StatusCode != 413 || !a.Close {
		t.Errorf("%d, close %v", a.StatusCode, a.Close)
	}
}

// TestSlowBody: a body that drips is cut off, by whichever framing it comes; one
// that was waited for by the handler is not.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	read := make(chan struct{})
	r := start(t, func(c *server.Config, e *router.Entry) {
		c.Limits.BodyRate = 1 << 20
		c.Limits.BodyTimeout = time.Second
		e.Handler = func(ctx *fasthttp.RequestCtx) {
			if string(ctx.Path()) == "/waits" {
				<-read
			}
			ctx.SetBodyString(fmt.Sprint(len(ctx.Request.Body())))
		}
	})
	for _, body := range []struct{ field, piece string }{{"Content-Length: 1000000", "b"}, {"Transfer-Encoding: chunked", "1\r\nb\r\n"}} {
		c := r.dial()
		c.send("POST / HTTP/1.1\r\nHost: a.test\r\n" + body.field + "\r\n\r\n")
		go func() {
			for {
				if _, err := c.Write([]byte(body.piece)); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		}()
		if a := c.response("POST"); a.StatusCode != 408 {
			t.Errorf("%s: %d %s", body.field, a.StatusCode, a.body)
		}
		c.Close()
	}
	r.acted("min-body-rate", 2)
	// The whole body is on its way before the handler begins to read.
	c := r.dial()
	c.send("POST /waits HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10000\r\n\r\n" + repeat("b", 10000))
	time.AfterFunc(1500*time.Millisecond, func() { close(read) })
	if a := c.response("POST"); a.body != "10000" {
		t.Errorf("a body that was there gave %d %q", a.StatusCode, a.body)
	}
}

// TestConnectionsPerAddress: those beyond are closed, places are given back, and
// other addresses and trusted proxies have their own.
func TestConnectionsPerAddress(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *server.Config, _ *router.Entry) {
		c.Limits.PerAddress = 2
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.3/32")}
	})
	from := func(addr string) *client {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}, Timeout: patience}
		nc, err := d.Dial("tcp", r.addr)
		if err != nil {
			t.Skip("addresses of loopback other than 127.0.0.1 are needed:", err)
		}
		return wrap(t, nc)
	}
	refused := func(c *client) {
		t.Helper()
		io.WriteString(c.Conn, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
		if b, _ := io.ReadAll(c.in); len(b) > 0 {
			t.Errorf("one beyond the limit was answered: %q", b)
		}
	}
	first, second := from("127.0.0.1"), from("127.0.0.1")
	first.open()
	second.open()
	refused(from("127.0.0.1"))
	refused(from("127.0.0.1"))
	from("127.0.0.2").open()
	for range 4 {
		from("127.0.0.3").open()
	}
	r.acted("max-connections-per-ip", 2)
	first.Close()
	eventually(t, "the place is free again", func() bool {
		c := from("127.0.0.1")
		defer c.Close()
		io.WriteString(c.Conn, "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
		b, _ := io.ReadAll(c.in)
		return strings.HasPrefix(string(b), "HTTP/1.1 200 ")
	})
	second.open()
}

// TestHandshakesPerSecond: the ones beyond wait for their turn, and are refused
// when that would be long.
func TestHandshakesPerSecond(t *testing.T) {
	t.Parallel()
	srv, cli := testkit.TLS(t, "a.test")
	r := start(t, func(c *server.Config, _ *router.Entry) {
		c.TLS = srv
		c.Limits.Handshakes = 1
	})
	results := make(chan error, 10)
	for range 10 {
		go func() {
			nc, err := tls.Dial("tcp", r.addr, cli)
			if err == nil {
				nc.Close()
			}
			results <- err
		}()
	}
	failed := 0
	for range 10 {
		if <-results != nil {
			failed++
		}
	}
	// One passes at once and three after waiting, or some more on a machine that is slow.
	if failed > 6 {
		t.Errorf("%d of 10 failed", failed)
	}
	if r.hits("max-handshakes") == 0 || r.told("max-handshakes") != 1 {
		t.Errorf("counted %d, told %d times", r.hits("max-handshakes"), r.told("max-handshakes"))
	}
}

// TestIdleTunnel: a tunnel on which nothing moves ends; one that lives, in either
// direction, does not.
func TestIdleTunnel(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *server.Config, e *router.Entry) {
		c.Limits.TunnelIdle = 1500 * time.Millisecond
		e.Direct = true
		e.Handler = func(ctx *fasthttp.RequestCtx) {
			x := wire.From(ctx)
			tunnel := x.Client.Tunnel()
			x.Respond(101, []byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"))
			if string(x.Head.Path) == "/down" {
				for range 20 {
					time.Sleep(150 * time.Millisecond)
					if _, err := tunnel.Write([]byte("d")); err != nil {
						break
					}
				}
			}
			io.Copy(tunnel, tunnel)
		}
	})
	upgrade := func(target string) *client {
		c := r.dial()
		c.send("GET " + target + " HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		if a := c.response("GET"); a.StatusCode != 101 {
			t.Fatalf("%d", a.StatusCode)
		}
		return c
	}
	c := upgrade("/idle")
	c.send("ping")
	if b, _ := io.ReadAll(c.in); string(b) != "ping" {
		t.Errorf("got %q", b)
	}
	r.acted("tunnel-idle", 1)
	c = upgrade("/down") // for more than twice as long as it may be idle
	if b, _ := io.ReadAll(c.in); len(b) != 20 {
		t.Errorf("a tunnel in use brought %q", b)
	}
	r.acted("tunnel-idle", 2)
}

func TestTrace(t *testing.T) {
	t.Parallel()
	for _, allowed := range []bool{false, true} {
		r := start(t, func(c *server.Config, _ *router.Entry) { c.AllowTrace = allowed })
		c := r.dial()
		for _, method := range []string{"TRACE", "trace", "Trace"} {
			c.send(method + " /x HTTP/1.1\r\nHost: a.test\r\nMax-Forwards: 0\r\nCookie: secret\r\n\r\n")
			a := c.response("GET")
			if allowed != (a.StatusCode == 200) || !allowed && (a.StatusCode != 405 || !strings.Contains(a.Header.Get("Allow"), "GET") || strings.Contains(a.body, "secret")) {
				t.Errorf("allowed %v: %s gave %d %v %q", allowed, method, a.StatusCode, a.Header, a.body)
			}
		}
		c.send("TRACE /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc")
		c.response("GET")
		c.open()
		if !allowed {
			r.acted("trace", 4)
		} else if r.hits("trace") != 0 {
			t.Error("counted although it is allowed")
		}
	}
}

// TestOverrideFields: they do not reach a handler of either kind, in any spelling.
func TestOverrideFields(t *testing.T) {
	t.Parallel()
	const fields = "Proxy: 1\r\nproxy: 2\r\nX-Original-URL: /admin\r\nx_original_url: /admin\r\nX-Rewrite-Url: /admin\r\nX_Rewrite-URL: /a\r\n"
	for _, allowed := range []bool{false, true} {
		for _, direct := range []bool{false, true} {
			var rule []byte
			r := start(t, func(c *server.Config, e *router.Entry) {
				c.AllowOverrides = allowed
				e.Direct = direct
				lookup := c.Lookup
				c.Lookup = func(host, path []byte, a router.Attributes) *router.Entry {
					rule, _ = a.Header("X-Original-Url", 0)
					return lookup(host, path, a)
				}
				e.Handler = func(ctx *fasthttp.RequestCtx) {
					n := 0
					for i := range wire.From(ctx).Head.Fields {
						switch strings.ToLower(strings.ReplaceAll(string(wire.From(ctx).Head.Fields[i].Name), "_", "-")) {
						case "proxy", "x-original-url", "x-rewrite-url":
							n++
						}
					}
					if !direct {
						for name := range ctx.Request.Header.All() {
							if s := strings.ToLower(string(name)); s == "proxy" || strings.HasPrefix(s, "x-original") || strings.HasPrefix(s, "x-rewrite") {
								n++
							}
						}
					}
					ctx.SetBodyString(fmt.Sprint(n, " ", string(wire.From(ctx).Head.Get("x-kept"))))
				}
			})
			c := r.dial()
			c.send("GET / HTTP/1.1\r\nHost: a.test\r\n" + fields + "X-Kept: yes\r\n\r\n")
			a := c.response("GET")
			if allowed == strings.HasPrefix(a.body, "0 ") || !strings.HasSuffix(a.body, " yes") || allowed != (rule != nil) {
				t.Errorf("allowed %v, direct %v: %q, a rule saw %q", allowed, direct, a.body, rule)
			}
			if !allowed {
				r.acted("override-fields", 1)
			}
		}
	}
}
