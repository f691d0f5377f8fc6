package upstream_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/app"
	"edgerouter/upstream"
)

func TestNewRefuses(t *testing.T) {
	good := []string{"http://127.0.0.1"}
	for want, opts := range map[string]app.PeerSetOpts{
		"addrs: \"ftp://x\"":         {Addrs: []string{"ftp://x"}},
		"retries.on: \"500\"":        {Addrs: good, Retries: &app.Retries{On: []string{"500"}}},
		"tls_config.ca_file":         {Addrs: good, TLSConfig: &app.TLSConfig{CAFile: "/nowhere/ca.pem"}},
		"headers_to_origin: \"X Y\"": {Addrs: good, HeadersToOrigin: map[string]string{"X Y": "1"}},
		"headers_to_origin: \"A\" is not the name of a field, or its value has a control character": {Addrs: good, HeadersToOrigin: map[string]string{"A": "1\r\nB: 2"}},
		"headers_to_origin: \"Content-length\"":                                                     {Addrs: good, HeadersToOrigin: map[string]string{"Content-length": "1"}},
		"headers_to_origin: \"Host\"":                                                               {Addrs: good, HeadersToOrigin: map[string]string{"Host": "a b"}},
		"response_headers.set: \"Connection\"":                                                      {Addrs: good, ResponseHeaders: &app.ResponseHeaders{Set: map[string]string{"Connection": "close"}}},
		"policy: \"best\"":                                                                          {Addrs: good, Policy: "best"},
		"health_check.status":                                                                       {Addrs: good, HealthCheck: &app.HealthCheck{Path: "/", Status: "ok"}},
	} {
		set, err := upstream.New("test", opts, upstream.Deps{Log: zerolog.Nop(), Stats: &upstream.Stats{}})
		if err == nil || set != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, %v, want %s", set, err, want)
		}
	}
}

// TestClose: idle connections end, requests in flight go on, and stragglers are
// still served, on connections that are not kept.
func TestClose(t *testing.T) {
	bothModes(t, func(t *testing.T, how setup) {
		noLeaks(t)
		arrived, letGo := make(chan struct{}), make(chan struct{})
		closed := make(chan struct{}, 10)
		o := startOrigin(t, func(c *peerConn) {
			answering(func(req *http.Request, _ string) string {
				if req.URL.Path == "/wait" {
					arrived <- struct{}{}
					<-letGo
				}
				return ok("x")
			})(c)
			closed <- struct{}{}
		})
		p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}}, how)
		waiting := p.dial(t)
		waiting.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
		<-arrived
		c := p.dial(t)
		c.get("/")
		p.set.Close()
		<-closed // the idle one
		if a := c.get("/"); a.StatusCode != 200 {
			t.Errorf("after Close: %d", a.StatusCode)
		}
		<-closed
		close(letGo)
		if a := waiting.answer("GET"); a.StatusCode != 200 {
			t.Errorf("in flight: %d", a.StatusCode)
		}
		<-closed
	})
}

// TestOtherAddresses: when a peer's name has got other addresses, no kept
// connection is used any more, nor those that are in use just then.
func TestOtherAddresses(t *testing.T) {
	noLeaks(t)
	arrived, letGo := make(chan struct{}), make(chan struct{})
	closed := make(chan struct{}, 10)
	o := startOrigin(t, func(c *peerConn) {
		answering(func(req *http.Request, _ string) string {
			if req.URL.Path == "/wait" {
				arrived <- struct{}{}
				<-letGo
			}
			return ok("x")
		})(c)
		closed <- struct{}{}
	})
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}})
	waiting, c := p.dial(t), p.dial(t)
	waiting.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
	<-arrived
	c.get("/")
	p.status(t)
	p.set.CloseIdle()
	<-closed
	close(letGo)
	waiting.answer("GET")
	<-closed
	for range 2 {
		c.get("/")
		p.status(t)
	}
	if n := o.conns.Load(); n != 3 {
		t.Errorf("%d connections, want 3", n)
	}
}

// TestPeerLeavesDuringTheBody: a peer that was chosen before the client's body
// came is not used if it is out of service by then.
func TestPeerLeavesDuringTheBody(t *testing.T) {
	noLeaks(t)
	serve := func(name string) func(*peerConn) {
		return answering(func(*http.Request, string) string { return ok(name) })
	}
	a, b := startOrigin(t, serve("a")), startOrigin(t, serve("b"))
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{a.url, b.url}, Policy: app.PolicyHash, HashOn: "path"})
	path, c := "", p.dial(t)
	for path == "" || c.get(path).text != "a" {
		path += "/x"
	}
	c.send("POST " + path + " HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
	if res := c.head("POST"); res.StatusCode != 100 {
		t.Fatalf("status %d", res.StatusCode)
	}
	p.update(t, b.url)
	c.send("hi")
	if r := c.answer("POST"); r.text != "b" {
		t.Errorf("%d from %q", r.StatusCode, r.text)
	}
	p.update(t)
	if r := c.get("/"); r.StatusCode != 503 {
		t.Errorf("with no peer left: %d", r.StatusCode)
	}
}

