package server_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/valyala/fasthttp"

	"edgerouter/internal/testkit"
	"edgerouter/router"
	"edgerouter/server"
	"edgerouter/wire"
)

func proxyHeader(t *testing.T, version byte, command proxyproto.ProtocolVersionAndCommand) string {
	t.Helper()
	h := proxyproto.HeaderProxyFromAddrs(version,
		&net.TCPAddr{IP: net.ParseIP("203.0.113.7"), Port: 5000}, &net.TCPAddr{IP: net.ParseIP("198.51.100.1"), Port: 443})
	h.Command = command
	b, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func who(ctx *fasthttp.RequestCtx) {
	x := wire.From(ctx)
	ctx.SetBodyString(x.ClientIP.String() + " " + string(ctx.Request.Header.Peek("X-Forwarded-For")) + " " + string(ctx.Request.Body()))
}

func trusting(prefix string) func(*server.Config, *router.Entry) {
	return func(c *server.Config, e *router.Entry) {
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(prefix)}
		c.Limits.HeaderTimeout = 500 * time.Millisecond
		c.ProxyPlain, c.ProxySecure = server.ProxyOptional, server.ProxyOptional
		e.Handler = who
	}
}

func TestProxyProtocol(t *testing.T) {
	v1, v2 := proxyHeader(t, 1, proxyproto.PROXY), proxyHeader(t, 2, proxyproto.PROXY)
	const request = "POST / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 9.9.9.9\r\nContent-Length: 300\r\n\r\n"
	body := repeat("b", 300)
	for name, c := range map[string]struct {
		trusted, header, want string
	}{
		"version 1":              {"127.0.0.0/8", v1, "203.0.113.7 203.0.113.7 " + body},
		"version 2":              {"127.0.0.0/8", v2, "203.0.113.7 203.0.113.7 " + body},
		"a trusted address":      {"0.0.0.0/0", v2, "9.9.9.9 9.9.9.9, 203.0.113.7 " + body},
		"unknown":                {"127.0.0.0/8", "PROXY UNKNOWN\r\n", "127.0.0.1 127.0.0.1 " + body},
		"local":                  {"127.0.0.0/8", proxyHeader(t, 2, proxyproto.LOCAL), "9.9.9.9 9.9.9.9, 127.0.0.1 " + body},
		"none":                   {"127.0.0.0/8", "", "9.9.9.9 9.9.9.9, 127.0.0.1 " + body},
		"malformed":              {"127.0.0.0/8", "PROXY TCP4 203.0.113.7 nonsense\r\n", ""},
		"malformed version 2":    {"127.0.0.0/8", v2[:12] + "\xff\xff" + v2[14:], ""},
		"version 1 of strangers": {"10.0.0.0/8", v1, "400"},
		"version 2 of strangers": {"10.0.0.0/8", v2, "400"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, trusting(c.trusted))
			for _, apart := range []bool{false, true} {
				c2 := r.dial()
				if apart {
					c2.send(c.header)
					c2.Write([]byte(request))
					c2.Write([]byte(body))
				} else {
					c2.send(c.header + request + body)
				}
				switch c.want {
				case "":
					if all, _ := io.ReadAll(c2.in); len(all) > 0 {
						t.Errorf("answered %q", all)
					}
				case "400":
					if a := c2.response("GET"); a.StatusCode != 400 {
						t.Errorf("%d", a.StatusCode)
					}
				default:
					if a := c2.response("POST"); a.body != c.want {
						t.Errorf("%q, not %q", a.body, c.want)
					}
					c2.send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
					c2.response("GET")
					c2.ended()
				}
			}
		})
	}
}

// TestSilentTrustedProxy: a proxy that opens connections ahead and sends no
// header is served when it sends something at last.
func TestSilentTrustedProxy(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *server.Config, e *router.Entry) {
		trusting("127.0.0.0/8")(c, e)
		c.Limits.HeaderTimeout = 50 * time.Millisecond
	})
	c := r.dial()
	time.Sleep(100 * time.Millisecond) // longer than the header is waited for
	c.open()
	// One that began a header and does not go on is not.
	c = r.dial()
	c.send("PROXY TCP4 203")
	if all, _ := io.ReadAll(c.in); len(all) > 0 {
		t.Errorf("answered %q", all)
	}
}

