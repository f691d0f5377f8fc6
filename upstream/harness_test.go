package upstream_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/internal/testkit"
	"edgerouter/router"
	"edgerouter/server"
	"edgerouter/upstream"
)

// patience bounds every wait of these tests; none is expected to use it up.
const patience = 10 * time.Second

// proxy is a Set behind a real server on a loopback port.
type proxy struct {
	set      *upstream.Set
	srv      *server.Server
	stats    *upstream.Stats
	addr     string
	log      *testkit.Buffer
	observed chan int // status of each request, as observed after its end
}

// setup changes how startProxy builds; wrap makes the set a structured backend.
type setup struct {
	wrap   func(fasthttp.RequestHandler) fasthttp.RequestHandler
	limits server.Limits
	grace  time.Duration // Deps.DrainGrace
	strict bool          // no protocols to switch to beyond the defaults
}

func startProxy(t testing.TB, opts app.PeerSetOpts, with ...setup) *proxy {
	t.Helper()
	var how setup
	if len(with) > 0 {
		how = with[0]
	}
	if opts.Upgrades == nil && !how.strict {
		opts.Upgrades = []string{"echo", "other", "websocket"}
	}
	p := &proxy{stats: &upstream.Stats{}, log: &testkit.Buffer{}, observed: make(chan int, 1024)}
	set, err := upstream.New("test", opts, upstream.Deps{Log: zerolog.New(p.log), Stats: p.stats, DrainGrace: how.grace})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	p.set = set
	entry := &router.Entry{App: "test", Handler: set.Handler(how.wrap == nil), Direct: how.wrap == nil, AllowPlain: true, Observer: p}
	if how.wrap != nil {
		entry.Handler = how.wrap(entry.Handler)
	}
	p.srv = server.New(server.Config{
		Lookup:    func(_, _ []byte, _ router.Attributes) *router.Entry { return entry },
		Unmatched: p, Log: zerolog.Nop(), Limits: how.limits,
	})
	ln := listen(t)
	p.addr = ln.Addr().String()
	served := make(chan error, 1)
	// Without the listener's deadlines Shutdown closes it at once.
	go func() { served <- p.srv.Serve(struct{ net.Listener }{ln}, false) }()
	t.Cleanup(func() {
		// The clients have gone; most connections are about to end.
		for end := time.Now().Add(300 * time.Millisecond); p.srv.Open() > 0 && time.Now().Before(end); {
			time.Sleep(100 * time.Microsecond)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		p.srv.Shutdown(ctx, 0)
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		set.Close()
	})
	return p
}

// update makes addrs the peers of the set.
func (p *proxy) update(t testing.TB, addrs ...string) {
	t.Helper()
	if err := p.set.Update(addrs, nil); err != nil {
		t.Fatalf("Update: %v", err)
	}
}

// peer is the state of the one at addr; "" when there is none.
func (p *proxy) peer(addr string) (s upstream.PeerStatus) {
	for _, s := range p.set.Peers() {
		if s.Addr == addr {
			return s
		}
	}
	return s
}

// Observe makes proxy a router.Observer.
func (p *proxy) Observe(_ []byte, code int, _ time.Duration) {
	select {
	case p.observed <- code:
	default:
	}
}

// status waits for the next request that has ended and returns its status.
func (p *proxy) status(t testing.TB) int {
	t.Helper()
	select {
	case code := <-p.observed:
		return code
	case <-time.After(patience):
		t.Fatal("no request ended")
		return 0
	}
}

// statuses waits until n requests have ended: what a test asks of the set
// afterwards is what they left.
func (p *proxy) statuses(t testing.TB, n int) {
	t.Helper()
	for range n {
		p.status(t)
	}
}

// client is one connection to a proxy, in raw bytes.
type client struct {
	t testing.TB
	net.Conn
	in *bufio.Reader
}

func (p *proxy) dial(t testing.TB) *client {
	t.Helper()
	nc, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	return &client{t: t, Conn: nc, in: bufio.NewReader(nc)}
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, s); err != nil {
		c.t.Fatalf("sending %.60q: %v", s, err)
	}
}

// head reads a response's head; its Body reads on.
func (c *client) head(method string) *http.Response {
	c.t.Helper()
	res, err := http.ReadResponse(c.in, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("reading a response: %v", err)
	}
	return res
}

