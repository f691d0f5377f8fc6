package upstream_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/rs/zerolog"

	"edgerouter/app"
	"edgerouter/upstream"
)

const switchRequest = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, UPGRADE\r\nUpgrade: echo/1, other\r\n\r\n"

const switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo/1\r\n\r\n"

// TestTunnel: bytes that came early on either side are not lost, and a half-close
// passes.
func TestTunnel(t *testing.T) {
	bothModes(t, func(t *testing.T, how setup) {
		noLeaks(t)
		heads := make(chan string, 1)
		o := startOrigin(t, func(c *peerConn) {
			heads <- c.readHead()
			c.write(switched + "early")
			io.Copy(c.Conn, c.in)
			c.write("end")
		})
		p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}}, how)
		c := p.dial(t)
		c.send(switchRequest + "too soon ")
		res := c.head("GET")
		if res.StatusCode != 101 || res.Header.Get("Upgrade") != "echo/1" || res.Header.Get("Connection") != "Upgrade" {
			t.Fatalf("%d %v", res.StatusCode, res.Header)
		}
		if head := <-heads; !strings.Contains(head, "Connection: Upgrade\r\nUpgrade: echo/1, other\r\n") {
			t.Errorf("the peer got %q", head)
		}
		if s := p.set.Peers()[0]; s.InFlight != 1 {
			t.Errorf("%+v", s)
		}
		c.send("later")
		c.Conn.(*net.TCPConn).CloseWrite()
		b, err := io.ReadAll(c.in)
		if err != nil || string(b) != "earlytoo soon laterend" {
			t.Errorf("%q, %v", b, err)
		}
		if s := p.status(t); s != 101 {
			t.Errorf("status %d", s)
		}
		if s := p.set.Peers()[0]; s.InFlight != 0 || s.Failures != 0 || p.stats.Tunnels.Load() != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// TestTunnelEnds: both ends are closed when one is, whichever it is and however.
func TestTunnelEnds(t *testing.T) {
	for name, test := range map[string]struct {
		serve func(c *peerConn)
		end   func(c *client)
	}{
		"client closes": {silent, func(c *client) { c.Close() }},
		"client resets": {silent, func(c *client) { c.Conn.(*net.TCPConn).SetLinger(0); c.Close() }},
		"client closes while the peer sends": {
			func(c *peerConn) {
				for {
					if _, err := io.WriteString(c.Conn, strings.Repeat("x", 1<<10)); err != nil {
						return
					}
				}
			},
			func(c *client) { c.Close() },
		},
		"peer closes": {func(c *peerConn) { c.in.ReadByte() }, func(c *client) { c.send("x"); io.Copy(io.Discard, c.in) }},
		"peer resets": {func(c *peerConn) { c.in.ReadByte(); c.reset() }, func(c *client) { c.send("x"); io.Copy(io.Discard, c.in) }},
		"a half stays open": {
			func(c *peerConn) { c.Conn.(*net.TCPConn).CloseWrite(); io.Copy(io.Discard, c.in) },
			func(c *client) { io.Copy(io.Discard, c.in) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			noLeaks(t)
			over := make(chan struct{})
			o := startOrigin(t, func(c *peerConn) {
				defer close(over)
				c.readHead()
				c.write(switched)
				test.serve(c)
			})
			p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}})
			p.set.SetLinger(50 * time.Millisecond)
			c := p.dial(t)
			c.send(switchRequest)
			c.head("GET")
			test.end(c)
			<-over
			if s := p.status(t); s != 101 {
				t.Errorf("status %d", s)
			}
		})
	}
}

// TestHalfClosedTunnelGoesOn as long as bytes move, even for longer than a silent
// one is waited for.
func TestHalfClosedTunnelGoesOn(t *testing.T) {
	noLeaks(t)
	o := startOrigin(t, func(c *peerConn) {
		c.readHead()
		c.write(switched)
		io.Copy(io.Discard, c.in)
		for range 10 {
			time.Sleep(40 * time.Millisecond)
			c.write("x")
		}
	})
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}})
	p.set.SetLinger(300 * time.Millisecond)
	c := p.dial(t)
	c.send(switchRequest)
	c.head("GET")
	c.Conn.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(c.in); err != nil || len(b) != 10 {
		t.Errorf("%q, %v", b, err)
	}
}