func TestProxyProtocolBeforeTLS(t *testing.T) {
	t.Parallel()
	srv, cli := testkit.TLS(t, "a.test")
	r := start(t, func(c *server.Config, e *router.Entry) {
		trusting("127.0.0.0/8")(c, e)
		c.Limits.HeaderTimeout = patience
		c.TLS = srv
	})
	for _, header := range []string{proxyHeader(t, 1, proxyproto.PROXY), proxyHeader(t, 2, proxyproto.PROXY)} {
		c := r.dial()
		// Header and hello in one piece.
		nc := tls.Client(&prefixed{Conn: c.Conn, first: []byte(header)}, cli)
		tc := wrap(t, nc)
		if a := tc.get("/"); !strings.HasPrefix(a.body, "203.0.113.7 ") {
			t.Errorf("got %q", a.body)
		}
	}
}

// prefixed writes some bytes together with the first that are written.
type prefixed struct {
	net.Conn
	first []byte
}

func (p *prefixed) Write(b []byte) (int, error) {
	if p.first != nil {
		all := bytes.Join([][]byte{p.first, b}, nil)
		p.first = nil
		if _, err := p.Conn.Write(all); err != nil {
			return 0, err
		}
		return len(b), nil
	}
	return p.Conn.Write(b)
}

// TestProxyModes: what each mode makes of each first line, of a trusted proxy and
// of a stranger. Nobody forges an address.
func TestProxyModes(t *testing.T) {
	const request = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
	v1, v2 := proxyHeader(t, 1, proxyproto.PROXY), proxyHeader(t, 2, proxyproto.PROXY)
	const own, theirs, bad, closed = "127.0.0.1 ", "203.0.113.7 ", "400", ""
	for _, c := range []struct {
		mode               server.ProxyMode
		trusted            bool
		none, first, other string // what no header, version 1 and version 2 give
	}{
		{server.ProxyOff, true, own, bad, bad},
		{server.ProxyOff, false, own, bad, bad},
		{server.ProxyOptional, true, own, theirs, theirs},
		{server.ProxyOptional, false, own, bad, bad},
		{server.ProxyRequired, true, closed, theirs, theirs},
		{server.ProxyRequired, false, closed, closed, closed},
	} {
		for header, want := range map[string]string{"": c.none, v1: c.first, v2: c.other} {
			r := start(t, func(cfg *server.Config, e *router.Entry) {
				cfg.ProxyPlain = c.mode
				e.Handler = who
				if c.trusted {
					cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
				}
			})
			conn := r.dial()
			io.WriteString(conn.Conn, header+request)
			all, _ := io.ReadAll(conn.in)
			got := string(all)
			good := want == closed && got == "" || want == bad && strings.HasPrefix(got, "HTTP/1.1 400 ") ||
				len(want) > 3 && strings.Contains(got, "\r\n\r\n"+want)
			if !good {
				t.Errorf("mode %d, trusted %v, %.8q: %q", c.mode, c.trusted, header, got)
			}
			if n := r.server.Stats.ProxyErrors.Load(); (n == 1) != (want == closed) {
				t.Errorf("mode %d, trusted %v, %.8q: %d errors counted", c.mode, c.trusted, header, n)
			}
		}
	}
}

// TestPlainOnTLSPort: a request of any method, or a PROXY header that is not
// expected, gets a 400 in plain text.
func TestPlainOnTLSPort(t *testing.T) {
	t.Parallel()
	srv, cli := testkit.TLS(t, "a.test")
	r := start(t, func(c *server.Config, _ *router.Entry) { c.TLS = srv })
	const rest = " / HTTP/1.1\r\nHost: a.test\r\n\r\n"
	for _, in := range []string{"GET" + rest, "M-SEARCH" + rest, "PATCH" + rest, "X" + rest, "get" + rest, "\r\nGET" + rest, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		proxyHeader(t, 1, proxyproto.PROXY), proxyHeader(t, 2, proxyproto.PROXY)} {
		c := r.dial()
		c.send(in)
		if a := c.response("GET"); a.StatusCode != 400 || !a.Close || !strings.Contains(a.body, "https") || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/plain") {
			t.Errorf("%.20q gave %d %q", in, a.StatusCode, a.body)
		}
		c.Close()
	}
	tlsDial(t, r, cli).open()
}
