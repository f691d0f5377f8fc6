package upstream_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/app"
	"edgerouter/upstream"
)

// startNamed is a peer that answers with its name; /wait only once letGo has a
// value, and arrived gets one then. closed gets one for each connection that ends.
type named struct {
	*origin
	arrived, letGo chan struct{}
	closed         chan struct{}
}

func startNamed(t testing.TB, name string) *named {
	n := &named{arrived: make(chan struct{}, 100), letGo: make(chan struct{}), closed: make(chan struct{}, 100)}
	n.origin = startOrigin(t, func(c *peerConn) {
		defer func() { n.closed <- struct{}{} }()
		answering(func(req *http.Request, body string) string {
			if req.URL.Path == "/wait" {
				n.arrived <- struct{}{}
				select {
				case <-n.letGo:
				case <-time.After(patience):
				}
			}
			return ok(name + body)
		})(c)
	})
	return n
}

// gone waits until a peer that has left is shown no more.
func (p *proxy) gone(t testing.TB, addr string) {
	t.Helper()
	eventually(t, addr+" is shown no more", func() bool { return p.peer(addr).Addr == "" })
}

// joined waits until a new peer is up.
func (p *proxy) joined(t testing.TB, addr string) {
	t.Helper()
	eventually(t, addr+" is up", func() bool { return p.peer(addr).State == "up" })
}

