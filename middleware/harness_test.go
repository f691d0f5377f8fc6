package middleware

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/router"
	"edgerouter/server"
	"edgerouter/upstream"
)

// patience bounds every wait of these tests; none is expected to use it up.
const patience = 10 * time.Second

// must is the result of a constructor that shall not fail.
func must(t testing.TB) func(w Wrapper, err error) Wrapper {
	return func(w Wrapper, err error) Wrapper {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
}

// request is a RequestCtx as the server fills one in, without a connection.
// fields are "Name: value".
func request(method, target string, fields ...string) *fasthttp.RequestCtx {
	ctx := &fasthttp.RequestCtx{}
	ctx.Init2(nil, nil, false)
	ctx.Request.Header.SetMethod(method)
	ctx.Request.Header.SetRequestURI(target)
	ctx.Request.Header.SetHost("app.example")
	ctx.Request.Header.Set("X-Forwarded-Proto", "http")
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		ctx.Request.Header.Add(name, value)
	}
	from(ctx, "203.0.113.7")
	return ctx
}

// from says who the client is.
func from(ctx *fasthttp.RequestCtx, ip string) { ctx.SetRemoteAddr(&net.TCPAddr{IP: net.ParseIP(ip)}) }

// spy is a backend that tells whether it was asked, and what for.
type spy struct {
	asked  int
	target string
	header fasthttp.RequestHeader
	answer func(ctx *fasthttp.RequestCtx)
}

func (s *spy) serve(ctx *fasthttp.RequestCtx) {
	s.asked++
	s.target = string(ctx.Request.Header.RequestURI())
	ctx.Request.Header.CopyTo(&s.header)
	if s.answer != nil {
		s.answer(ctx)
	}
}

// closingStream counts how often it is closed.
type closingStream struct {
	io.Reader
	closed int
}

func (s *closingStream) Close() error { s.closed++; return nil }

// edge is wrappers around a peer_set behind a real server on a loopback port.
type edge struct {
	addr string
	srv  *server.Server
	log  strings.Builder
}

// Observe makes edge a router.Observer.
func (*edge) Observe([]byte, int, time.Duration) {}

// startEdge serves origin through wrap. change may alter the options of the
// peer_set.
func startEdge(t testing.TB, wrap Wrapper, origin http.Handler, change ...func(*app.PeerSetOpts)) *edge {
	t.Helper()
	return startEdgeBehind(t, nil, wrap, origin, change...)
}

// startEdgeBehind is startEdge for an edge behind proxies that it trusts.
func startEdgeBehind(t testing.TB, trusted []netip.Prefix, wrap Wrapper, origin http.Handler, change ...func(*app.PeerSetOpts)) *edge {
	t.Helper()
	peer := httptest.NewServer(origin)
	t.Cleanup(peer.Close)
	opts := app.PeerSetOpts{Addrs: []string{peer.URL}, PassHostHeader: true}
	for _, f := range change {
		f(&opts)
	}
	set, err := upstream.New("test", opts, upstream.Deps{Log: zerolog.Nop(), Stats: &upstream.Stats{}})
	if err != nil {
		t.Fatal(err)
	}
	e := &edge{}
	entry := &router.Entry{App: "test", Handler: wrap(set.Handler(false)), AllowPlain: true, Observer: e}
	e.srv = server.New(server.Config{
		Lookup:    func(_, _ []byte, _ router.Attributes) *router.Entry { return entry },
		Unmatched: e, Log: zerolog.New(&e.log), TrustedProxies: trusted,
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e.addr = ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- e.srv.Serve(ln, false) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		e.srv.Shutdown(ctx, 0)
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		set.Close()
		if n := e.srv.Stats.Panics.Load(); n > 0 {
			t.Errorf("%d panics:\n%s", n, e.log.String())
		}
	})
	return e
}

// client is one connection to an edge, in raw bytes.
type client struct {
	t testing.TB
	net.Conn
	in *bufio.Reader
}

func (e *edge) dial(t testing.TB) *client {
	t.Helper()
	nc, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	return &client{t: t, Conn: nc, in: bufio.NewReader(nc)}
}

func (c *client) send(format string, args ...any) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.Conn, format, args...); err != nil {
		c.t.Fatalf("sending: %v", err)
	}
}

// head reads the head of a response; its Body reads on.
func (c *client) head(method string) *http.Response {
	c.t.Helper()
	res, err := http.ReadResponse(c.in, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("reading a response: %v", err)
	}
	return res
}

// answer is a response with its body read.
type answer struct {
	*http.Response
	body string
}

func (c *client) answer(method string) answer {
	c.t.Helper()
	res := c.head(method)
	b, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatalf("reading the body of a %d: %v (after %d bytes)", res.StatusCode, err, len(b))
	}
	return answer{res, string(b)}
}

// get asks for a target; fields are whole lines.
func (c *client) get(target string, fields ...string) answer {
	c.t.Helper()
	c.send("GET %s HTTP/1.1\r\nHost: app.example\r\n%s\r\n", target, lines(fields))
	return c.answer("GET")
}

func lines(fields []string) string {
	if len(fields) == 0 {
		return ""
	}
	return strings.Join(fields, "\r\n") + "\r\n"
}

// eventually waits for a condition that other goroutines bring about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never came that %s", what)
		}
	}
}

// noLeaks, called first in a test, checks at its very end that no goroutine and
// no open file is left of it, but for idle connections that are allowed.
func noLeaks(t testing.TB, idle ...int) {
	t.Helper()
	goroutines, files := len(stacks()), openFiles()
	for _, n := range idle {
		files += n
	}
	t.Cleanup(func() {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		if t.Failed() {
			return
		}
		var now []string
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
			if now = stacks(); len(now) <= goroutines && openFiles() <= files {
				return
			}
		}
		t.Errorf("%d goroutines before, %d after; %d open files before, %d after:\n%s",
			goroutines, len(now), files, openFiles(), strings.Join(now, "\n\n"))
	})
}

// stacks are those of all goroutines but the ones by which fasthttp's HostClients
// close idle connections, which end by themselves.
func stacks() []string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var list []string
	for s := range strings.SplitSeq(strings.TrimSpace(string(buf)), "\n\n") {
		if !strings.Contains(s, "HostClient).connsCleaner") {
			list = append(list, s)
		}
	}
	return list
}

func openFiles() int {
	list, _ := os.ReadDir("/proc/self/fd")
	return len(list)
}

// allocates checks how often f allocates once it is warm.
func allocates(t *testing.T, want float64, f func()) {
	t.Helper()
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for range 10 {
		f()
	}
	if n := testing.AllocsPerRun(200, f); n > want {
		t.Errorf("%v allocations, want %v", n, want)
	}
}

// refused checks the error of a constructor.
func refused(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want one with %q", err, want)
	}
}

// closeWrite ends what a client sends.
func closeWrite(t *testing.T, c *client) {
	t.Helper()
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
}
