package upstream_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"edgerouter/app"
)

// startFickle is a peer that answers one request per connection, says nothing of
// closing, and closes when told by a send on the channel.
func startFickle(t *testing.T, closeNow <-chan struct{}, closed chan<- struct{}) *origin {
	return startOrigin(t, func(c *peerConn) {
		req, body := c.read()
		if req == nil {
			return
		}
		c.write(ok(req.Method + body))
		<-closeNow
		c.Conn.Close()
		closed <- struct{}{}
	})
}

// TestStaleConnection: the peer closed a kept connection while it was idle, and
// whatever the request is, the client does not notice.
func TestStaleConnection(t *testing.T) {
	bothModes(t, func(t *testing.T, how setup) {
		for name, request := range map[string]string{
			"GET":           "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
			"POST":          "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
			"POST empty":    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
			"POST streamed": "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
			"PUT streamed":  "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
		} {
			t.Run(name, func(t *testing.T) {
				noLeaks(t)
				closeNow, closed := make(chan struct{}), make(chan struct{}, 100)
				o := startFickle(t, closeNow, closed)
				p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}}, how)
				c := p.dial(t)
				method, _, _ := strings.Cut(request, " ")
				for i := range 4 {
					c.send(request)
					if a := c.answer(method); a.StatusCode != 200 || !strings.HasPrefix(a.text, method) {
						t.Fatalf("request %d: %d %q", i, a.StatusCode, a.text)
					}
					p.status(t)
					closeNow <- struct{}{}
					<-closed
				}
				if n := o.conns.Load(); n != 4 {
					t.Errorf("%d connections, want 4", n)
				}
				if s := p.set.Peers()[0]; s.Requests != 4 || s.Failures != 0 {
					t.Errorf("the peer is blamed: %+v", s)
				}
			})
		}
	})
}

// TestResetConnection: a kept connection was reset, so that not even writing to it
// works.
func TestResetConnection(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		t.Run(method, func(t *testing.T) {
			noLeaks(t)
			answered := make(chan struct{})
			o := startOrigin(t, func(c *peerConn) {
				if req, _ := c.read(); req != nil {
					c.write(ok("x"))
					<-answered
					c.reset()
				}
			})
			p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}})
			c := p.dial(t)
			for range 3 {
				c.send(method + " / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
				if a := c.answer(method); a.StatusCode != 200 {
					t.Errorf("status %d", a.StatusCode)
				}
				p.status(t)
				answered <- struct{}{}
				o.quiet()
			}
			if s := p.set.Peers()[0]; s.Failures != 0 || s.Requests != 3 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestManyStaleConnections: the pool is full of connections that died together,
// as after a restart of the peer.
func TestManyStaleConnections(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		t.Run(method, func(t *testing.T) {
			noLeaks(t)
			const n = 20
			arrived, answer, die := make(chan struct{}), make(chan struct{}), make(chan struct{})
			o := startOrigin(t, func(c *peerConn) {
				if req, _ := c.read(); req == nil {
					return
				}
				if c.n <= n {
					arrived <- struct{}{}
					<-answer
				}
				c.write(ok("x"))
				if c.n <= n {
					<-die
				}
			})
			p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}})
			var clients []*client
			for range n {
				c := p.dial(t)
				c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
				<-arrived
				clients = append(clients, c)
			}
			close(answer)
			for _, c := range clients {
				c.answer("GET")
				p.status(t)
			}
			close(die)
			o.quiet()
			c := p.dial(t)
			c.send(method + " / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
			if a := c.answer(method); a.StatusCode != 200 {
				t.Errorf("%s: %d", method, a.StatusCode)
			}
		})
	}
}