func TestUpdatable(t *testing.T) {
	base := app.PeerSetOpts{Addrs: []string{"http://a"}, MaxRequests: 5, HealthCheck: &app.HealthCheck{Path: "/"}}
	for name, tt := range map[string]struct {
		change func(o *app.PeerSetOpts)
		want   bool
	}{
		"nothing":      {func(*app.PeerSetOpts) {}, true},
		"addrs":        {func(o *app.PeerSetOpts) { o.Addrs = []string{"http://b", "https://c"} }, true},
		"no addrs":     {func(o *app.PeerSetOpts) { o.Addrs = nil }, true},
		"weights":      {func(o *app.PeerSetOpts) { o.Weights = map[string]int{"http://a": 3} }, true},
		"limit":        {func(o *app.PeerSetOpts) { o.MaxRequests = 6 }, false},
		"policy":       {func(o *app.PeerSetOpts) { o.Policy = app.PolicyHash }, false},
		"health check": {func(o *app.PeerSetOpts) { o.HealthCheck = nil }, false},
		"both":         {func(o *app.PeerSetOpts) { o.Addrs, o.PassHostHeader = nil, true }, false},
	} {
		to := base
		tt.change(&to)
		if got := upstream.Updatable(base, to); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestUpdateRefuses(t *testing.T) {
	noLeaks(t)
	a := startNamed(t, "a")
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{a.url}})
	for want, err := range map[string]error{
		`addrs: "ftp://x"`:           p.set.Update([]string{"http://127.0.0.1:1", "ftp://x"}, nil),
		`weights["http://x"]: -1 is`: p.set.Update([]string{"http://127.0.0.1:1"}, map[string]int{"http://x": -1}),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if s := p.set.Peers(); len(s) != 1 || s[0].Addr != a.url {
		t.Errorf("%+v", s)
	}
	if r := p.dial(t).get("/"); r.text != "a" {
		t.Errorf("%d %q", r.StatusCode, r.text)
	}
	p.set.Close()
	p.update(t, "http://127.0.0.1:1")
	if s := p.set.Peers(); len(s) != 1 || s[0].Addr != a.url {
		t.Errorf("after Close: %+v", s)
	}
}

// TestUpdateKeepsWhatStays: connections and counters of a peer that stays; the
// idle connections of one that leaves end at once.
func TestUpdateKeepsWhatStays(t *testing.T) {
	bothModes(t, func(t *testing.T, how setup) {
		noLeaks(t)
		a, b, d := startNamed(t, "a"), startNamed(t, "b"), startNamed(t, "d")
		p := startProxy(t, app.PeerSetOpts{Addrs: []string{a.url, b.url}, Policy: app.PolicyRoundRobin}, how)
		c := p.dial(t)
		for range 4 {
			c.get("/")
			p.status(t)
		}
		p.update(t, b.url, d.url, d.url+"/")
		if s := p.set.Peers(); len(s) != 3 || s[0].Addr != b.url || s[0].Requests != 2 || s[1].Addr != d.url ||
			s[2].Addr != a.url || s[2].State != "draining" || s[2].Requests != 2 {
			t.Errorf("%+v", s)
		}
		<-a.closed
		p.joined(t, d.url)
		texts := map[string]int{}
		for range 4 {
			texts[c.get("/").text]++
			p.status(t)
		}
		if texts["b"] != 2 || texts["d"] != 2 {
			t.Errorf("%v", texts)
		}
		if s := p.peer(b.url); s.Requests != 4 || b.conns.Load() != 1 {
			t.Errorf("%+v, %d connections", s, b.conns.Load())
		}
		p.gone(t, a.url)
	})
}

// TestLeavingPeerEndsWhatItHasBegun and gets nothing else.
func TestLeavingPeerEndsWhatItHasBegun(t *testing.T) {
	bothModes(t, func(t *testing.T, how setup) {
		noLeaks(t)
		a, b := startNamed(t, "a"), startNamed(t, "b")
		p := startProxy(t, app.PeerSetOpts{Addrs: []string{a.url}}, how)
		waits := p.dial(t)
		waits.send("POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
		<-a.arrived
		p.update(t, b.url)
		c := p.dial(t)
		for i := range 10 {
			if r := c.get("/"); r.text != "b" {
				t.Errorf("%d %q", r.StatusCode, r.text)
			}
			if r := c.post("/", fmt.Sprint(i)); r.text != fmt.Sprint("b", i) {
				t.Errorf("%d %q", r.StatusCode, r.text)
			}
		}
		if s := p.peer(a.url); s.State != "draining" || s.InFlight != 1 || s.Requests != 1 {
			t.Errorf("%+v", s)
		}
		a.letGo <- struct{}{}
		if r := waits.answer("POST"); r.text != "ahi" {
			t.Errorf("%d %q", r.StatusCode, r.text)
		}
		<-a.closed // its connection is not kept
		p.gone(t, a.url)
	})
}

func TestH2CPeerLeaves(t *testing.T) {
	noLeaks(t)
	arrived, letGo := make(chan struct{}), make(chan struct{})
	a := startH2(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			arrived <- struct{}{}
			select {
			case <-letGo:
			case <-r.Context().Done():
			}
		}
		io.WriteString(w, "a")
	})
	b := startNamed(t, "b")
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{a.url}, MaxConnections: 5}, setup{grace: time.Second})
	for _, end := range []string{"answered", "cut"} {
		p.update(t, a.url)
		waits, c := p.dial(t), p.dial(t)
		waits.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
		<-arrived
		p.update(t, b.url)
		if r := c.get("/"); r.text != "b" {
			t.Errorf("%d %q", r.StatusCode, r.text)
		}
		if s := p.peer(a.url); s.State != "draining" || s.InFlight != 1 {
			t.Errorf("%+v", s)
		}
		want := "b" // GET may be tried again
		if end == "answered" {
			want = "a"
			letGo <- struct{}{}
		} else {
			<-b.arrived
			b.letGo <- struct{}{}
		}
		if r := waits.answer("GET"); r.text != want {
			t.Errorf("%s: %d %q", end, r.StatusCode, r.text)
		}
		p.gone(t, a.url)
	}
}

