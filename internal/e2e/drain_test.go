package e2e

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// TestDrainUnderLoad: while clients ask as fast as they can, no request on an
// established connection fails: small ones, slow ones and bodies in both
// directions. A tunnel lives until it ends.
func TestDrainUnderLoad(t *testing.T) {
	sockets := echoOrigin(t)
	bothModes(t, func(t *testing.T, m mode) {
		e := newEdge(t, m, httpOrigin(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				<-time.After(300 * time.Millisecond)
			}
			echo(w, r)
		}), options{})
		tunnels := newEdge(t, m, sockets, options{})
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		ws, _, err := websocket.Dial(ctx, tunnels.url("/"), &websocket.DialOptions{HTTPClient: tunnels.http()})
		if err != nil {
			t.Fatal(err)
		}
		defer ws.CloseNow()

		large := strings.Repeat("x", 300000)
		var clients, warm sync.WaitGroup
		var done atomic.Int64
		for i := range 12 {
			clients.Add(1)
			warm.Add(1)
			go func() {
				defer clients.Done()
				path, body := "/", ""
				switch i % 3 {
				case 1:
					path = "/slow"
				case 2:
					body = large
				}
				untilRefused(t, e, path, body, func(n int) {
					done.Add(1)
					if n == 2 {
						warm.Done()
					}
				})
			}()
		}
		warm.Wait()
		cuts := make(chan int, 2)
		go func() { cuts <- e.server.Shutdown(ctx, 100*time.Millisecond) }()
		go func() { cuts <- tunnels.server.Shutdown(ctx, 0) }()
		clients.Wait()
		if n := <-cuts; n != 0 {
			t.Errorf("%d connections were cut", n)
		}
		// The tunnel works on, and its end is the end of the drain.
		for range 3 {
			ws.Write(ctx, websocket.MessageText, []byte("x"))
			if _, _, err := ws.Read(ctx); err != nil {
				t.Fatal(err)
			}
		}
		ws.Close(websocket.StatusNormalClosure, "")
		if n := <-cuts; n != 0 {
			t.Errorf("%d tunnels were cut", n)
		}
		t.Logf("%d requests, none failed", done.Load())
	})
}

// untilRefused sends requests, on connections that it keeps as long as it may,
// until no new connection can be made.
func untilRefused(t *testing.T, e *edge, path, body string, after func(n int)) {
	n := 0
	for {
		nc, err := net.DialTimeout("tcp", e.addr, patience)
		if err != nil {
			if n < 3 {
				t.Errorf("only %d requests were answered", n)
			}
			return
		}
		c := &http.Client{Transport: &http.Transport{
			DialContext: func() func(context.Context, string, string) (net.Conn, error) {
				once := nc
				return func(context.Context, string, string) (net.Conn, error) {
					if once == nil {
						return nil, errUsedUp
					}
					defer func() { once = nil }()
					return once, nil
				}
			}(),
			MaxIdleConns: 1,
		}}
		for {
			resp, err := c.Post(e.url(path), "text/plain", onlyReader{strings.NewReader(body)})
			if errors.Is(err, errUsedUp) {
				break
			}
			if err != nil {
				t.Errorf("request %d of %s: %v", n, path, err)
				nc.Close()
				return
			}
			got, err := io.ReadAll(resp.Body)
			if err != nil || string(got) != body || resp.StatusCode != 200 {
				t.Errorf("request %d of %s: %d, %d bytes, %v", n, path, resp.StatusCode, len(got), err)
			}
			n++
			after(n)
		}
		nc.Close()
	}
}

var errUsedUp = errors.New("the connection is used up")

// onlyReader keeps net/http from knowing the length and from sending again.
type onlyReader struct{ io.Reader }