// TestTunnelOutlivesItsSet, and timeouts.request.
func TestTunnelOutlivesItsSet(t *testing.T) {
	bothModes(t, func(t *testing.T, how setup) {
		noLeaks(t)
		o := startOrigin(t, func(c *peerConn) {
			c.readHead()
			c.write(switched)
			io.Copy(c.Conn, c.in)
		})
		p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}, Timeouts: &app.Timeouts{
			Request: app.Duration(150 * time.Millisecond), ResponseHeader: app.Duration(150 * time.Millisecond),
		}}, how)
		c := p.dial(t)
		c.send(switchRequest)
		c.head("GET")
		p.set.Close()
		time.Sleep(200 * time.Millisecond)
		c.send("hello")
		b := make([]byte, 5)
		if _, err := io.ReadFull(c.in, b); err != nil || string(b) != "hello" {
			t.Errorf("%q, %v", b, err)
		}
	})
}

// TestUpgradeRefused: other answers than 101 are ordinary, and the connections go
// on.
func TestUpgradeRefused(t *testing.T) {
	bothModes(t, func(t *testing.T, how setup) {
		noLeaks(t)
		o := startOrigin(t, answering(func(req *http.Request, _ string) string {
			if req.Header.Get("Upgrade") != "" {
				return "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"
			}
			return ok("x")
		}))
		p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}}, how)
		c := p.dial(t)
		c.send(switchRequest)
		if a := c.answer("GET"); a.StatusCode != 403 || a.text != "no" {
			t.Errorf("%d %q", a.StatusCode, a.text)
		}
		if a := c.get("/"); a.text != "x" {
			t.Errorf("then %d %q", a.StatusCode, a.text)
		}
		if n := o.conns.Load(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

// TestSwitchToSomethingElse: a peer may switch only to what was asked for.
func TestSwitchToSomethingElse(t *testing.T) {
	noLeaks(t)
	o := startOrigin(t, func(c *peerConn) {
		c.readHead()
		c.write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n")
		silent(c)
	})
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}})
	c := p.dial(t)
	c.send(switchRequest)
	if a := c.answer("GET"); a.StatusCode != 502 {
		t.Errorf("status %d", a.StatusCode)
	}
}

// TestUpgradesAllowed: websocket by default, others when they are allowed, h2c
// never, nothing with a body. What is not passed on leaves an ordinary request.
func TestUpgradesAllowed(t *testing.T) {
	noLeaks(t)
	o := startOrigin(t, answering(func(req *http.Request, body string) string {
		return ok(req.Header.Get("Upgrade") + "|" + req.Header.Get("Connection") + "|" + body)
	}))
	for _, test := range []struct {
		allowed []string
		asked   []string // values of Upgrade fields
		want    string
	}{
		{nil, []string{"websocket"}, "websocket"},
		{nil, []string{"WebSocket"}, "WebSocket"},
		{nil, []string{"h2c"}, ""},
		{nil, []string{"h2c, x"}, ""},
		{nil, []string{"h2c,websocket"}, "websocket"},
		{nil, []string{"websocket", "h2c"}, "websocket"},
		{nil, []string{"h2c", "websocket"}, "websocket"},
		{nil, []string{" H2C ,, x/1"}, ""},
		{nil, []string{"echo"}, ""},
		{nil, []string{"websocketx"}, ""},
		{nil, []string{"TLS/1.0, HTTP/1.1"}, ""},
		{[]string{}, []string{"websocket"}, ""},
		{[]string{"echo/1"}, []string{"echo/1, echo/2, echo"}, "echo/1"},
		{[]string{"echo", "websocket"}, []string{"x", "echo/7, websocket"}, "echo/7, websocket"},
	} {
		c := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}, Upgrades: test.allowed}, setup{strict: true}).dial(t)
		fields := []string{"Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQAAP__"}
		for _, v := range test.asked {
			fields = append(fields, "Upgrade: "+v)
		}
		want := test.want + "||"
		if test.want != "" {
			want = test.want + "|Upgrade|"
		}
		if a := c.get("/", fields...); a.text != want {
			t.Errorf("%q of %q: the peer saw %q, not %q", test.asked, test.allowed, a.text, want)
		}
		if a := c.post("/", "hi", fields...); a.text != "||hi" {
			t.Errorf("%q with a body: %q", test.asked, a.text)
		}
	}
	for _, wrong := range []string{"", "h2c", "H2C", "HTTP/2", "a b", "a/", "a,b"} {
		if _, err := upstream.New("x", app.PeerSetOpts{Addrs: []string{o.url}, Upgrades: []string{wrong}}, upstream.Deps{Log: zerolog.Nop(), Stats: &upstream.Stats{}}); err == nil || !strings.Contains(err.Error(), "upgrades[0]") {
			t.Errorf("%q is allowed: %v", wrong, err)
		}
	}
}