// TestTunnelDrains: upgraded connections live on, and are cut after the grace.
func TestTunnelDrains(t *testing.T) {
	bothModes(t, func(t *testing.T, how setup) {
		noLeaks(t)
		echo := startOrigin(t, func(c *peerConn) {
			c.readHead()
			c.write(switched)
			io.Copy(c.Conn, c.in)
		})
		b := startNamed(t, "b")
		how.grace = 300 * time.Millisecond
		p := startProxy(t, app.PeerSetOpts{Addrs: []string{echo.url}}, how)
		c := p.dial(t)
		c.send(switchRequest)
		c.head("GET")
		began := time.Now()
		p.update(t, b.url)
		buf := make([]byte, 4)
		for range 3 {
			c.send("ping")
			if _, err := io.ReadFull(c.in, buf); err != nil {
				t.Fatalf("the tunnel broke: %v", err)
			}
		}
		if s := p.peer(echo.url); s.State != "draining" || s.InFlight != 1 {
			t.Errorf("%+v", s)
		}
		io.Copy(io.Discard, c.in)
		if took := time.Since(began); took < how.grace {
			t.Errorf("cut after %s", took)
		}
		p.gone(t, echo.url)
		if !strings.Contains(p.log.String(), "the drain grace") {
			t.Errorf("the log has %s", p.log)
		}
	})
}

// TestCutRequests: what has not been answered within the grace is tried again
// where that is safe, and else fails.
func TestCutRequests(t *testing.T) {
	bothModes(t, func(t *testing.T, how setup) {
		noLeaks(t)
		a, b := startNamed(t, "a"), startNamed(t, "b")
		how.grace = 50 * time.Millisecond
		p := startProxy(t, app.PeerSetOpts{Addrs: []string{a.url}}, how)
		get, post := p.dial(t), p.dial(t)
		get.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
		post.send("POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
		<-a.arrived
		<-a.arrived
		p.update(t, b.url)
		<-b.arrived
		b.letGo <- struct{}{}
		if r := get.answer("GET"); r.text != "b" {
			t.Errorf("GET: %d %q", r.StatusCode, r.text)
		}
		if r := post.answer("POST"); r.StatusCode != 502 {
			t.Errorf("POST: %d %q", r.StatusCode, r.text)
		}
		p.gone(t, a.url)
		close(a.letGo)
	})
}

// TestPeerComesBack while it drains: it is the peer that it was.
func TestPeerComesBack(t *testing.T) {
	noLeaks(t)
	a, b := startNamed(t, "a"), startNamed(t, "b")
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{a.url, b.url}, Policy: app.PolicyRoundRobin, MaxRequests: 10, MaxPending: 10})
	waits := p.dial(t)
	waits.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
	<-a.arrived
	c := p.dial(t)
	for range 3 {
		p.update(t, b.url)
		c.get("/")
		before := p.peer(a.url)
		p.update(t, b.url, a.url)
		if s := p.peer(a.url); s.State != "up" || s.InFlight != 1 || s.Requests != before.Requests || len(p.set.Peers()) != 2 {
			t.Errorf("%+v, was %+v", s, before)
		}
		for range 2 {
			c.get("/")
		}
		if s := p.peer(a.url); s.Requests != before.Requests+1 {
			t.Errorf("%+v, was %+v", s, before)
		}
	}
	a.letGo <- struct{}{}
	if r := waits.answer("GET"); r.text != "a" {
		t.Errorf("%d %q", r.StatusCode, r.text)
	}
}

// TestStaleConnectionOfALeavingPeer: what such a peer closes goes to another, not
// to it once more.
func TestStaleConnectionOfALeavingPeer(t *testing.T) {
	bothModes(t, func(t *testing.T, how setup) {
		noLeaks(t)
		arrived, letGo := make(chan struct{}), make(chan struct{})
		a := startOrigin(t, func(c *peerConn) {
			c.read()
			c.write(ok("a"))
			c.read()
			arrived <- struct{}{}
			<-letGo
		})
		b := startNamed(t, "b")
		p := startProxy(t, app.PeerSetOpts{Addrs: []string{a.url}, Retries: &app.Retries{On: []string{}}}, how)
		c := p.dial(t)
		c.get("/")
		c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		<-arrived
		p.update(t, b.url)
		close(letGo)
		if r := c.answer("GET"); r.text != "b" || a.conns.Load() != 1 {
			t.Errorf("%d %q, %d connections to the one that left", r.StatusCode, r.text, a.conns.Load())
		}
	})
}

