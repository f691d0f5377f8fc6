package middleware

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
)

// A name leads to no address of the edge: what it resolves to is looked at when it
// is connected to.
func TestForwardAuthRefusesLocal(t *testing.T) {
	asked := false
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer s.Close()
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	for _, host := range []string{"localhost", "127.0.0.1"} {
		for _, refuse := range []bool{true, false} {
			asked = false
			u := &url.URL{Scheme: "http", Host: net.JoinHostPort(host, port), Path: "/"}
			c, err := newAuthClient(u, nil, refuse)
			if err != nil {
				t.Fatal(err)
			}
			req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			c.address(req)
			err = c.do(req, resp)
			if asked == refuse || (err != nil) != refuse {
				t.Errorf("%s, refuse %v: asked %v, %v", host, refuse, asked, err)
			}
		}
	}
	for text, want := range map[string]bool{
		"127.0.0.1": true, "127.9.9.9": true, "::1": true, "0.0.0.0": true, "0.1.2.3": true, "::": true, "169.254.169.254": true, "fe80::1%eth0": true,
		"::ffff:127.0.0.1": true, "::ffff:169.254.169.254": true, "64:ff9b::7f00:1": true, "2002:7f00:1::": true, "::127.0.0.1": true, "ff02::1": true,
		"10.0.0.1": false, "172.17.0.1": false, "192.0.2.1": false, "2001:db8::1": false, "fd00::1": false, "64:ff9b::c000:201": false,
	} {
		if got := app.LocalAddress(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