// answer is a response read to its end.
type answer struct {
	*http.Response
	text string
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

// get asks for a path and reads the answer.
func (c *client) get(path string, fields ...string) answer {
	c.t.Helper()
	c.send("GET " + path + " HTTP/1.1\r\nHost: example.com\r\n" + lines(fields) + "\r\n")
	return c.answer("GET")
}

func (c *client) post(path, body string, fields ...string) answer {
	c.t.Helper()
	c.send(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: example.com\r\nContent-Length: %d\r\n%s\r\n%s", path, len(body), lines(fields), body))
	return c.answer("POST")
}

func lines(fields []string) string {
	if len(fields) == 0 {
		return ""
	}
	return strings.Join(fields, "\r\n") + "\r\n"
}

// closed checks that the connection ends, and cleanly, without another byte.
func (c *client) closed() {
	c.t.Helper()
	if b, err := io.ReadAll(c.in); err != nil || len(b) > 0 {
		c.t.Fatalf("want a clean end, got %q, %v", b, err)
	}
}

// gone closes the client's connection as a browser does that is closed.
func (c *client) gone() { c.Conn.Close() }

// origin is a peer that does on each connection what a test says.
type origin struct {
	t     testing.TB
	ln    net.Listener
	url   string
	conns atomic.Int64 // accepted so far

	mu   sync.Mutex
	open map[net.Conn]struct{}
	busy sync.WaitGroup
	done bool
}

// peerConn is a connection as an origin sees it.
type peerConn struct {
	net.Conn
	in *bufio.Reader
	n  int64 // first connection: 1
}

// startOrigin runs serve for each connection; it is closed when serve returns.
func startOrigin(t testing.TB, serve func(c *peerConn)) *origin {
	t.Helper()
	o := &origin{t: t, ln: listen(t), open: map[net.Conn]struct{}{}}
	o.url = "http://" + o.ln.Addr().String()
	o.busy.Add(1)
	go o.accept(o.ln, serve)
	t.Cleanup(o.stop)
	return o
}

func (o *origin) accept(ln net.Listener, serve func(c *peerConn)) {
	defer o.busy.Done()
	for {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		n := o.conns.Add(1)
		o.mu.Lock()
		if o.done {
			o.mu.Unlock()
			nc.Close()
			return
		}
		o.open[nc] = struct{}{}
		o.busy.Add(1)
		o.mu.Unlock()
		go func() {
			defer o.busy.Done()
			nc.SetDeadline(time.Now().Add(patience))
			serve(&peerConn{Conn: nc, in: bufio.NewReader(nc), n: n})
			nc.Close()
			o.mu.Lock()
			delete(o.open, nc)
			o.mu.Unlock()
		}()
	}
}

// quiet waits until the peer has closed all its connections.
func (o *origin) quiet() {
	o.t.Helper()
	eventually(o.t, "the peer has closed its connections", func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return len(o.open) == 0
	})
}

// stop closes everything and waits for the handlers.
func (o *origin) stop() {
	o.ln.Close()
	o.mu.Lock()
	o.done = true
	for nc := range o.open {
		nc.Close()
	}
	o.mu.Unlock()
	o.busy.Wait()
}

// read reads a request with its body; nil at the end of the connection.
func (c *peerConn) read() (*http.Request, string) {
	req, err := http.ReadRequest(c.in)
	if err != nil {
		return nil, ""
	}
	b, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, ""
	}
	return req, string(b)
}

// readHead reads a request's head as it came.
func (c *peerConn) readHead() string {
	var b strings.Builder
	for {
		line, err := c.in.ReadString('\n')
		b.WriteString(line)
		if err != nil || line == "\r\n" {
			return b.String()
		}
	}
}

func (c *peerConn) write(s string) { io.WriteString(c.Conn, s) }

// reset closes the connection so that the other side sees a reset.
func (c *peerConn) reset() {
	c.Conn.(*net.TCPConn).SetLinger(0)
	c.Conn.Close()
}

// ok is a small response.
func ok(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\nContent-Type: text/plain\r\n\r\n%s", len(body), body)
}

// answering serves every request of a connection with respond's bytes.
func answering(respond func(req *http.Request, body string) string) func(*peerConn) {
	return func(c *peerConn) {
		for {
			req, body := c.read()
			if req == nil {
				return
			}
			c.write(respond(req, body))
		}
	}
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// refusing is an address of this machine where nobody listens.
func refusing(t testing.TB) string {
	t.Helper()
	ln := listen(t)
	defer ln.Close()
	return "http://" + ln.Addr().String()
}

// eventually waits for a condition that other goroutines bring about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("it never came that %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// noLeaks, called first in a test, checks at its very end that no goroutine and
// no open file is left of it, and that no peer has a request in flight.
func noLeaks(t testing.TB) {
	t.Helper()
	goroutines, files := len(stacks()), openFiles(t)
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		var now []string
		for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			now = stacks()
			if len(now) <= goroutines && openFiles(t) <= files {
				return
			}
			if time.Now().After(end) {
				break
			}
		}
		t.Errorf("%d goroutines before, %d after; %d open files before, %d after:\n%s",
			goroutines, len(now), files, openFiles(t), strings.Join(now, "\n\n"))
	})
}

// stacks are those of all goroutines but the one by which a fasthttp.HostClient
// closes idle connections: it ends within timeouts.idle of the last.
func stacks() []string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var list []string
	for _, s := range strings.Split(strings.TrimSpace(string(buf)), "\n\n") {
		if !strings.Contains(s, "HostClient).connsCleaner") {
			list = append(list, s)
		}
	}
	return list
}

func openFiles(t testing.TB) int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("counting open files: %v", err)
	}
	return len(list)
}

// unchanged makes the set a structured backend and changes nothing.
func unchanged(h fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) { h(ctx) }
}

// cleaners is how many goroutines of HostClients close idle connections.
func cleaners() int {
	buf := make([]byte, 1<<20)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), "HostClient).connsCleaner(")
}

// startHTTP serves handler by net/http and returns its address as a peer.
func startHTTP(t testing.TB, handler http.Handler) string {
	t.Helper()
	ln := listen(t)
	s := &http.Server{Handler: handler}
	served := make(chan struct{})
	go func() {
		defer close(served)
		s.Serve(ln)
	}()
	t.Cleanup(func() {
		s.Close()
		<-served
	})
	return "http://" + ln.Addr().String()
}

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReader(r) }
