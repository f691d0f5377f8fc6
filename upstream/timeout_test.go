package upstream_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"edgerouter/app"
)

// silent takes requests and says nothing.
func silent(c *peerConn) { io.Copy(io.Discard, c.in) }

// TestResponseHeaderTimeout: 504, not tried again, and the peer is blamed.
func TestResponseHeaderTimeout(t *testing.T) {
	bothModes(t, func(t *testing.T, how setup) {
		for name, request := range map[string]string{
			"no body":  "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
			"small":    "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
			"streamed": "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
		} {
			t.Run(name, func(t *testing.T) {
				noLeaks(t)
				a, b := startOrigin(t, silent), startOrigin(t, silent)
				p := startProxy(t, app.PeerSetOpts{
					Addrs: []string{a.url, b.url}, Timeouts: &app.Timeouts{ResponseHeader: app.Duration(80 * time.Millisecond)},
				}, how)
				c := p.dial(t)
				began := time.Now()
				c.send(request)
				method, _, _ := strings.Cut(request, " ")
				if r := c.answer(method); r.StatusCode != 504 {
					t.Errorf("status %d", r.StatusCode)
				}
				if d := time.Since(began); d < 60*time.Millisecond {
					t.Errorf("after %s", d)
				}
				if n := a.conns.Load() + b.conns.Load(); n != 1 {
					t.Errorf("%d peers were asked", n)
				}
				if s := p.set.Peers(); s[0].Failures+s[1].Failures != 1 {
					t.Errorf("%+v", s)
				}
			})
		}
	})
}

// TestHeaderTimeoutCountsFromTheRequest: what a client takes to send its body, or
// a request to get its turn, is not the peer's time.
func TestHeaderTimeoutCountsFromTheRequest(t *testing.T) {
	bothModes(t, func(t *testing.T, how setup) {
		for _, head := range []string{"Content-Length: 4\r\n\r\nhi", "Transfer-Encoding: chunked\r\n\r\n4\r\nhi"} {
			noLeaks(t)
			o := startOrigin(t, answering(func(_ *http.Request, body string) string {
				time.Sleep(50 * time.Millisecond)
				return ok(body)
			}))
			p := startProxy(t, app.PeerSetOpts{
				Addrs: []string{o.url}, Timeouts: &app.Timeouts{ResponseHeader: app.Duration(250 * time.Millisecond)},
			}, how)
			c := p.dial(t)
			c.get("/") // so that there is a kept connection
			c.send("POST / HTTP/1.1\r\nHost: a\r\n" + head)
			time.Sleep(300 * time.Millisecond)
			c.send("hi")
			if strings.HasPrefix(head, "Transfer") {
				c.send("\r\n0\r\n\r\n")
			}
			if a := c.answer("POST"); a.StatusCode != 200 || a.text != "hihi" {
				t.Errorf("%.20q: %d %q", head, a.StatusCode, a.text)
			}
		}
	})
}

// TestBodyMayPause: timeouts.response_header is for the head only.
func TestBodyMayPause(t *testing.T) {
	bothModes(t, func(t *testing.T, how setup) {
		noLeaks(t)
		o := startOrigin(t, func(c *peerConn) {
			for c.readHead() != "" {
				c.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhi")
				time.Sleep(250 * time.Millisecond)
				c.write("hi")
			}
		})
		p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}, Timeouts: &app.Timeouts{ResponseHeader: app.Duration(200 * time.Millisecond)}}, how)
		c := p.dial(t)
		for range 2 {
			if a := c.get("/"); a.text != "hihi" {
				t.Errorf("%d %q", a.StatusCode, a.text)
			}
		}
	})
}

// TestRequestTimeout bounds everything, whatever the request waits for.
func TestRequestTimeout(t *testing.T) {
	stream := func(c *peerConn) {
		c.readHead()
		c.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for {
			if _, err := io.WriteString(c.Conn, "2\r\nhi\r\n"); err != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	for name, test := range map[string]struct {
		request string
		serve   func(*peerConn)
		status  int
		broken  bool
	}{
		"head":          {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", silent, 504, false},
		"stream":        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", stream, 200, true},
		"small body":    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhi", silent, 408, false},
		"streamed body": {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\nhi", silent, 408, false},
	} {
		t.Run(name, func(t *testing.T) {
			bothModes(t, func(t *testing.T, how setup) {
				noLeaks(t)
				o := startOrigin(t, test.serve)
				p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}, Timeouts: &app.Timeouts{Request: app.Duration(200 * time.Millisecond)}}, how)
				c := p.dial(t)
				began := time.Now()
				c.send(test.request)
				res := c.head("GET")
				_, err := io.ReadAll(res.Body)
				if res.StatusCode != test.status || (err != nil) != test.broken {
					t.Errorf("%d, %v; want %d, broken %v", res.StatusCode, err, test.status, test.broken)
				}
				if d := time.Since(began); d < 180*time.Millisecond || d > patience/2 {
					t.Errorf("after %s", d)
				}
				p.status(t)
			})
		})
	}
}

// TestRequestTimeoutLeavesOthersAlone: a request that ended in time takes its
// deadline with it.
func TestRequestTimeoutLeavesOthersAlone(t *testing.T) {
	bothModes(t, func(t *testing.T, how setup) {
		noLeaks(t)
		o := startOrigin(t, answering(func(*http.Request, string) string { return ok(strings.Repeat("x", 100<<10)) }))
		p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}, Timeouts: &app.Timeouts{Request: app.Duration(300 * time.Millisecond)}}, how)
		c := p.dial(t)
		for range 2 {
			if a := c.get("/"); a.StatusCode != 200 {
				t.Fatalf("status %d", a.StatusCode)
			}
			p.status(t)
			time.Sleep(350 * time.Millisecond) // the deadline would strike now
		}
		if n := o.conns.Load(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

func TestConnectTimeout(t *testing.T) {
	noLeaks(t)
	// A listener whose queue is full takes no connection.
	ln := listen(t)
	defer ln.Close()
	p := startProxy(t, app.PeerSetOpts{
		Addrs:     []string{"https://" + ln.Addr().String()}, // connects, and no TLS comes
		TLSConfig: &app.TLSConfig{InsecureSkipVerify: true},
		Timeouts:  &app.Timeouts{Connect: app.Duration(60 * time.Millisecond)},
	})
	if a := p.dial(t).get("/"); a.StatusCode != 504 {
		t.Errorf("status %d", a.StatusCode)
	}
	if n := p.stats.Retries.Load(); n != 0 {
		t.Errorf("%d retries at the only peer", n)
	}
}

// TestIdleConnectionsAreClosed after timeouts.idle, and with them the goroutine
// that sees to it.
func TestIdleConnectionsAreClosed(t *testing.T) {
	noLeaks(t)
	closed := make(chan struct{})
	o := startOrigin(t, func(c *peerConn) {
		defer close(closed)
		answering(func(*http.Request, string) string { return ok("x") })(c)
	})
	before := cleaners() // of other tests
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}, Timeouts: &app.Timeouts{Idle: app.Duration(50 * time.Millisecond)}})
	p.dial(t).get("/")
	<-closed
	eventually(t, "the cleaner ends", func() bool { return cleaners() <= before })
}
