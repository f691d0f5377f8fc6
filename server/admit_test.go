package server_test

import (
	"net/netip"
	"strings"
	"testing"

	"edgerouter/router"
	"edgerouter/server"
)

// TestAdmit: who may not enter gets 403 with the address that the server goes by,
// before a handler or a redirect; the address of a trusted proxy is not the client's.
func TestAdmit(t *testing.T) {
	for _, trusted := range []bool{false, true} {
		for _, plain := range []bool{false, true} {
			r := start(t, func(c *server.Config, e *router.Entry) {
				e.AllowPlain = plain
				if trusted {
					c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
				}
				c.Admit = func(client netip.Addr, app string) string {
					switch {
					case app != "app":
						return "another application"
					case client == netip.MustParseAddr("192.0.2.1"):
						return ""
					case client == netip.MustParseAddr("192.0.2.2"):
						return "explicit deny"
					}
					return "implicit deny"
				}
			})
			for _, c := range []struct{ fields, direct, behind string }{
				{"", "127.0.0.1) is not allowed (implicit deny)", "127.0.0.1) is not allowed (implicit deny)"},
				{"X-Forwarded-For: 192.0.2.1\r\n", "127.0.0.1) is not allowed (implicit deny)", ""},
				{"X-Forwarded-For: 192.0.2.2\r\n", "127.0.0.1) is not allowed (implicit deny)", "192.0.2.2) is not allowed (explicit deny)"},
				{"X-Forwarded-For: 192.0.2.1, 192.0.2.2\r\n", "127.0.0.1) is not allowed (implicit deny)", "192.0.2.2) is not allowed (explicit deny)"},
				{"X-Real-Ip: 192.0.2.1\r\nForwarded: for=192.0.2.1\r\n", "127.0.0.1) is not allowed (implicit deny)", "127.0.0.1) is not allowed (implicit deny)"},
			} {
				want := c.direct
				if trusted {
					want = c.behind
				}
				conn := r.dial()
				conn.send("POST /x HTTP/1.1\r\nHost: a\r\n" + c.fields + "Content-Length: 26\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n")
				a := conn.response("POST")
				switch {
				case want != "" && (a.StatusCode != 403 || !strings.HasPrefix(a.body, "your IP ("+want)):
					t.Errorf("trusted %v, %q: %d %s", trusted, c.fields, a.StatusCode, a.body)
				case want == "" && plain && a.StatusCode != 200, want == "" && !plain && a.StatusCode != 307:
					t.Errorf("trusted %v, %q: %d %s", trusted, c.fields, a.StatusCode, a.body)
				}
			}
			for _, seen := range r.requests() {
				if !strings.HasPrefix(seen, "POST /x ") || !trusted || !plain {
					t.Errorf("trusted %v: the handler saw %s", trusted, seen)
				}
			}
		}
	}
}