// TestResetBeforeResponse: a peer that takes the request and closes is asked
// again only when the request may be acted on twice.
func TestResetBeforeResponse(t *testing.T) {
	for _, test := range []struct {
		name, request string
		retried       bool
	}{
		{"GET", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", true},
		{"DELETE", "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", true},
		{"PUT with a small body", "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", true},
		{"POST", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", false},
		{"PATCH", "PATCH / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", false},
		{"PUT streamed", "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", false},
		{"unknown method", "FROB / HTTP/1.1\r\nHost: a\r\n\r\n", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			noLeaks(t)
			var acted atomic.Int64
			bad := startOrigin(t, func(c *peerConn) {
				if req, _ := c.read(); req != nil {
					acted.Add(1)
				}
				c.reset()
			})
			good := startOrigin(t, answering(func(_ *http.Request, body string) string {
				acted.Add(1)
				return ok("good" + body)
			}))
			p := startProxy(t, app.PeerSetOpts{
				Addrs: []string{bad.url, good.url}, Policy: app.PolicyRoundRobin,
				PassiveHealth: &app.PassiveHealth{Off: true},
			})
			c := p.dial(t)
			c.send(test.request)
			method, _, _ := strings.Cut(test.request, " ")
			a := c.answer(method)
			want, times := 502, int64(1)
			if test.retried {
				want, times = 200, 2
			}
			if a.StatusCode != want || acted.Load() != times {
				t.Errorf("answer %d after %d requests to peers, want %d after %d", a.StatusCode, acted.Load(), want, times)
			}
			if test.retried != (p.stats.Retries.Load() == 1) {
				t.Errorf("%d retries", p.stats.Retries.Load())
			}
			if !test.retried && !strings.Contains(a.text, "request id: ") {
				t.Errorf("the answer %q has no request id", a.text)
			}
		})
	}
}

// TestConnectErrorGoesToAnotherPeer, whatever the request is: nothing of it was
// sent, and of a streamed body not a byte was read.
func TestConnectErrorGoesToAnotherPeer(t *testing.T) {
	bothModes(t, func(t *testing.T, how setup) {
		noLeaks(t)
		good := startOrigin(t, answering(func(_ *http.Request, body string) string { return ok(fmt.Sprint(len(body))) }))
		p := startProxy(t, app.PeerSetOpts{
			Addrs: []string{refusing(t), refusing(t), good.url}, Policy: app.PolicyRoundRobin,
			PassiveHealth: &app.PassiveHealth{Off: true},
		}, how)
		c := p.dial(t)
		for i := range 3 {
			if a := c.post("/", "hello"); a.text != "5" {
				t.Errorf("small body: %d %q", a.StatusCode, a.text)
			}
			if a := c.post("/", strings.Repeat("x", 100<<10)); a.text != fmt.Sprint(100<<10) {
				t.Errorf("streamed body, try %d: %d %q", i, a.StatusCode, a.text)
			}
		}
		if p.stats.ConnectErrors.Load() == 0 || p.stats.Retries.Load() != p.stats.ConnectErrors.Load() {
			t.Errorf("%d connect errors, %d retries", p.stats.ConnectErrors.Load(), p.stats.Retries.Load())
		}
	})
}

func TestAllPeersRefuse(t *testing.T) {
	noLeaks(t)
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{refusing(t), refusing(t)}})
	c := p.dial(t)
	if a := c.get("/"); a.StatusCode != 502 || strings.Contains(a.text, "127.0.0.1") {
		t.Errorf("%d %q", a.StatusCode, a.text)
	}
	if n := p.stats.ConnectErrors.Load(); n != 2 {
		t.Errorf("%d peers were tried, want each once", n)
	}
	if !strings.Contains(p.log.String(), "connection refused") {
		t.Errorf("the log does not tell the cause: %s", p.log)
	}
}

