package server_test

import (
	"net/netip"
	"regexp"
	"sort"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"edgerouter/router"
	"edgerouter/server"
	"edgerouter/wire"
)

// forwarded answers with the fields that the backend would get, the client's
// address and what the handler sees of the same.
func forwarded(ctx *fasthttp.RequestCtx) {
	x := wire.From(ctx)
	var lines []string
	wire.EachLine(x.Forward, func(name, value []byte) {
		if got := string(ctx.Request.Header.Peek(string(name))); got != string(value) {
			lines = append(lines, "the handler sees "+string(name)+": "+got)
		}
		lines = append(lines, string(name)+": "+string(value))
	})
	for _, name := range []string{"Forwarded", "X-Forwarded-Server", "X_Forwarded_For", "X-Real_Ip"} {
		if v := ctx.Request.Header.Peek(name); len(v) > 0 && !strings.Contains(string(x.Forward), name) {
			lines = append(lines, "the handler sees "+name+": "+string(v))
		}
	}
	lines = append(lines, "client "+x.ClientIP.String()+" "+ctx.RemoteIP().String())
	if id := string(ctx.Request.Header.Peek("X-Request-Id")); id != string(x.RequestID) || id == "" {
		lines = append(lines, "request id "+id)
	}
	ctx.SetBodyString(strings.Join(lines, "\n"))
}

var madeID = regexp.MustCompile(`X-Request-Id: [0-9a-f]{32}`)

func TestForwardedFields(t *testing.T) {
	for _, c := range []struct {
		name    string
		trusted string
		fields  string
		want    string // without what is always the same
	}{
		{"a stranger", "", "", "X-Forwarded-For: 127.0.0.1|X-Forwarded-Host: a.test|X-Forwarded-Proto: http|X-Real-Ip: 127.0.0.1|X-Request-Id: made|client 127.0.0.1"},
		{"a stranger who lies", "10.0.0.0/8",
			"X-Forwarded-For: 1.2.3.4|X-Forwarded-Proto: https|X-Forwarded-Host: b|X-Real-Ip: 1.2.3.4|X-Request-Id: mine|X-Forwarded-Server: x|Forwarded: for=1.2.3.4|X_Forwarded_For: 1.2.3.4|X-Real_Ip: 1",
			"X-Forwarded-For: 127.0.0.1|X-Forwarded-Host: a.test|X-Forwarded-Proto: http|X-Real-Ip: 127.0.0.1|X-Request-Id: made|client 127.0.0.1"},
		{"a trusted proxy", "127.0.0.0/8",
			"X-Forwarded-For: 1.2.3.4|X-Forwarded-Proto: HTTPS|X-Forwarded-Host: b.test|X-Request-Id: mine|X-Forwarded-Port: 443|Forwarded: for=x|X_Forwarded_For: 5.5.5.5",
			"X-Forwarded-For: 1.2.3.4, 127.0.0.1|X-Forwarded-Host: b.test|X-Forwarded-Port: 443|X-Forwarded-Proto: https|X-Real-Ip: 1.2.3.4|X-Request-Id: mine|client 1.2.3.4"},
		{"a trusted proxy that says nothing", "127.0.0.1/32", "",
			"X-Forwarded-For: 127.0.0.1|X-Forwarded-Host: a.test|X-Forwarded-Proto: http|X-Real-Ip: 127.0.0.1|X-Request-Id: made|client 127.0.0.1"},
		{"a chain with a liar at its start", "127.0.0.0/8,10.0.0.0/8", "X-Forwarded-For: 6.6.6.6, 1.2.3.4|X-Forwarded-For: 10.0.0.1,10.0.0.2",
			"X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.0.0.1,10.0.0.2, 127.0.0.1|X-Forwarded-Host: a.test|X-Forwarded-Proto: http|X-Real-Ip: 1.2.3.4|X-Request-Id: made|client 1.2.3.4"},
		{"only proxies", "127.0.0.0/8,10.0.0.0/8", "X-Forwarded-For: 10.0.0.1, 10.0.0.2",
			"X-Forwarded-For: 10.0.0.1, 10.0.0.2, 127.0.0.1|X-Forwarded-Host: a.test|X-Forwarded-Proto: http|X-Real-Ip: 10.0.0.1|X-Request-Id: made|client 10.0.0.1"},
		{"junk in the chain", "127.0.0.0/8,10.0.0.0/8", "X-Forwarded-For: 1.2.3.4, unknown, 10.0.0.2",
			"X-Forwarded-For: 1.2.3.4, unknown, 10.0.0.2, 127.0.0.1|X-Forwarded-Host: a.test|X-Forwarded-Proto: http|X-Request-Id: made|client invalid IP <nil>"},
		{"ports and IPv6", "127.0.0.0/8,10.0.0.0/8", "X-Forwarded-For: [2001:db8::1]:443, 10.0.0.2:80",
			"X-Forwarded-For: [2001:db8::1]:443, 10.0.0.2:80, 127.0.0.1|X-Forwarded-Host: a.test|X-Forwarded-Proto: http|X-Real-Ip: 2001:db8::1|X-Request-Id: made|client 2001:db8::1"},
		{"an id that is none", "127.0.0.0/8", "X-Request-Id: a b",
			"X-Forwarded-For: 127.0.0.1|X-Forwarded-Host: a.test|X-Forwarded-Proto: http|X-Real-Ip: 127.0.0.1|X-Request-Id: made|client 127.0.0.1"},
		{"a prefix that another stripped", "127.0.0.0/8", "X-Forwarded-Prefix: /outer",
			"X-Forwarded-For: 127.0.0.1|X-Forwarded-Host: a.test|X-Forwarded-Prefix: /outer|X-Forwarded-Proto: http|X-Real-Ip: 127.0.0.1|X-Request-Id: made|client 127.0.0.1"},
		{"Connection cannot take ours away", "", "Connection: X-Real-Ip, X-Forwarded-For, X-Request-Id",
			"X-Forwarded-For: 127.0.0.1|X-Forwarded-Host: a.test|X-Forwarded-Proto: http|X-Real-Ip: 127.0.0.1|X-Request-Id: made|client 127.0.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, func(cfg *server.Config, e *router.Entry) {
				for _, p := range strings.FieldsFunc(c.trusted, func(r rune) bool { return r == ',' }) {
					cfg.TrustedProxies = append(cfg.TrustedProxies, netip.MustParsePrefix(p))
				}
				e.Handler = forwarded
			})
			c2 := r.dial()
			ids := map[string]bool{}
			for range 3 { // the lines of a connection are kept
				fields := ""
				if c.fields != "" {
					fields = strings.ReplaceAll(c.fields, "|", "\r\n") + "\r\n"
				}
				c2.send("GET / HTTP/1.1\r\nHost: a.test\r\n" + fields + "\r\n")
				a := c2.response("GET")
				ids[madeID.FindString(a.body)] = true
				lines := strings.Split(madeID.ReplaceAllString(a.body, "X-Request-Id: made"), "\n")
				sort.Strings(lines)
				for i, l := range lines {
					if f := strings.Fields(l); f[0] == "client" && len(f) == 3 && f[1] == f[2] {
						lines[i] = "client " + f[1]
					}
				}
				if got := strings.Join(lines, "|"); got != c.want {
					t.Errorf("got  %s\nwant %s", got, c.want)
				}
			}
			if strings.Contains(c.want, "made") && len(ids) != 3 {
				t.Errorf("three requests have the ids %v", ids)
			}
		})
	}
}

