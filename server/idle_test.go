package server_test

import (
	"crypto/tls"
	"io"
	"net"
	"syscall"
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

// TestReaderOfFewBytes: a client that takes a little keeps its connection, however
// long it needs for what fits into the kernel, with and without TLS.
func TestReaderOfFewBytes(t *testing.T) {
	testkit.Long(t)
	const size = 1 << 20
	body := []byte(repeat("x", size))
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			trusted, client := testkit.TLS(t, "a.test")
			r := start(t, func(c *server.Config, e *router.Entry) {
				c.Limits.WriteTimeout = 2 * time.Second
				if secure {
					c.TLS = trusted
				}
				e.Handler = func(ctx *fasthttp.RequestCtx) { ctx.Response.SetBodyRaw(body) }
			})
			d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
				return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
			}}
			nc, err := d.Dial("tcp", r.addr)
			if err != nil {
				t.Fatal(err)
			}
			if secure {
				nc = tls.Client(nc, client)
			}
			defer nc.Close()
			if _, err := io.WriteString(nc, "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			// A thirtieth of 64 KiB a tenth of a second, for as long as three time-outs.
			for began := time.Now(); time.Since(began) < 6*time.Second; time.Sleep(100 * time.Millisecond) {
				if _, err := io.ReadFull(nc, make([]byte, 2<<10)); err != nil {
					t.Fatalf("after %v: %v", time.Since(began), err)
				}
			}
			if rest, err := io.ReadAll(nc); err != nil || len(rest) < size/2 {
				t.Errorf("%d bytes, then %v", len(rest), err)
			}
		})
	}
}