// TestUpgradeOverHTTP2 is refused in words, where there is no other peer.
func TestUpgradeOverHTTP2(t *testing.T) {
	bothModes(t, func(t *testing.T, how setup) {
		noLeaks(t)
		multiplexed := startH2(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "h2") })
		c := startProxy(t, app.PeerSetOpts{Addrs: []string{multiplexed.url}}, how).dial(t)
		if a := c.get("/", "Connection: Upgrade", "Upgrade: websocket"); a.StatusCode != 501 || !strings.Contains(a.text, "HTTP/2") {
			t.Errorf("%d %q", a.StatusCode, a.text)
		}
		if a := c.get("/"); a.text != "h2" {
			t.Errorf("the connection does not go on: %d %q", a.StatusCode, a.text)
		}
		plain := startOrigin(t, answering(func(req *http.Request, _ string) string { return ok(req.Header.Get("Upgrade")) }))
		c = startProxy(t, app.PeerSetOpts{Addrs: []string{multiplexed.url, plain.url}}, how).dial(t)
		for range 5 {
			if a := c.get("/", "Connection: Upgrade", "Upgrade: websocket"); a.text != "websocket" {
				t.Errorf("with another peer: %d %q", a.StatusCode, a.text)
			}
		}
	})
}

// TestWebSocket with real software at both ends.
func TestWebSocket(t *testing.T) {
	bothModes(t, func(t *testing.T, how setup) {
		noLeaks(t)
		o := startHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
			if err != nil {
				return
			}
			defer ws.CloseNow()
			ws.SetReadLimit(1 << 20)
			for {
				kind, b, err := ws.Read(r.Context())
				if err != nil {
					return
				}
				if ws.Write(r.Context(), kind, b) != nil {
					return
				}
			}
		}))
		p := startProxy(t, app.PeerSetOpts{Addrs: []string{o}}, how)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		transport := &http.Transport{}
		defer transport.CloseIdleConnections()
		ws, _, err := websocket.Dial(ctx, "ws://"+p.addr+"/echo", &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
		if err != nil {
			t.Fatal(err)
		}
		ws.SetReadLimit(1 << 20)
		for _, size := range []int{0, 1, 1 << 10, 300 << 10} {
			sent := bytes.Repeat([]byte("a"), size)
			if err := ws.Write(ctx, websocket.MessageBinary, sent); err != nil {
				t.Fatal(err)
			}
			if _, got, err := ws.Read(ctx); err != nil || !bytes.Equal(got, sent) {
				t.Fatalf("%d bytes: %d came back, %v", size, len(got), err)
			}
		}
		ws.Close(websocket.StatusNormalClosure, "")
		p.status(t)
	})
}