// TestQueueOfALeavingPeer goes on to another.
func TestQueueOfALeavingPeer(t *testing.T) {
	eachLimit(t, func(t *testing.T, opts app.PeerSetOpts, how setup) {
		noLeaks(t)
		a, b := startNamed(t, "a"), startNamed(t, "b")
		opts.Addrs, opts.MaxPending, opts.PendingTimeout = []string{a.url}, 5, app.Duration(time.Minute)
		p := startProxy(t, opts, how)
		var inside, waiting []*client
		for i := range 5 {
			c := p.dial(t)
			path := "/wait"
			if inside = append(inside, c); i >= 2 {
				path, inside, waiting = "/", inside[:2], append(waiting, c)
			}
			c.send("POST " + path + " HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n!")
			if i < 2 {
				<-a.arrived
			} else {
				eventually(t, "it waits", func() bool { return p.set.Waiting() == i-1 })
			}
		}
		p.update(t, b.url)
		for _, c := range waiting {
			if r := c.answer("POST"); r.text != "b!" {
				t.Errorf("%d %q", r.StatusCode, r.text)
			}
		}
		close(a.letGo)
		for _, c := range inside {
			if r := c.answer("POST"); r.text != "a!" {
				t.Errorf("%d %q", r.StatusCode, r.text)
			}
		}
		p.gone(t, a.url)
	})
}

// TestH2CQueueOfALeavingPeer is the same for those that wait for a connection.
func TestH2CQueueOfALeavingPeer(t *testing.T) {
	noLeaks(t)
	arrived, letGo := make(chan struct{}, 10), make(chan struct{})
	a := startH2(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			arrived <- struct{}{}
			select {
			case <-letGo:
			case <-r.Context().Done():
			}
		}
	}, 1)
	b := startNamed(t, "b")
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{a.url}, MaxConnections: 1, MaxPending: 5, PendingTimeout: app.Duration(time.Minute)})
	first, second := p.dial(t), p.dial(t)
	first.get("/") // from now on the proxy knows how many streams there may be
	first.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
	<-arrived
	second.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	eventually(t, "it waits", func() bool { return p.set.H2Waiting() == 1 })
	p.update(t, b.url)
	if r := second.answer("GET"); r.text != "b" {
		t.Errorf("%d %q", r.StatusCode, r.text)
	}
	close(letGo)
	if r := first.answer("GET"); r.StatusCode != 200 {
		t.Errorf("status %d", r.StatusCode)
	}
	p.gone(t, a.url)
}

// TestEmptySet: without peers 503 and Retry-After, and everything is well again
// with the first.
func TestEmptySet(t *testing.T) {
	noLeaks(t)
	a := startNamed(t, "a")
	p := startProxy(t, app.PeerSetOpts{MaxRequests: 1, HealthCheck: &app.HealthCheck{Path: "/"}})
	c := p.dial(t)
	for range 3 {
		if r := c.get("/"); r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
			t.Errorf("%d, Retry-After %q", r.StatusCode, r.Header.Get("Retry-After"))
		}
		p.update(t, a.url)
		if r := c.get("/"); r.text != "a" {
			t.Errorf("%d %q", r.StatusCode, r.text)
		}
		if r := c.post("/", "!"); r.text != "a!" {
			t.Errorf("%d %q", r.StatusCode, r.text)
		}
		p.update(t)
	}
}