// TestHealthChecks: a peer that fails them gets no request until it is well, and
// with none left the client is told at once.
func TestHealthChecks(t *testing.T) {
	noLeaks(t)
	sick := make(chan bool, 1)
	sick <- false
	o := startOrigin(t, answering(func(req *http.Request, _ string) string {
		s := <-sick
		sick <- s
		if s && req.URL.Path == "/health" {
			return "HTTP/1.1 500 Sick\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
		}
		return ok("x")
	}))
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}, HealthCheck: &app.HealthCheck{
		Path: "/health", Interval: app.Duration(10 * time.Millisecond), Healthy: 1, Unhealthy: 1,
	}})
	state := func(want string) {
		t.Helper()
		eventually(t, "the peer is "+want, func() bool { return p.set.Peers()[0].State == want })
	}
	c := p.dial(t)
	state("up")
	c.get("/")
	<-sick
	sick <- true
	state("down")
	if a := c.get("/"); a.StatusCode != 503 || a.Header.Get("Retry-After") == "" || !strings.Contains(a.text, "no peer") {
		t.Errorf("%d %q", a.StatusCode, a.text)
	}
	<-sick
	sick <- false
	state("up")
	if a := c.get("/"); a.StatusCode != 200 {
		t.Errorf("status %d", a.StatusCode)
	}
}

// TestWeightZero: a peer of weight 0 keeps what it has begun and its sticky
// clients, and gets nobody else.
func TestWeightZero(t *testing.T) {
	noLeaks(t)
	serve := func(name string) func(*peerConn) {
		return answering(func(*http.Request, string) string { return ok(name) })
	}
	a, b := startOrigin(t, serve("a")), startOrigin(t, serve("b"))
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{a.url, b.url}, StickyCookie: &app.StickyCookie{}, Policy: app.PolicyRoundRobin})
	c := p.dial(t)
	cookie := ""
	for cookie == "" {
		if r := c.get("/"); r.text == "a" {
			cookie = "Cookie: er_peer=" + r.Cookies()[0].Value
		}
	}
	if err := p.set.Update([]string{a.url, b.url}, map[string]int{a.url: 0}); err != nil {
		t.Fatal(err)
	}
	if s := p.set.Peers()[0].State; s != "draining" {
		t.Errorf("state %s", s)
	}
	for range 5 {
		if r := c.get("/"); r.text != "b" {
			t.Errorf("a new client went to %q", r.text)
		}
		if r := c.get("/", cookie); r.text != "a" {
			t.Errorf("a sticky client went to %q", r.text)
		}
	}
	a.stop()
	if r := c.get("/", cookie); r.StatusCode != 200 || r.text != "b" || len(r.Cookies()) != 1 {
		t.Errorf("after it has gone: %d from %q", r.StatusCode, r.text)
	}
}

// TestPeersComeAndGoUnderLoad: peers are stopped and started while many clients
// ask, and no request without a body fails.
func TestPeersComeAndGoUnderLoad(t *testing.T) {
	noLeaks(t)
	steady := startOrigin(t, answering(func(*http.Request, string) string { return ok("x") }))
	// closes its connections whenever it likes, after a response.
	moody := startOrigin(t, func(c *peerConn) {
		for range 3 {
			req, _ := c.read()
			if req == nil {
				return
			}
			c.write(ok("x"))
		}
	})
	zero := 0
	for name, retries := range map[string]*app.Retries{"retries": nil, "no retries": {Attempts: &zero}} {
		t.Run(name, func(t *testing.T) {
			p := startProxy(t, app.PeerSetOpts{Addrs: []string{steady.url, moody.url}, Retries: retries})
			done := make(chan string, 8)
			for range cap(done) {
				c := p.dial(t)
				go func() {
					request := "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
					for range 300 {
						io.WriteString(c.Conn, request)
						res, err := http.ReadResponse(c.in, nil)
						if err != nil {
							done <- err.Error()
							return
						}
						io.Copy(io.Discard, res.Body)
						if res.StatusCode != 200 {
							done <- res.Status
							return
						}
					}
					done <- ""
				}()
			}
			for range cap(done) {
				if failure := <-done; failure != "" {
					t.Error(failure)
				}
			}
			for _, s := range p.set.Peers() {
				if s.InFlight != 0 || s.Failures != 0 {
					t.Errorf("%+v", s)
				}
			}
		})
	}
}
