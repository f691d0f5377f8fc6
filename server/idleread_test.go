package server_test

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/router"
	"edgerouter/server"
	"edgerouter/wire"
)

// used is a connection that has had requests before, so that its next one is
// answered inside of a read if it can be.
func (r *rig) used() *client {
	r.t.Helper()
	c := r.dial()
	for range 3 {
		c.open()
	}
	return c
}

// TestLaterRequests: what comes after other requests is answered like a first one.
func TestLaterRequests(t *testing.T) {
	const get = "GET /get HTTP/1.1\r\nHost: a.test\r\n\r\n"
	large := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	r := start(t, handler(func(ctx *fasthttp.RequestCtx) {
		switch x := wire.From(ctx); string(ctx.Path()) {
		case "/large":
			ctx.Response.SetBodyRaw(large)
		case "/stream":
			ctx.Response.SetBodyStream(bytes.NewReader(large), -1)
		case "/stop":
			x.Client.StopReading()
		case "/panic":
			panic("on purpose")
		case "/interim":
			x.Interim([]byte("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"))
			ctx.SetBodyString("final")
		case "/tunnel":
			tunnel := x.Client.Tunnel()
			x.Respond(101, []byte("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"))
			io.Copy(tunnel, tunnel)
		default:
			ctx.SetBodyString(string(ctx.Path()) + " " + string(ctx.Request.Body()))
		}
	}))
	for name, c := range map[string]struct {
		pieces []string
		want   []string // bodies
		ends   bool
	}{
		"one":           {[]string{get}, []string{"/get "}, false},
		"two pieces":    {[]string{get[:20], get[20:]}, []string{"/get "}, false},
		"byte by byte":  {strings.Split(get, ""), []string{"/get "}, false},
		"pipelined":     {[]string{get + get + get}, []string{"/get ", "/get ", "/get "}, false},
		"and a half":    {[]string{get + get[:20], get[20:]}, []string{"/get ", "/get "}, false},
		"body":          {[]string{"POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello"}, []string{"/p hello"}, false},
		"body later":    {[]string{"POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\n", "hello"}, []string{"/p hello"}, false},
		"chunked":       {[]string{"POST /p HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n", "2\r\nhi\r\n0\r\n\r\n"}, []string{"/p hi"}, false},
		"body and more": {[]string{"POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nhi" + get, get}, []string{"/p hi", "/get ", "/get "}, false},
		"long head":     {[]string{"GET /get HTTP/1.1\r\nHost: a.test\r\nX-Long: " + repeat("x", 9000) + "\r\n\r\n" + get}, []string{"/get ", "/get "}, false},
		"buffer's size": {[]string{sized(get, wire.BufferSize), get}, []string{"/get ", "/get "}, false},
		"large":         {[]string{"GET /large HTTP/1.1\r\nHost: a.test\r\n\r\n"}, []string{string(large)}, false},
		"stream":        {[]string{"GET /stream HTTP/1.1\r\nHost: a.test\r\n\r\n", get}, []string{string(large), "/get "}, false},
		"empty line":    {[]string{"\r\n", get}, []string{"/get "}, false},
		"close":         {[]string{"GET /get HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n" + get}, []string{"/get "}, true},
		"HTTP/1.0":      {[]string{"GET /get HTTP/1.0\r\nHost: a.test\r\n\r\n"}, []string{"/get "}, true},
		"stop reading":  {[]string{"GET /stop HTTP/1.1\r\nHost: a.test\r\n\r\n"}, []string{""}, false},
		"panic":         {[]string{"GET /panic HTTP/1.1\r\nHost: a.test\r\n\r\n"}, []string{"*request id: "}, true},
		"interim":       {[]string{"GET /interim HTTP/1.1\r\nHost: a.test\r\n\r\n"}, []string{"", "final"}, false},
		"malformed":     {[]string{"GET /get HTTP/1.1\r\nHost : a.test\r\n\r\n" + get}, []string{"*request id: "}, true},
		"expects":       {[]string{"GET /get HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n", "hi"}, []string{"", "/get hi"}, false},
		"not upgraded":  {[]string{"GET /get HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"}, []string{"/get "}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cl := r.used()
			for _, p := range c.pieces {
				cl.send(p)
				if len(c.pieces) < 10 {
					time.Sleep(5 * time.Millisecond) // only makes it likely that they are read apart
				}
			}
			for i, want := range c.want {
				a := cl.response("GET")
				if part, ok := strings.CutPrefix(want, "*"); a.body != want && !(ok && strings.Contains(a.body, part)) {
					t.Errorf("answer %d: %d, %d bytes %.100q", i, a.StatusCode, len(a.body), a.body)
				}
			}
			if c.ends {
				cl.ended()
			} else {
				cl.open()
				cl.open()
			}
		})
	}
	t.Run("upgrade", func(t *testing.T) {
		t.Parallel()
		cl := r.used()
		cl.send("GET /tunnel HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nfirst")
		cl.response("GET")
		cl.send(" second")
		got := make([]byte, len("first second"))
		if _, err := io.ReadFull(cl.in, got); err != nil || string(got) != "first second" {
			t.Errorf("%q, %v", got, err)
		}
		cl.Conn.(*net.TCPConn).CloseWrite()
		cl.ended()
	})
}