// TestStickyClientsMove with the peer that leaves, and stay where they came to.
func TestStickyClientsMove(t *testing.T) {
	noLeaks(t)
	a, b := startNamed(t, "a"), startNamed(t, "b")
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{a.url}, StickyCookie: &app.StickyCookie{}})
	c := p.dial(t)
	cookie := "Cookie: er_peer=" + c.get("/").Cookies()[0].Value
	p.update(t, a.url, b.url)
	for range 5 {
		if r := c.get("/", cookie); r.text != "a" || len(r.Cookies()) != 0 {
			t.Errorf("another peer joined: %q, %v", r.text, r.Cookies())
		}
	}
	p.update(t, b.url)
	r := c.get("/", cookie)
	if r.text != "b" || len(r.Cookies()) != 1 {
		t.Fatalf("%q, %v", r.text, r.Cookies())
	}
	cookie = "Cookie: er_peer=" + r.Cookies()[0].Value
	p.update(t, a.url, b.url)
	for range 5 {
		if r := c.get("/", cookie); r.text != "b" || len(r.Cookies()) != 0 {
			t.Errorf("it came back: %q, %v", r.text, r.Cookies())
		}
	}
}

// TestJoiningPeer: in a set with health checks a new peer gets requests once it
// has been found well, unless there is no other.
func TestJoiningPeer(t *testing.T) {
	noLeaks(t)
	var ready atomic.Bool
	old := startNamed(t, "old")
	fresh := startOrigin(t, func(c *peerConn) {
		answering(func(req *http.Request, _ string) string {
			if req.URL.Path == "/health" && !ready.Load() {
				return "HTTP/1.1 503 Starting\r\nContent-Length: 0\r\n\r\n"
			}
			return ok("fresh")
		})(c)
	})
	checking := make(chan struct{})
	slow := startOrigin(t, func(c *peerConn) {
		answering(func(req *http.Request, _ string) string {
			if req.URL.Path == "/health" {
				<-checking
			}
			return ok("slow")
		})(c)
	})
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{old.url}, HealthCheck: &app.HealthCheck{
		Path: "/health", Interval: app.Duration(50 * time.Millisecond), Timeout: app.Duration(patience), Healthy: 100, Unhealthy: 100}})
	c := p.dial(t)
	p.update(t, old.url, fresh.url)
	eventually(t, "the first check has failed", func() bool { return p.peer(fresh.url).State == "down" })
	for range 20 {
		if r := c.get("/"); r.text != "old" {
			t.Errorf("%d %q", r.StatusCode, r.text)
		}
	}
	ready.Store(true)
	eventually(t, "one success will do", func() bool { return p.peer(fresh.url).State == "up" })
	eventually(t, "it gets requests", func() bool { return c.get("/").text == "fresh" })

	p.update(t, fresh.url, slow.url)
	for range 20 {
		if r := c.get("/"); r.text != "fresh" {
			t.Errorf("%d %q", r.StatusCode, r.text)
		}
	}
	p.update(t, slow.url)
	if s := p.peer(slow.url); s.State != "joining" {
		t.Errorf("%+v", s)
	}
	if r := c.get("/"); r.text != "slow" {
		t.Errorf("for want of others: %d %q", r.StatusCode, r.text)
	}
	close(checking)
	eventually(t, "it is up", func() bool { return p.peer(slow.url).State == "up" })
}

// TestWeightsInPlace: other weights are those of the next request.
func TestWeightsInPlace(t *testing.T) {
	noLeaks(t)
	a, b := startNamed(t, "a"), startNamed(t, "b")
	addrs := []string{a.url, b.url}
	p := startProxy(t, app.PeerSetOpts{Addrs: addrs, Policy: app.PolicyRoundRobin})
	c := p.dial(t)
	for _, weights := range []map[string]int{nil, {a.url: 3}, {a.url: 0}, {b.url: 4}, nil} {
		if err := p.set.Update(addrs, weights); err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		for range 60 {
			got[c.get("/").text]++
		}
		weight := func(addr string) int {
			if w, ok := weights[addr]; ok {
				return w
			}
			return 1
		}
		share := 60 * weight(a.url) / (weight(a.url) + weight(b.url))
		if n := got["a"]; n != share {
			t.Errorf("weights %v: a has %d of 60, want %d", weights, n, share)
		}
	}
	if a.conns.Load() != 1 || b.conns.Load() != 1 {
		t.Errorf("%d and %d connections", a.conns.Load(), b.conns.Load())
	}
}

