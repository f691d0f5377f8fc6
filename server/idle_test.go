package server_test

import (
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/internal/testkit"
	"edgerouter/router"
	"edgerouter/server"
)

// TestParkedConnections: they give their memory back, are served like others, and
// a drain ends them cleanly.
func TestParkedConnections(t *testing.T) {
	t.Parallel()
	srv, cli := testkit.TLS(t, "a.test")
	plain := start(t, nil)
	secure := start(t, func(c *server.Config, _ *router.Entry) { c.TLS = srv })
	draining := start(t, nil)
	var clients []*client
	for i := range 10 {
		a, b, c := plain.dial(), tlsDial(t, secure, cli), draining.dial()
		if i%2 == 0 {
			a.open() // the others have not said a word
			b.open()
			c.open()
		}
		clients = append(clients, a, b, c)
	}
	for _, r := range []*rig{plain, secure, draining} {
		eventually(t, "all are parked", func() bool { return r.server.Parked() == 10 })
	}
	cut := draining.shutdown(patience, 0)
	for i, c := range clients {
		if i%3 == 2 {
			c.ended()
			continue
		}
		c.send("POST /parked HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5000\r\n\r\n" + repeat("x", 5000))
		if a := c.response("POST"); a.StatusCode != 200 {
			t.Errorf("%d", a.StatusCode)
		}
		c.open()
	}
	if n := plain.server.Parked() + secure.server.Parked(); n != 0 {
		t.Errorf("%d are still parked", n)
	}
	if n := <-cut; n != 0 {
		t.Errorf("%d connections were cut", n)
	}
}

func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *server.Config, _ *router.Entry) { c.Limits.IdleTimeout = 300 * time.Millisecond })
	silent, used := r.dial(), r.dial()
	used.open()
	began := time.Now()
	used.ended()
	silent.ended()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// TestSlowReader: a client that does not read its response is cut after the write
// time-out, one that reads slowly is not.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	body := []byte(repeat("x", size))
	done := make(chan struct{})
	r := start(t, func(c *server.Config, e *router.Entry) {
		c.Limits.WriteTimeout = 500 * time.Millisecond
		c.AccessLog = func(a *server.Access) {
			if string(a.Target) == "/never" && a.Sent < size {
				close(done)
			}
		}
		e.Handler = func(ctx *fasthttp.RequestCtx) { ctx.Response.SetBodyRaw(body) }
	})
	never, slow := r.dial(), r.dial()
	never.send("GET /never HTTP/1.1\r\nHost: a.test\r\n\r\n")
	slow.send("GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n")
	buf := make([]byte, 512<<10)
	total := 0
	for total < size {
		n, err := slow.in.Read(buf)
		if total += n; err != nil {
			t.Fatalf("after %d bytes: %v", total, err)
		}
		<-time.After(time.Duration(n) * 2 * time.Second / size) // two seconds in all
	}
	<-done
}