// sized is a request made as long as n.
func sized(get string, n int) string {
	head, _ := strings.CutSuffix(get, "\r\n")
	head += "X-Fill: "
	return head + repeat("x", n-len(head)-4) + "\r\n\r\n"
}

// TestWaitingInside: connections that wait after an answer inside of a read end as
// others do: with their client, after the idle time-out, in a drain; and a drain
// does not wait for a handler.
func TestWaitingInside(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*client){
		"close": func(c *client) { c.Close() },
		"reset": func(c *client) { c.Conn.(*net.TCPConn).SetLinger(0); c.Close() },
		"half":  func(c *client) { c.Conn.(*net.TCPConn).CloseWrite(); c.ended() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, nil)
			leave(r.used())
			eventually(t, "it is closed", func() bool { return r.server.Open() == 0 })
		})
	}
	t.Run("idle", func(t *testing.T) {
		t.Parallel()
		r := start(t, func(c *server.Config, _ *router.Entry) { c.Limits.IdleTimeout = 200 * time.Millisecond })
		r.used().ended()
	})
	t.Run("parked", func(t *testing.T) {
		t.Parallel()
		r := start(t, nil)
		c := r.used()
		eventually(t, "it is parked", func() bool { return r.server.Parked() == 1 })
		c.open()
		c.open()
	})
	t.Run("drain", func(t *testing.T) {
		t.Parallel()
		r := start(t, nil)
		clients := []*client{r.used(), r.used()}
		cut := r.shutdown(patience, 0)
		for _, c := range clients {
			c.ended()
		}
		if n := <-cut; n != 0 {
			t.Errorf("%d connections were cut", n)
		}
	})
	t.Run("cut", func(t *testing.T) {
		t.Parallel()
		entered, release := make(chan struct{}), make(chan struct{})
		r := start(t, handler(func(ctx *fasthttp.RequestCtx) {
			if string(ctx.Path()) == "/slow" {
				close(entered)
				<-release
			}
		}))
		c := r.used()
		c.send("GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n")
		<-entered
		if n := <-r.shutdown(50*time.Millisecond, 0); n != 1 {
			t.Errorf("%d connections were cut", n)
		}
		close(release)
		eventually(t, "it is closed", func() bool { return r.server.Open() == 0 })
	})
}

// TestReadInside: a handler that reads what a request without a body does not have
// is told so instead of waiting for ever.
func TestReadInside(t *testing.T) {
	t.Parallel()
	got := make(chan error, 10)
	r := start(t, handler(func(ctx *fasthttp.RequestCtx) {
		if string(ctx.Path()) == "/read" {
			_, err := ctx.Conn().Read(make([]byte, 1))
			got <- err
		}
	}))
	c := r.used()
	if a := c.get("/read"); a.StatusCode != 200 || <-got == nil {
		t.Errorf("%d", a.StatusCode)
	}
	c.open()
}

// TestLaterRequestsTakeTurns: many connections at once, so that what comes while a
// request is answered is found without a read.
func TestLaterRequestsTakeTurns(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	const clients, each = 16, 300
	errs := make(chan error, clients)
	for i := range clients {
		c := r.dial()
		go func() {
			in := bytes.Repeat([]byte("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"), 2)
			one := in[:len(in)/2]
			buf := make([]byte, 4096)
			for k := range each {
				send, want := one, 1
				if (k+i)%5 == 0 {
					send, want = in, 2
				}
				if _, err := c.Write(send[:7]); err != nil {
					errs <- err
					return
				}
				c.Write(send[7:])
				for seen := 0; seen < want; {
					n, err := c.Conn.Read(buf)
					if err != nil {
						errs <- err
						return
					}
					seen += bytes.Count(buf[:n], []byte("HTTP/1.1 200"))
				}
			}
			errs <- nil
		}()
	}
	for range clients {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if got, want := len(r.requests()), clients*(each+each/5); got != want {
		t.Errorf("%d requests reached the handler, not %d", got, want)
	}
}
