package server_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/router"
	"edgerouter/server"
	"edgerouter/wire"
)

// shutdown drains in the background and delivers the number of connections cut.
func (r *rig) shutdown(grace, linger time.Duration) <-chan int {
	cut := make(chan int, 1)
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	go func() {
		defer cancel()
		cut <- r.server.Shutdown(ctx, linger)
	}()
	return cut
}

func TestDrain(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}, 1), make(chan struct{})
	r := start(t, handler(func(ctx *fasthttp.RequestCtx) {
		if string(ctx.Path()) == "/slow" {
			entered <- struct{}{}
			<-release
		}
		ctx.SetBodyString("ok")
	}))
	idle, slow, late := r.dial(), r.dial(), r.dial()
	idle.open()
	late.open()
	slow.send("GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n")
	<-entered
	cut := r.shutdown(patience, 50*time.Millisecond)
	// While it lingers, connections are taken, and answers say that they close.
	eventually(t, "answers say close", func() bool { return late.get("/").Close })
	late.ended()
	fresh := r.dial()
	if a := fresh.get("/"); !a.Close {
		t.Error("a new connection was not told to close")
	}
	fresh.ended()
	idle.ended()
	select {
	case n := <-cut:
		t.Fatalf("Shutdown did not wait for the request in flight; %d cut", n)
	default:
	}
	eventually(t, "the listener is closed", func() bool {
		c, err := net.Dial("tcp", r.addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(release)
	if a := slow.response("GET"); a.StatusCode != 200 || !a.Close {
		t.Errorf("%d, close %v", a.StatusCode, a.Close)
	}
	slow.ended()
	if n := <-cut; n != 0 {
		t.Errorf("%d connections were cut", n)
	}
}

// TestDrainUnderLoad: no request on an established connection fails, with
// handlers of both kinds.
func TestDrainUnderLoad(t *testing.T) {
	for name, direct := range map[string]bool{"ordinary": false, "direct": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, func(_ *server.Config, e *router.Entry) {
				if !direct {
					return
				}
				e.Direct = true
				e.Handler = func(ctx *fasthttp.RequestCtx) {
					x := wire.From(ctx)
					b := []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n")
					if x.Close {
						b = append(b, "Connection: close\r\n"...)
					}
					x.Respond(200, append(b, "\r\nok"...))
				}
			})
			var clients, warm sync.WaitGroup
			for range 16 {
				clients.Add(1)
				warm.Add(1)
				c := r.dial()
				go func() {
					defer clients.Done()
					for i := 0; ; i++ {
						if i == 50 {
							warm.Done()
						}
						if _, err := io.WriteString(c.Conn, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"); err != nil {
							t.Errorf("request %d: %v", i, err)
							return
						}
						resp, err := http.ReadResponse(c.in, nil)
						if err != nil {
							t.Errorf("request %d: %v", i, err)
							return
						}
						if body, err := io.ReadAll(resp.Body); string(body) != "ok" {
							t.Errorf("request %d: %q, %v", i, body, err)
							return
						}
						if resp.Close {
							return
						}
					}
				}()
			}
			warm.Wait()
			if n := <-r.shutdown(patience, 0); n != 0 {
				t.Errorf("%d connections were cut", n)
			}
			clients.Wait()
		})
	}
}

// slowListener takes a millisecond for each connection, as one does under load.
type slowListener struct{ tcpListener }

func (l slowListener) Accept() (net.Conn, error) {
	time.Sleep(time.Millisecond)
	return l.tcpListener.Accept()
}

// TestBacklogIsServed: connections that the kernel has accepted are not lost.
func TestBacklogIsServed(t *testing.T) {
	t.Parallel()
	r := startOn(t, slowListener{listen(t).(tcpListener)}, nil)
	var clients []*client
	for range 60 {
		c := r.dial()
		c.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
		clients = append(clients, c)
	}
	cut := r.shutdown(patience, 0)
	for i, c := range clients {
		resp, err := http.ReadResponse(c.in, nil)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("connection %d: %d", i, resp.StatusCode)
		}
		c.Close()
	}
	if n := <-cut; n != 0 {
		t.Errorf("%d connections were cut", n)
	}
}