// TestRetryOnStatus: 502, 503 and 504 are tried again only when they are listed,
// and the last peer's own answer is what the client gets.
func TestRetryOnStatus(t *testing.T) {
	busy := answering(func(*http.Request, string) string {
		return "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy"
	})
	fine := answering(func(*http.Request, string) string { return ok("fine") })
	zero := 0
	for _, test := range []struct {
		name, method string
		retries      *app.Retries
		second       func(*peerConn)
		status       int
		text         string
		retried      uint64
	}{
		{"listed", "GET", &app.Retries{On: []string{"503"}}, fine, 200, "fine", 1},
		{"another one listed", "GET", &app.Retries{On: []string{"502"}}, fine, 503, "busy", 0},
		{"not listed", "GET", nil, fine, 503, "busy", 0},
		{"not idempotent", "POST", &app.Retries{On: []string{"503"}}, fine, 503, "busy", 0},
		{"all peers", "GET", &app.Retries{On: []string{"503"}}, busy, 503, "busy", 1},
		{"no budget", "GET", &app.Retries{On: []string{"503"}, Budget: &zero}, fine, 503, "busy", 0},
		{"no attempts", "GET", &app.Retries{On: []string{"503"}, Attempts: &zero}, fine, 503, "busy", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			bothModes(t, func(t *testing.T, how setup) {
				noLeaks(t)
				first, second := startOrigin(t, busy), startOrigin(t, test.second)
				p := startProxy(t, app.PeerSetOpts{
					Addrs: []string{first.url, second.url}, Policy: app.PolicyRoundRobin, Retries: test.retries,
					PassiveHealth: &app.PassiveHealth{Off: true},
				}, how)
				c := p.dial(t)
				c.send(test.method + " / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
				if a := c.answer(test.method); a.StatusCode != test.status || a.text != test.text {
					t.Errorf("%d %q, want %d %q", a.StatusCode, a.text, test.status, test.text)
				}
				if n := p.stats.Retries.Load(); n != test.retried {
					t.Errorf("%d retries, want %d", n, test.retried)
				}
			})
		})
	}
}

// TestRetryBudget: a set in trouble is not given a multiple of its load.
func TestRetryBudget(t *testing.T) {
	noLeaks(t)
	var asked atomic.Int64
	drop := func(c *peerConn) {
		if c.readHead() != "" {
			asked.Add(1)
		}
		c.reset()
	}
	a, b := startOrigin(t, drop), startOrigin(t, drop)
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{a.url, b.url}, PassiveHealth: &app.PassiveHealth{Off: true}})
	const n = 300
	c := p.dial(t)
	for range n {
		if r := c.get("/"); r.StatusCode != 502 {
			t.Fatalf("status %d", r.StatusCode)
		}
	}
	// 20% of the requests, or 30 in ten seconds while that is more.
	if extra := asked.Load() - n; extra < 30 || extra > n/5 {
		t.Errorf("%d requests made %d attempts", n, asked.Load())
	}
	if p.stats.RetriesDenied.Load() == 0 {
		t.Error("no retry was denied")
	}
}

// TestPassiveHealthSparesThePeer: clients that leave, and stale connections, do
// not eject a peer; failures do.
func TestPassiveHealth(t *testing.T) {
	noLeaks(t)
	var broken atomic.Bool
	a := startOrigin(t, func(c *peerConn) {
		for {
			req, _ := c.read()
			if req == nil || broken.Load() {
				c.reset()
				return
			}
			c.write(ok("a"))
		}
	})
	b := startOrigin(t, answering(func(*http.Request, string) string { return ok("b") }))
	p := startProxy(t, app.PeerSetOpts{
		Addrs: []string{a.url, b.url}, Policy: app.PolicyRoundRobin,
		PassiveHealth: &app.PassiveHealth{Failures: 3, Eject: app.Duration(time.Hour), MaxEject: app.Duration(time.Hour)},
	})
	c := p.dial(t)
	for range 6 {
		c.get("/")
	}
	broken.Store(true)
	for range 20 {
		if r := c.get("/"); r.StatusCode != 200 {
			t.Fatalf("status %d", r.StatusCode)
		}
	}
	if s := p.set.Peers()[0]; s.State != "ejected" || s.Failures != 3 || s.EjectedUntil == nil {
		t.Errorf("%+v", s)
	}
}

