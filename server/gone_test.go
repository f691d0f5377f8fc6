package server_test

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/internal/testkit"
	"edgerouter/router"
	"edgerouter/server"
	"edgerouter/wire"
)

// TestGoneClients: whoever closes or resets the connection while the request is
// in service has it cancelled soon, whatever else is in the socket.
func TestGoneClients(t *testing.T) {
	srv, cli := testkit.TLS(t, "a.test")
	for name, c := range map[string]struct {
		tls   bool
		first string // before the request in question
		leave func(*client)
	}{
		"close":           {false, "", func(c *client) { c.Close() }},
		"reset":           {false, "", func(c *client) { c.Conn.(*net.TCPConn).SetLinger(0); c.Close() }},
		"with pipelined":  {false, "", func(c *client) { c.send(smuggled); c.Close() }},
		"a later request": {false, "GET /fast HTTP/1.1\r\nHost: a.test\r\n\r\n", func(c *client) { c.Close() }},
		"TLS":             {true, "", func(c *client) { c.Close() }},
		"TLS, reset":      {true, "", func(c *client) { tc := c.Conn.(*tls.Conn).NetConn().(*net.TCPConn); tc.SetLinger(0); tc.Close() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			entered, cancelled := make(chan struct{}), make(canceler)
			r := start(t, func(cfg *server.Config, e *router.Entry) {
				if c.tls {
					cfg.TLS = srv
				}
				e.Handler = func(ctx *fasthttp.RequestCtx) {
					x := wire.From(ctx)
					if string(x.Head.Path) != "/slow" {
						return
					}
					var give wire.Canceler = cancelled
					x.OnGone(&give)
					close(entered)
					<-cancelled
					if x.Finish(&give) {
						t.Error("cancelled, and then finished")
					}
					x.Broken = true
				}
			})
			var cl *client
			if c.tls {
				cl = tlsDial(t, r, cli)
			} else {
				cl = r.dial()
			}
			if c.first != "" {
				cl.send(c.first)
				cl.response("GET")
			}
			cl.send("GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n")
			<-entered
			began := time.Now()
			c.leave(cl)
			select {
			case <-cancelled:
			case <-time.After(patience):
				t.Fatal("the request goes on")
			}
			if took := time.Since(began); testkit.IsLong() && took > 300*time.Millisecond {
				t.Errorf("cancelled after %v", took)
			}
			eventually(t, "it is counted", func() bool { return r.server.Stats.ClientGone.Load() == 1 })
		})
	}
}

// TestPresentClients: waiting long is not leaving, also not on a connection whose
// other requests were watched.
func TestPresentClients(t *testing.T) {
	t.Parallel()
	wait := make(chan time.Time)
	r := start(t, handler(func(ctx *fasthttp.RequestCtx) {
		x := wire.From(ctx)
		cancelled := make(canceler)
		var give wire.Canceler = cancelled
		x.OnGone(&give)
		<-wait
		if !x.Finish(&give) {
			ctx.SetStatusCode(500)
		}
	}))
	c := r.dial()
	for range 3 {
		c.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
		wait <- <-time.After(250 * time.Millisecond) // it is looked at twice
		if a := c.response("GET"); a.StatusCode != 200 {
			t.Errorf("%d", a.StatusCode)
		}
	}
}