// TestNewConnectionMaySpeak: a connection that was opened just before has time
// for its request.
func TestNewConnectionMaySpeak(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	c := r.dial()
	eventually(t, "it is accepted", func() bool { return r.server.Open() == 1 })
	cut := r.shutdown(patience, 0)
	<-time.After(2 * 200 * time.Millisecond) // an idle one would be closed by now
	if a := c.get("/"); a.StatusCode != 200 || !a.Close {
		t.Errorf("%d, close %v", a.StatusCode, a.Close)
	}
	c.ended()
	if n := <-cut; n != 0 {
		t.Errorf("%d connections were cut", n)
	}
}

// TestGraceEnds: what is left at its end is cut, and its client can tell.
func TestGraceEnds(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}, 2), make(chan struct{})
	r := start(t, func(_ *server.Config, e *router.Entry) {
		e.Handler = func(ctx *fasthttp.RequestCtx) {
			if string(ctx.Path()) == "/tunnel" {
				x := wire.From(ctx)
				x.Respond(101, []byte("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"))
				tunnel := x.Client.Tunnel()
				io.Copy(tunnel, tunnel)
				return
			}
			ctx.SetBodyStream(readerFunc(func(p []byte) (int, error) {
				entered <- struct{}{}
				<-release
				return 0, io.EOF
			}), -1)
		}
	})
	stream, tunnel := r.dial(), r.dial()
	stream.send("GET / HTTP/1.0\r\n\r\n") // its body ends with the connection
	<-entered
	tunnel.send("GET /tunnel HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nearly")
	if resp, err := http.ReadResponse(tunnel.in, nil); err != nil || resp.StatusCode != 101 {
		t.Fatal(err)
	}
	cut := r.shutdown(700*time.Millisecond, 0)
	// A tunnel works on until then.
	for _, want := range []string{"early", "more"} {
		if want == "more" {
			<-time.After(300 * time.Millisecond)
			tunnel.send(want)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(tunnel.in, got); err != nil || string(got) != want {
			t.Errorf("%q through the tunnel, %v", got, err)
		}
	}
	if all, err := io.ReadAll(stream.in); err == nil {
		t.Errorf("a stream that was cut ended cleanly after %q", all)
	}
	io.ReadAll(tunnel.in)
	close(release)
	if n := <-cut; n != 2 {
		t.Errorf("%d connections were cut", n)
	}
}

// TestIdleConnectionsOfAllKinds are closed cleanly, and Shutdown does not wait
// for more.
func TestIdleConnectionsOfAllKinds(t *testing.T) {
	t.Parallel()
	srv, cli := testTLS(t)
	plain := start(t, nil)
	secure := start(t, func(c *server.Config, _ *router.Entry) { c.TLS = srv })
	silent := secure.dial() // never begins its handshake
	var idle []*client
	for range 20 {
		a, b := plain.dial(), tlsDial(t, secure, cli)
		a.open()
		b.open()
		idle = append(idle, a, b)
	}
	began := time.Now()
	cuts := []<-chan int{plain.shutdown(patience, 0), secure.shutdown(patience, 0)}
	for _, c := range idle {
		c.ended()
		c.Close()
	}
	io.ReadAll(bufio.NewReader(silent.Conn))
	for _, cut := range cuts {
		if n := <-cut; n != 0 {
			t.Errorf("%d connections were cut", n)
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestServeAfterShutdown(t *testing.T) {
	r := start(t, nil)
	<-r.shutdown(patience, 0)
	ln := listen(t)
	if err := r.server.Serve(ln, false); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := ln.Accept(); err == nil {
		t.Error("the listener was left open")
	}
}