// TestMalformedResponses: what cannot be read is a 502, never passed on, and the
// connection is not used again.
func TestMalformedResponses(t *testing.T) {
	for name, response := range map[string]string{
		"no status line":      "hello\r\n\r\n",
		"bare LF":             "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
		"two lengths":         "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
		"a length with sign":  "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
		"gzip coding":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		"status 99":           "HTTP/1.1 099 X\r\n\r\n",
		"space before colon":  "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
		"NUL":                 "HTTP/1.1 200 OK\r\nA: b\x00\r\n\r\n",
		"folded":              "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
		"chunked in 1.0":      "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"101 unasked":         "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
		"endless head":        "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 300<<10),
		"endless status line": strings.Repeat("x", 300<<10),
		"1xx flood":           strings.Repeat("HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n", 1000),
		"100 flood":           strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1000),
	} {
		t.Run(name, func(t *testing.T) {
			bothModes(t, func(t *testing.T, how setup) {
				noLeaks(t)
				o := startOrigin(t, func(c *peerConn) {
					if c.readHead() == "" {
						return
					}
					c.write(response)
					io.Copy(io.Discard, c.in) // until the proxy closes
				})
				p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}, Retries: &app.Retries{On: []string{}}}, how)
				c := p.dial(t)
				c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
				a := c.answer("GET")
				for a.StatusCode == 103 {
					a = c.answer("GET")
				}
				if a.StatusCode != 502 {
					t.Errorf("status %d", a.StatusCode)
				}
				if s := p.set.Peers()[0]; s.Failures != 1 || s.InFlight != 0 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// TestBrokenOffResponses: a part must never look like the whole.
func TestBrokenOffResponses(t *testing.T) {
	for name, response := range map[string]string{
		"length":      "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
		"chunk":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nhello",
		"last chunk":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"trailers":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b",
		"bad chunk":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX5\r\nhello\r\n0\r\n\r\n",
		"bad trailer": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA : b\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			bothModes(t, func(t *testing.T, how setup) {
				noLeaks(t)
				o := startOrigin(t, func(c *peerConn) {
					if c.readHead() != "" {
						c.write(response)
					}
				})
				p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}}, how)
				for _, version := range []string{"1.1", "1.0"} {
					c := p.dial(t)
					c.send("GET / HTTP/" + version + "\r\nHost: a\r\n\r\n")
					res := c.head("GET")
					b, err := io.ReadAll(res.Body)
					if err == nil {
						t.Errorf("HTTP/%s: the client takes %q for the whole", version, b)
					}
					if s := p.status(t); s != 200 {
						t.Errorf("HTTP/%s: status %d", version, s)
					}
				}
				if s := p.set.Peers()[0]; s.Failures != 2 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// TestPeerFailsDuringUpload: the client is told that it was not its fault.
func TestPeerFailsDuringUpload(t *testing.T) {
	bothModes(t, func(t *testing.T, how setup) {
		for _, head := range []string{"Content-Length: 1000000\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"} {
			noLeaks(t)
			o := startOrigin(t, func(c *peerConn) {
				c.readHead()
				c.in.ReadByte()
				c.reset()
			})
			p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}}, how)
			c := p.dial(t)
			c.send("PUT / HTTP/1.1\r\nHost: a\r\n" + head)
			large := head[0] == 'C'
			if a := c.answer("PUT"); a.StatusCode != 502 || a.Close != large {
				t.Errorf("%.20q: %d, close %v", head, a.StatusCode, a.Close)
			}
			if n := o.conns.Load(); n != 1 {
				t.Errorf("%d attempts", n)
			}
			if s := p.set.Peers()[0]; s.Failures != 1 {
				t.Errorf("%+v", s)
			}
		}
	})
}
