package server_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/internal/testkit"
	"edgerouter/router"
	"edgerouter/server"
)

// ignore answers without looking at the request's body.
func ignore(ctx *fasthttp.RequestCtx) {
	ctx.SetStatusCode(401)
	ctx.SetBodyString("no")
}

// TestUnreadBody: a body that the handler did not read is read to its end or
// ends the connection; it is never parsed as a request. A client that announces
// more than is thrown away for its sake is told beforehand.
func TestUnreadBody(t *testing.T) {
	r := start(t, handler(ignore))
	chunk := "1000\r\n" + repeat("x", 4096) + "\r\n"
	for name, c := range map[string]struct {
		in    string
		lives bool
	}{
		"small":                 {"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 39\r\n\r\n" + smuggled[:39], true},
		"256 KiB":               {"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 262144\r\n\r\n" + repeat("x", 262144), true},
		"more":                  {"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 262145\r\n\r\n" + repeat(smuggled, 8000)[:262145], false},
		"chunked":               {"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n" + repeat(chunk, 10) + "0\r\nX: y\r\n\r\n", true},
		"more in chunks":        {"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n" + repeat(chunk, 700) + "0\r\n\r\n", true},
		"malformed":             {"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloworld\r\n0\r\n\r\n", false},
		"endless chunk size":    {"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n" + smuggled, false},
		"not sent":              {"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n", false},
		"sent all the same":     {"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 39\r\nExpect: 100-continue\r\n\r\n" + smuggled[:39], false},
		"not expected, chunked": {"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c2 := dial(t, r.addr)
			go func() { // more than the sockets take is written
				io.WriteString(c2.Conn, c.in)
				if c.lives {
					io.WriteString(c2.Conn, "GET /next HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
				} else {
					io.WriteString(c2.Conn, smuggled)
				}
			}()
			if a := c2.response("POST"); a.StatusCode != 401 {
				t.Fatalf("%d", a.StatusCode)
			}
			if c.lives {
				if a := c2.response("GET"); a.StatusCode != 401 || !a.Close {
					t.Errorf("%d, close %v", a.StatusCode, a.Close)
				}
			}
			c2.ended()
		})
	}
}

// TestLongUnreadBodyDoesNotHideTheAnswer: a client that is still sending reads
// the answer all the same (no reset).
func TestLongUnreadBodyDoesNotHideTheAnswer(t *testing.T) {
	t.Parallel()
	r := start(t, handler(ignore))
	c := dial(t, r.addr)
	c.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000000\r\n\r\n")
	if a := c.response("POST"); a.StatusCode != 401 || !a.Close {
		t.Fatalf("%d, close %v", a.StatusCode, a.Close)
	}
	c.send(repeat("x", 500<<10))
	if n, err := c.in.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

// TestEarlyRefusalOfALargeBody: a client that reads only after it has sent all of
// 30 MB gets its answer, with and without TLS, whoever refused it.
func TestEarlyRefusalOfALargeBody(t *testing.T) {
	trusted, trust := testkit.TLS(t, "a.test")
	plain := start(t, handler(ignore))
	secure := start(t, func(c *server.Config, e *router.Entry) { c.TLS, e.Handler = trusted, ignore })
	const size = 30 << 20
	for name, c := range map[string]struct {
		head   string
		status int
	}{
		"by a handler": {"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 31457280\r\n\r\n", 401},
		"by the head":  {"POST / HTTP/1.1\r\nHost : a.test\r\nContent-Length: 31457280\r\n\r\n", 400},
		"chunked":      {"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n1e00000\r\n", 401},
		"malformed":    {"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n", 401},
	} {
		for _, way := range []string{"plain", "TLS"} {
			t.Run(name+", "+way, func(t *testing.T) {
				t.Parallel()
				var cl *client
				if way == "TLS" {
					cl = tlsDial(t, secure, trust)
				} else {
					cl = plain.dial()
				}
				cl.send(c.head)
				piece := repeat("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", 2000)
				for sent := 0; sent < size; sent += len(piece) {
					cl.send(piece[:min(len(piece), size-sent)])
				}
				if a := cl.response("POST"); a.StatusCode != c.status {
					t.Errorf("%d", a.StatusCode)
				}
			})
		}
	}
}

func TestContinue(t *testing.T) {
	r := start(t, handler(func(ctx *fasthttp.RequestCtx) {
		if string(ctx.Path()) == "/refuse" {
			ignore(ctx)
			return
		}
		ctx.SetBody(ctx.Request.Body())
	}))
	c := dial(t, r.addr)
	c.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	if line, err := c.in.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if line, err := c.in.ReadString('\n'); err != nil || line != "\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	c.send("hello")
	if a := c.response("POST"); a.StatusCode != 200 || a.body != "hello" {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
	c.send("POST /refuse HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	if a := c.response("POST"); a.StatusCode != 401 || !a.Close {
		t.Errorf("%d, close %v: the body was asked for or the connection kept", a.StatusCode, a.Close)
	}
	c.ended()

	// HTTP/1.0 knows no 100.
	c = dial(t, r.addr)
	c.send("POST / HTTP/1.0\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello")
	if a := c.response("POST"); a.StatusCode != 200 || a.body != "hello" {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
}

// TestFaultyBody: an answer that was made from a part of a body does not stand.
func TestFaultyBody(t *testing.T) {
	r := start(t, func(c *server.Config, _ *router.Entry) { c.Limits.BodyTimeout = 100 * time.Millisecond })
	for name, c := range map[string]struct {
		in     string
		end    bool // the client half-closes
		status int
	}{
		"malformed":     {"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n", false, 400},
		"cut off":       {"Content-Length: 5\r\n\r\nhel", true, 400},
		"cut off chunk": {"Transfer-Encoding: chunked\r\n\r\n5\r\nhel", true, 400},
		"slow":          {"Content-Length: 5\r\n\r\nhel", false, 408},
		"slow chunk":    {"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", false, 408},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c2 := dial(t, r.addr)
			c2.send("POST / HTTP/1.1\r\nHost: a.test\r\n" + c.in)
			if c.end {
				c2.Conn.(*net.TCPConn).CloseWrite()
			}
			if a := c2.response("POST"); a.StatusCode != c.status || !a.Close || !strings.Contains(a.body, "body") && c.status == 408 {
				t.Errorf("%d %q, close %v", a.StatusCode, a.body, a.Close)
			}
			c2.ended()
		})
	}
}

// TestSlowBodyMayTakeLong: the time-out is for silence, not for the whole body.
func TestSlowBodyMayTakeLong(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *server.Config, _ *router.Entry) { c.Limits.BodyTimeout = 300 * time.Millisecond })
	c := dial(t, r.addr)
	c.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\n")
	tick := time.NewTicker(70 * time.Millisecond)
	defer tick.Stop()
	for range 10 {
		<-tick.C
		c.send("x")
	}
	if a := c.response("POST"); a.StatusCode != 200 {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
	c.open()
}

// TestUnreadBodyThatDoesNotCome: the drain has one deadline, however the bytes drip.
func TestUnreadBodyThatDoesNotCome(t *testing.T) {
	t.Parallel()
	r := start(t, handler(ignore))
	c := dial(t, r.addr)
	began := time.Now()
	c.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000\r\n\r\n")
	if a := c.response("POST"); a.StatusCode != 401 {
		t.Fatalf("%d", a.StatusCode)
	}
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
				if _, err := c.Write([]byte("x")); err != nil {
					return
				}
			}
		}
	}()
	io.ReadAll(c.in)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the connection was held for %v", took)
	}
}
