package e2e

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"

	"github.com/pires/go-proxyproto"

	"edgerouter/server"
)

// TestProxyProtocolReachesThePeer as X-Forwarded-For, of both versions, plain and
// before TLS.
func TestProxyProtocolReachesThePeer(t *testing.T) {
	origin := httpOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Header.Get("X-Forwarded-For")+" "+r.Header.Get("X-Real-Ip")+" "+r.Header.Get("X-Forwarded-Proto"))
	})
	bothModes(t, func(t *testing.T, m mode) {
		for _, secure := range []bool{false, true} {
			e := newEdge(t, m, origin, options{tls: secure, server: func(c *server.Config) {
				c.ProxyPlain, c.ProxySecure = server.ProxyOptional, server.ProxyOptional
				c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
			}})
			proto := map[bool]string{false: "http", true: "https"}[secure]
			for version, want := range map[byte]string{0: "127.0.0.1 127.0.0.1 " + proto, 1: "203.0.113.7 203.0.113.7 " + proto, 2: "203.0.113.7 203.0.113.7 " + proto} {
				c := e.dial()
				if version > 0 {
					under := c.Conn
					if tc, ok := under.(interface{ NetConn() net.Conn }); ok {
						under = tc.NetConn()
					}
					h := proxyproto.HeaderProxyFromAddrs(version,
						&net.TCPAddr{IP: net.ParseIP("203.0.113.7"), Port: 5000}, &net.TCPAddr{IP: net.ParseIP("198.51.100.1"), Port: 443})
					if _, err := h.WriteTo(under); err != nil {
						t.Fatal(err)
					}
				}
				for range 2 {
					c.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
					if _, body := c.response("GET"); body != want {
						t.Errorf("version %d, TLS %v: %q", version, secure, body)
					}
				}
			}
		}
	})
}