func TestForwardedFieldsFollowTheRequest(t *testing.T) {
	r := start(t, handler(forwarded))
	c := r.dial()
	for _, host := range []string{"a.test", "b.test:80", "a.test"} {
		c.send("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
		if a := c.response("GET"); !strings.Contains(a.body, "X-Forwarded-Host: "+host+"\n") {
			t.Errorf("%s: %s", host, a.body)
		}
	}
	c.send("GET / HTTP/1.0\r\n\r\n")
	if a := c.response("GET"); strings.Contains(a.body, "X-Forwarded-Host") {
		t.Errorf("without a host: %s", a.body)
	}
}

// TestTrustedProto: a proxy that ended TLS is believed, a stranger is redirected.
func TestTrustedProto(t *testing.T) {
	for trusted, want := range map[string]int{"127.0.0.0/8": 200, "10.0.0.0/8": 307} {
		r := start(t, func(cfg *server.Config, e *router.Entry) {
			cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(trusted)}
			e.AllowPlain = false
		})
		c := r.dial()
		c.send("GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-Proto: https\r\n\r\n")
		if a := c.response("GET"); a.StatusCode != want {
			t.Errorf("trusted %s: %d", trusted, a.StatusCode)
		}
		c.send("GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-Proto: http\r\n\r\n")
		if a := c.response("GET"); a.StatusCode != 307 {
			t.Errorf("trusted %s, plain: %d", trusted, a.StatusCode)
		}
	}
}
