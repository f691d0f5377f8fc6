package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"edgerouter/app"
)

// echoOrigin accepts WebSockets and sends back what comes; /leave closes after
// the first message, and without an upgrade it answers 426.
func echoOrigin(t testing.TB) string {
	return httpOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refuse" {
			http.Error(w, "not you", http.StatusForbidden)
			return
		}
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"echo"}, CompressionMode: websocket.CompressionContextTakeover})
		if err != nil {
			return
		}
		defer ws.CloseNow()
		ws.SetReadLimit(4 << 20)
		for {
			kind, data, err := ws.Read(r.Context())
			if err != nil {
				return
			}
			if ws.Write(r.Context(), kind, data) != nil {
				return
			}
			if r.URL.Path == "/leave" {
				ws.Close(websocket.StatusGoingAway, "that was it")
				return
			}
		}
	})
}

func TestWebSocket(t *testing.T) {
	origin := echoOrigin(t)
	for _, secure := range []bool{false, true} {
		bothModes(t, func(t *testing.T, m mode) {
			e := newEdge(t, m, origin, options{tls: secure})
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			opts := &websocket.DialOptions{HTTPClient: e.http(), Subprotocols: []string{"echo"}, CompressionMode: websocket.CompressionContextTakeover}
			ws, _, err := websocket.Dial(ctx, e.url("/a"), opts)
			if err != nil {
				t.Fatal(err)
			}
			defer ws.CloseNow()
			ws.SetReadLimit(4 << 20)
			if ws.Subprotocol() != "echo" {
				t.Errorf("the subprotocol is %q", ws.Subprotocol())
			}
			for _, size := range []int{0, 5, 1000, 70000, 2 << 20} {
				sent := bytes.Repeat([]byte("w"), size)
				go ws.Write(ctx, websocket.MessageBinary, sent)
				_, got, err := ws.Read(ctx)
				if err != nil || !bytes.Equal(sent, got) {
					t.Fatalf("%d bytes came back as %d, %v", size, len(got), err)
				}
			}
			if err := ws.Close(websocket.StatusNormalClosure, "bye"); err != nil {
				t.Errorf("the closing handshake: %v", err)
			}
			// The other side ends it.
			ws, _, err = websocket.Dial(ctx, e.url("/leave"), opts)
			if err != nil {
				t.Fatal(err)
			}
			defer ws.CloseNow()
			ws.Write(ctx, websocket.MessageText, []byte("x"))
			ws.Read(ctx)
			if _, _, err = ws.Read(ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
				t.Errorf("the peer left, and the client sees %v", err)
			}
			// A refusal is an ordinary response.
			_, resp, err := websocket.Dial(ctx, e.url("/refuse"), opts)
			if err == nil || resp == nil || resp.StatusCode != 403 {
				t.Errorf("a refused upgrade: %v, %v", resp, err)
			}
			eventually(t, "the tunnels are counted", func() bool { return e.stats.Tunnels.Load() == 2 })
			eventually(t, "their connections end", func() bool { return e.server.Open() <= 1 })
		})
	}
}

// TestTunnelBytes: bytes that come early on either side are not lost, an end of
// one direction is passed on, and both end in the end.
func TestTunnelBytes(t *testing.T) {
	bothModes(t, func(t *testing.T, m mode) {
		big := strings.Repeat("b", 300000)
		origin := rawOrigin(t, func(c net.Conn) {
			in := bufio.NewReader(c)
			req, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if req.Header.Get("Upgrade") != "Own-Protocol" || !strings.EqualFold(req.Header.Get("Connection"), "upgrade") {
				t.Errorf("the peer is asked for %q by %q", req.Header.Get("Upgrade"), req.Header.Get("Connection"))
			}
			io.WriteString(c, "HTTP/1.1 101 Own\r\nConnection: Upgrade\r\nUpgrade: Own-Protocol\r\nX-A: 1\r\n\r\nearly from the peer;")
			got, err := io.ReadAll(in) // until the client's end
			fmt.Fprintf(c, "got %d %v;%s", len(got), err, big)
		})
		e := newEdge(t, m, origin, options{peers: func(o *app.PeerSetOpts) { o.Upgrades = []string{"own-protocol"} }})
		for _, apart := range []bool{false, true} {
			c := e.dial()
			c.send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive, upgrade\r\nUPGRADE: Own-Protocol\r\n\r\n")
			if !apart {
				c.send("early")
			}
			resp := c.head("GET")
			if resp.StatusCode != 101 || resp.Header.Get("Upgrade") != "Own-Protocol" || resp.Header.Get("X-A") != "1" {
				t.Fatalf("%d %v", resp.StatusCode, resp.Header)
			}
			if apart {
				c.send("early")
			}
			c.send(big)
			c.Conn.(*net.TCPConn).CloseWrite()
			rest, err := io.ReadAll(c.in)
			if want := "early from the peer;got 300005 <nil>;" + big; string(rest) != want || err != nil {
				t.Errorf("got %.80q and %d bytes in all, %v", rest, len(rest), err)
			}
		}
	})
}

// TestQuietTunnel: no time-out of requests applies to it, and it is not taken for
// a client that has left.
func TestQuietTunnel(t *testing.T) {
	t.Parallel()
	e := newEdge(t, direct, echoOrigin(t), options{server: shortTimeouts})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, e.url("/"), &websocket.DialOptions{HTTPClient: e.http()})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	for range 2 {
		<-time.After(time.Second)
		ws.Write(ctx, websocket.MessageText, []byte("still here"))
		if _, got, err := ws.Read(ctx); err != nil || string(got) != "still here" {
			t.Fatalf("%q, %v", got, err)
		}
	}
}