// TestUnreachablePeersCostNoRequest: what cannot be connected to is tried with
// another peer, POSTs included, and whether their body is kept or streamed.
func TestUnreachablePeersCostNoRequest(t *testing.T) {
	bothModes(t, func(t *testing.T, how setup) {
		noLeaks(t)
		a := startNamed(t, "")
		p := startProxy(t, app.PeerSetOpts{Addrs: []string{a.url, refusing(t)}, Policy: app.PolicyRoundRobin,
			PassiveHealth: &app.PassiveHealth{Off: true}}, how)
		c := p.dial(t)
		long := strings.Repeat("x", 100<<10)
		for range 5 {
			for range 2 {
				for _, body := range []string{"short", long} {
					if r := c.post("/", body); r.text != body {
						t.Errorf("%d with %d bytes", r.StatusCode, len(r.text))
					}
				}
				c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
				if r := c.answer("POST"); r.text != "abc" {
					t.Errorf("chunked: %d %q", r.StatusCode, r.text)
				}
			}
		}
	})
}

// TestStartingPeers: many new peers that do not listen yet cost neither a request
// nor a retry, and get requests as soon as they do.
func TestStartingPeers(t *testing.T) {
	noLeaks(t)
	old := startNamed(t, "old")
	zero := 0
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{old.url}, Retries: &app.Retries{Attempts: &zero}})
	addrs := []string{old.url}
	for range 4 {
		addrs = append(addrs, refusing(t))
	}
	p.update(t, addrs...)
	c := p.dial(t)
	for range 20 {
		if r := c.get("/"); r.text != "old" {
			t.Errorf("%d %q", r.StatusCode, r.text)
		}
	}
	if s := p.peer(addrs[1]); s.State != "joining" {
		t.Errorf("%+v", s)
	}
	ln, err := net.Listen("tcp", strings.TrimPrefix(addrs[1], "http://"))
	if err != nil {
		t.Skipf("the port was taken meanwhile: %v", err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "new") })}
	go s.Serve(ln)
	defer s.Close()
	p.joined(t, addrs[1])
	eventually(t, "it gets requests", func() bool { return c.get("/").text == "new" })
}

// TestPoolsForgetConnections that have ended, whoever ended them.
func TestPoolsForgetConnections(t *testing.T) {
	noLeaks(t)
	short := startOrigin(t, func(c *peerConn) {
		c.read()
		c.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	})
	kept := startNamed(t, "kept")
	h2 := startH2(t, func(http.ResponseWriter, *http.Request) {})
	for _, url := range []string{short.url, kept.url, h2.url} {
		p := startProxy(t, app.PeerSetOpts{Addrs: []string{url}})
		c := p.dial(t)
		for range 3 {
			c.get("/")
			p.status(t)
			if n := p.set.OpenConns(); n > 1 {
				t.Errorf("%s: %d connections", url, n)
			}
			p.set.CloseIdle()
			eventually(t, "there is no connection", func() bool { return p.set.OpenConns() == 0 })
		}
	}
}

func TestNoPeersAtAll(t *testing.T) {
	set, err := upstream.New("test", app.PeerSetOpts{}, upstream.Deps{Log: zerolog.Nop(), Stats: &upstream.Stats{}})
	if err != nil {
		t.Fatal(err)
	}
	if s := set.Peers(); len(s) != 0 {
		t.Errorf("%+v", s)
	}
	set.Close()
}
