package upstream_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"edgerouter/app"
)

// startHolding is a peer whose requests wait until they are let go; arrived gets
// their paths.
func startHolding(t *testing.T) (o *origin, arrived chan string, letGo chan struct{}) {
	arrived, letGo = make(chan string, 100), make(chan struct{})
	o = startOrigin(t, answering(func(req *http.Request, _ string) string {
		arrived <- req.URL.Path
		<-letGo
		return ok(req.URL.Path)
	}))
	t.Cleanup(func() {
		select {
		case <-letGo:
		default:
			close(letGo)
		}
	})
	return o, arrived, letGo
}

// limitsOf are the two options that make requests wait; in HTTP/1.1 they come to
// the same.
var limitsOf = map[string]func(n int) app.PeerSetOpts{
	"max_requests":    func(n int) app.PeerSetOpts { return app.PeerSetOpts{MaxRequests: n} },
	"max_connections": func(n int) app.PeerSetOpts { return app.PeerSetOpts{MaxConnections: n} },
	"both":            func(n int) app.PeerSetOpts { return app.PeerSetOpts{MaxConnections: n, MaxRequests: n + 5} },
}

func eachLimit(t *testing.T, test func(t *testing.T, opts app.PeerSetOpts, how setup)) {
	for name, limit := range limitsOf {
		t.Run(name, func(t *testing.T) {
			bothModes(t, func(t *testing.T, how setup) { test(t, limit(2), how) })
		})
	}
}

// TestQueue: two in, two wait, the fifth is refused; those that wait get their
// turn in order, over no more than two connections.
func TestQueue(t *testing.T) {
	eachLimit(t, func(t *testing.T, opts app.PeerSetOpts, how setup) {
		noLeaks(t)
		o, arrived, letGo := startHolding(t)
		opts.Addrs, opts.MaxPending = []string{o.url}, 2
		p := startProxy(t, opts, how)
		var clients []*client
		for i := range 4 {
			c := p.dial(t)
			c.send(fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i))
			if clients = append(clients, c); i < 2 {
				<-arrived
			} else {
				eventually(t, "it waits", func() bool { return p.set.Waiting() == i-1 })
			}
		}
		if a := p.dial(t).get("/5"); a.StatusCode != 503 || a.Header.Get("Retry-After") == "" {
			t.Errorf("the fifth: %d, Retry-After %q", a.StatusCode, a.Header.Get("Retry-After"))
		}
		for range 4 {
			letGo <- struct{}{}
		}
		for i, c := range clients {
			if a := c.answer("GET"); a.text != fmt.Sprintf("/%d", i) {
				t.Errorf("request %d: %d %q", i, a.StatusCode, a.text)
			}
		}
		p.statuses(t, 5)
		if n := o.conns.Load(); n > 2 {
			t.Errorf("%d connections", n)
		}
		if s := p.set.Peers()[0]; s.InFlight != 0 || s.Failures != 0 || p.set.Inside() != 0 {
			t.Errorf("%+v, %d inside", s, p.set.Inside())
		}
	})
}

func TestNobodyWaitsByDefault(t *testing.T) {
	eachLimit(t, func(t *testing.T, opts app.PeerSetOpts, how setup) {
		noLeaks(t)
		o, arrived, letGo := startHolding(t)
		opts.Addrs = []string{o.url}
		p := startProxy(t, opts, how)
		for range 2 {
			p.dial(t).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			<-arrived
		}
		if a := p.dial(t).get("/"); a.StatusCode != 503 || a.Header.Get("Retry-After") == "" {
			t.Errorf("%d, Retry-After %q", a.StatusCode, a.Header.Get("Retry-After"))
		}
		close(letGo)
		p.status(t)
		p.status(t)
	})
}

func TestPendingTimeout(t *testing.T) {
	eachLimit(t, func(t *testing.T, opts app.PeerSetOpts, how setup) {
		noLeaks(t)
		o, arrived, letGo := startHolding(t)
		opts.Addrs, opts.MaxPending, opts.PendingTimeout = []string{o.url}, 5, app.Duration(30*time.Millisecond)
		p := startProxy(t, opts, how)
		for range 2 {
			p.dial(t).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			<-arrived
		}
		if a := p.dial(t).get("/"); a.StatusCode != 503 || a.Header.Get("Retry-After") == "" {
			t.Errorf("%d, Retry-After %q", a.StatusCode, a.Header.Get("Retry-After"))
		}
		if len(arrived) != 0 {
			t.Error("the request reached the peer")
		}
		close(letGo)
	})
}

// TestGoneWhileWaiting: a client that leaves gives its place in the queue away.
func TestGoneWhileWaiting(t *testing.T) {
	eachLimit(t, func(t *testing.T, opts app.PeerSetOpts, how setup) {
		noLeaks(t)
		o, arrived, letGo := startHolding(t)
		opts.Addrs, opts.MaxPending, opts.PendingTimeout = []string{o.url}, 1, app.Duration(time.Minute)
		p := startProxy(t, opts, how)
		for range 2 {
			p.dial(t).send("GET /in HTTP/1.1\r\nHost: a\r\n\r\n")
			<-arrived
		}
		left := p.dial(t)
		left.send("GET /left HTTP/1.1\r\nHost: a\r\n\r\n")
		eventually(t, "it waits", func() bool { return p.set.Waiting() == 1 })
		left.gone()
		if s := p.status(t); s != 499 {
			t.Errorf("status %d", s)
		}
		if n := p.set.Waiting(); n != 0 {
			t.Errorf("%d wait", n)
		}
		close(letGo)
		p.status(t)
		p.status(t)
		if len(arrived) != 0 {
			t.Errorf("%s reached the peer", <-arrived)
		}
		if n := p.set.Inside(); n != 0 {
			t.Errorf("%d inside", n)
		}
	})
}

