package server_test

import (
	"crypto/tls"
	"io"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/internal/testkit"
	"edgerouter/router"
	"edgerouter/server"
)

func tlsDial(t *testing.T, r *rig, cli *tls.Config) *client {
	t.Helper()
	nc, err := tls.Dial("tcp", r.addr, cli)
	if err != nil {
		t.Fatal(err)
	}
	return wrap(t, nc)
}

func TestHandshakeThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	srv, cli := testkit.TLS(t, "a.test")
	r := start(t, func(c *server.Config, _ *router.Entry) {
		c.TLS = srv
		c.Limits.HeaderTimeout = 200 * time.Millisecond
	})
	for _, sent := range []string{"", "\x16\x03\x01\x00\xff\x01", "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"} {
		c := r.dial()
		c.send(sent)
		io.ReadAll(c.in) // an alert may come
	}
	eventually(t, "three handshakes fail", func() bool { return r.server.Stats.HandshakeErrors.Load() == 3 })
	eventually(t, "their connections are gone", func() bool { return r.server.Open() == 0 })
	tlsDial(t, r, cli).open()
}

// TestBrokenStreamOverTLS: neither a close_notify nor a clean end of the
// connection may stand behind a body that was cut.
func TestBrokenStreamOverTLS(t *testing.T) {
	srv, cli := testkit.TLS(t, "a.test")
	r := start(t, func(c *server.Config, e *router.Entry) {
		c.TLS = srv
		handler(func(ctx *fasthttp.RequestCtx) {
			ctx.SetBodyStream(&stream{parts: []string{"hel"}, err: io.ErrUnexpectedEOF}, -1)
		})(c, e)
	})
	c := tlsDial(t, r, cli)
	c.send("GET / HTTP/1.0\r\n\r\n")
	if all, err := io.ReadAll(c.in); err == nil {
		t.Errorf("it ended cleanly after %q", all)
	}
}
