package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/app"
	"edgerouter/internal/testkit"
	"edgerouter/router"
	"edgerouter/server"
	"edgerouter/upstream"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// mode is how the backend is asked: on the wire, or through ctx.Response as
// behind a middleware.
type mode bool

const (
	direct     mode = true
	structured mode = false
)

// bothModes runs f with each of them.
func bothModes(t *testing.T, f func(t *testing.T, m mode)) {
	t.Run("direct", func(t *testing.T) { t.Parallel(); f(t, direct) })
	t.Run("structured", func(t *testing.T) { t.Parallel(); f(t, structured) })
}

// edge is a server in front of a peer_set.
type edge struct {
	t      testing.TB
	server *server.Server
	stats  *upstream.Stats
	addr   string
	client *tls.Config // nil on plain edges
}

// options of an edge.
type options struct {
	tls    bool
	peers  func(*app.PeerSetOpts)
	server func(*server.Config)
}

// newEdge serves the peer at an address such as "http://127.0.0.1:1234".
func newEdge(t testing.TB, m mode, peer string, o options) *edge {
	t.Helper()
	e := &edge{t: t, stats: &upstream.Stats{}}
	opts := app.PeerSetOpts{Addrs: []string{peer}, PassHostHeader: true, RequestTrailers: true}
	if o.peers != nil {
		o.peers(&opts)
	}
	set, err := upstream.New("app", opts, upstream.Deps{Log: zerolog.Nop(), Stats: e.stats})
	if err != nil {
		t.Fatal(err)
	}
	table, conflicts := router.Build([]*router.Entry{{
		App: "app", Kind: router.AnyHost, PathPrefix: "/", AllowPlain: true,
		Direct: bool(m), Handler: set.Handler(bool(m)), Observer: unobserved{},
	}}, nil)
	if len(conflicts) > 0 {
		t.Fatal(conflicts)
	}
	cfg := server.Config{Lookup: table.Match, Unmatched: unobserved{}, Log: zerolog.Nop()}
	if o.tls {
		cfg.TLS, e.client = testkit.TLS(t, "a.test")
	}
	if o.server != nil {
		o.server(&cfg)
	}
	e.server = server.New(cfg)
	ln, err := server.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e.addr = ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- e.server.Serve(ln, o.tls) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		e.server.Shutdown(ctx, 0)
		set.Close()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return e
}

type unobserved struct{}

func (unobserved) Observe([]byte, int, time.Duration) {}

// url is where a client finds the edge.
func (e *edge) url(path string) string {
	if e.client != nil {
		return "https://" + e.addr + path
	}
	return "http://" + e.addr + path
}

// http is a client of the edge; it does not go on to new connections by itself.
func (e *edge) http() *http.Client {
	tr := &http.Transport{TLSClientConfig: e.client, DisableCompression: true}
	e.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// httpOrigin is a peer made of net/http.
func httpOrigin(t testing.TB, h http.HandlerFunc) string {
	s := httptest.NewServer(h)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s.URL
}

// echo answers with the request's body. It reads all of it first: net/http ends
// the reading when the response begins.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	w.Write(body)
}

// rawOrigin is a peer that is given each connection.
func rawOrigin(t testing.TB, serve func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(2 * patience))
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return "http://" + ln.Addr().String()
}

// scripted reads one request off each connection, answers with the bytes, and
// closes: "reset" true with a reset.
func scripted(t testing.TB, answer string, reset bool) string {
	return rawOrigin(t, func(c net.Conn) {
		req, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		io.Copy(io.Discard, req.Body)
		io.WriteString(c, answer)
		if reset {
			c.(*net.TCPConn).SetLinger(0)
		}
	})
}

// raw is a raw connection of a client.
type raw struct {
	t testing.TB
	net.Conn
	in *bufio.Reader
}

func (e *edge) dial() *raw {
	e.t.Helper()
	nc, err := net.Dial("tcp", e.addr)
	if err != nil {
		e.t.Fatal(err)
	}
	if e.client != nil {
		nc = tls.Client(nc, e.client)
	}
	e.t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	return &raw{e.t, nc, bufio.NewReader(nc)}
}

func (c *raw) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, s); err != nil {
		c.t.Fatalf("sending %.60q: %v", s, err)
	}
}

// head reads the head of a response.
func (c *raw) head(method string) *http.Response {
	c.t.Helper()
	resp, err := http.ReadResponse(c.in, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("reading a response: %v", err)
	}
	return resp
}

// response reads a response with its body.
func (c *raw) response(method string) (*http.Response, string) {
	c.t.Helper()
	resp := c.head(method)
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("reading the body of a %d: %v", resp.StatusCode, err)
	}
	return resp, string(body)
}

func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: still not so after %v", what, patience)
		}
	}
}
