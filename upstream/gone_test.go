package upstream_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"edgerouter/app"
)

// TestClientGoesAway: whatever the request waits for, the peer's connection is
// closed soon after the client's, and the peer is not blamed.
func TestClientGoesAway(t *testing.T) {
	for name, test := range map[string]struct {
		request string
		serve   func(c *peerConn, arrived chan<- struct{})
		status  int
	}{
		"before the response": {
			"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
			func(c *peerConn, arrived chan<- struct{}) { c.readHead() },
			499,
		},
		"in the middle of a stream": {
			"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
			func(c *peerConn, arrived chan<- struct{}) {
				c.readHead()
				c.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
			},
			200,
		},
		"while the response is written": {
			"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
			func(c *peerConn, arrived chan<- struct{}) {
				c.readHead()
				c.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
				go func() {
					for part := strings.Repeat("x", 64<<10); ; {
						if _, err := io.WriteString(c.Conn, part); err != nil {
							return
						}
					}
				}()
			},
			200,
		},
		"in the middle of its own body": {
			"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
			func(c *peerConn, arrived chan<- struct{}) { c.readHead() },
			400,
		},
		"with its body sent": {
			"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
			func(c *peerConn, arrived chan<- struct{}) { c.read() },
			499,
		},
	} {
		t.Run(name, func(t *testing.T) {
			bothModes(t, func(t *testing.T, how setup) {
				noLeaks(t)
				arrived, over := make(chan struct{}), make(chan struct{})
				o := startOrigin(t, func(c *peerConn) {
					defer close(over)
					test.serve(c, arrived)
					close(arrived)
					io.Copy(io.Discard, c.in)
				})
				p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}}, how)
				c := p.dial(t)
				c.send(test.request)
				<-arrived
				c.gone()
				<-over
				if s := p.status(t); s != test.status && s != 499 {
					t.Errorf("status %d, want %d", s, test.status)
				}
				if s := p.set.Peers()[0]; s.Failures != 0 || s.InFlight != 0 {
					t.Errorf("%+v", s)
				}
				if log := p.log.String(); strings.Contains(log, `"warn"`) {
					t.Errorf("it is logged as a fault: %s", log)
				}
			})
		})
	}
}

// TestGoneClientIsNoFailure: enough of them would eject the peer if they counted.
func TestGoneClientIsNoFailure(t *testing.T) {
	noLeaks(t)
	arrived := make(chan struct{})
	o := startOrigin(t, func(c *peerConn) {
		for {
			req, err := http.ReadRequest(c.in)
			if err != nil {
				return
			}
			if req.URL.Path == "/ok" {
				c.write(ok("a"))
				continue
			}
			arrived <- struct{}{}
		}
	})
	p := startProxy(t, app.PeerSetOpts{
		Addrs: []string{o.url, refusing(t)}, Weights: map[string]int{},
		PassiveHealth: &app.PassiveHealth{Failures: 2},
	})
	for range 3 {
		c := p.dial(t)
		c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		<-arrived
		c.gone()
		p.status(t)
	}
	if s := p.set.Peers()[0]; s.State != "up" || s.Failures != 0 {
		t.Errorf("%+v", s)
	}
	if n := p.stats.Canceled.Load(); n != 3 {
		t.Errorf("%d canceled, want 3", n)
	}
}