func TestRequestTimeoutWhileWaiting(t *testing.T) {
	noLeaks(t)
	o, arrived, letGo := startHolding(t)
	p := startProxy(t, app.PeerSetOpts{
		Addrs: []string{o.url}, MaxRequests: 1, MaxPending: 5, PendingTimeout: app.Duration(time.Minute),
		Timeouts: &app.Timeouts{Request: app.Duration(60 * time.Millisecond)},
	})
	first := p.dial(t)
	first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-arrived
	if a := p.dial(t).get("/"); a.StatusCode != 504 {
		t.Errorf("status %d", a.StatusCode)
	}
	close(letGo)
	p.status(t)
	eventually(t, "nobody is inside", func() bool { return p.set.Inside() == 0 })
}

// TestFullPeerIsPassedOver: with room elsewhere nobody is refused, and no retry is
// spent on it.
func TestFullPeerIsPassedOver(t *testing.T) {
	noLeaks(t)
	a, arrived, letGo := startHolding(t)
	b, arrivedB, letGoB := startHolding(t)
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{a.url, b.url}, MaxConnections: 1, Policy: app.PolicyHash, HashOn: "path"})
	for range 2 {
		p.dial(t).send("GET /same HTTP/1.1\r\nHost: a\r\n\r\n")
	}
	<-arrived
	<-arrivedB
	if r := p.dial(t).get("/same"); r.StatusCode != 503 {
		t.Errorf("both are full: %d", r.StatusCode)
	}
	close(letGo)
	close(letGoB)
	if n := p.stats.Retries.Load(); n != 0 {
		t.Errorf("%d retries", n)
	}
}

// TestFullQueueIsPassedOver: with a place left in another peer's queue nobody is
// refused, however the policy would have it, and no retry is spent on it.
func TestFullQueueIsPassedOver(t *testing.T) {
	noLeaks(t)
	a, arrived, letGo := startHolding(t)
	b, arrivedB, letGoB := startHolding(t)
	zero := 0
	p := startProxy(t, app.PeerSetOpts{
		Addrs: []string{a.url, b.url}, MaxRequests: 1, MaxPending: 1, PendingTimeout: app.Duration(time.Minute),
		Policy: app.PolicyHash, HashOn: "path", Retries: &app.Retries{Attempts: &zero},
	})
	var clients []*client
	for range 4 { // one in and one in the queue of each
		c := p.dial(t)
		c.send("POST /same HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n!")
		clients = append(clients, c)
	}
	<-arrived
	<-arrivedB
	eventually(t, "both queues are full", func() bool { return p.set.WaitingAtAll() == 2 })
	if r := p.dial(t).get("/same"); r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
		t.Errorf("the fifth: %d", r.StatusCode)
	}
	close(letGo)
	close(letGoB)
	for _, c := range clients {
		if r := c.answer("POST"); r.StatusCode != 200 {
			t.Errorf("status %d", r.StatusCode)
		}
	}
	if n := p.stats.Retries.Load(); n != 0 {
		t.Errorf("%d retries", n)
	}
}

// TestPlacesAreGivenBack on every way a request can end.
func TestPlacesAreGivenBack(t *testing.T) {
	bothModes(t, func(t *testing.T, how setup) {
		noLeaks(t)
		o := startOrigin(t, func(c *peerConn) {
			for {
				req, _ := c.read()
				if req == nil {
					return
				}
				switch req.URL.Path {
				case "/reset":
					c.reset()
					return
				case "/malformed":
					c.write("nonsense\r\n\r\n")
					return
				case "/broken":
					c.write("HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\nx")
					return
				case "/stream":
					c.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")
				case "/switch":
					c.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
					return
				case "/slow":
					silent(c)
					return
				default:
					c.write(ok("x"))
				}
			}
		})
		p := startProxy(t, app.PeerSetOpts{
			Addrs: []string{o.url}, MaxRequests: 1, PassiveHealth: &app.PassiveHealth{Off: true},
			Timeouts: &app.Timeouts{ResponseHeader: app.Duration(50 * time.Millisecond)},
		}, how)
		p.set.SetLinger(20 * time.Millisecond)
		for _, path := range []string{"/", "/reset", "/malformed", "/broken", "/stream", "/switch", "/slow", "/"} {
			c := p.dial(t)
			fields := ""
			if path == "/switch" {
				fields = "Connection: upgrade\r\nUpgrade: x\r\n"
			}
			c.send("GET " + path + " HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n")
			p.status(t)
			eventually(t, path+" has given its place back", func() bool { return p.set.Inside() == 0 })
			if s := p.set.Peers()[0]; s.InFlight != 0 {
				t.Fatalf("after %s: %+v", path, s)
			}
		}
	})
}
