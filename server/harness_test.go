package server_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"edgerouter/router"
	"edgerouter/server"
)

// patience is how long a test waits for what must happen; it is never waited for
// what must not.
const patience = 20 * time.Second

// rig is a server on loopback and what its handler has seen.
type rig struct {
	t      *testing.T
	server *server.Server
	addr   string
	log    *lockedBuffer

	mu   sync.Mutex
	seen []string // "METHOD target body" of each request that reached the handler
}

// start serves with the handler of change, which defaults to one that reads the
// whole body and answers "ok". Entries allow plain HTTP and are not direct.
func start(t *testing.T, change func(*server.Config, *router.Entry)) *rig {
	t.Helper()
	return startOn(t, listen(t), change)
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := server.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// tcpListener is what Serve makes use of in a listener.
type tcpListener interface {
	net.Listener
	syscall.Conn
	SetDeadline(time.Time) error
}

func startOn(t *testing.T, ln net.Listener, change func(*server.Config, *router.Entry)) *rig {
	t.Helper()
	r := &rig{t: t, addr: ln.Addr().String(), log: &lockedBuffer{}}
	entry := &router.Entry{App: "app", AllowPlain: true, Observer: unobserved{}, Handler: func(ctx *fasthttp.RequestCtx) {
		body := ctx.Request.Body()
		r.record(string(ctx.Method()) + " " + string(ctx.RequestURI()) + " " + string(body))
		ctx.SetBodyString("ok")
	}}
	cfg := server.Config{
		Lookup:    func(_, _ []byte, _ router.Attributes) *router.Entry { return entry },
		Unmatched: unobserved{}, Log: zerolog.New(r.log),
	}
	if change != nil {
		change(&cfg, entry)
	}
	r.server = server.New(cfg)
	served := make(chan error, 1)
	go func() { served <- r.server.Serve(ln, cfg.TLS != nil) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		r.server.Shutdown(ctx, 0)
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if n := r.server.Open(); n != 0 {
			t.Errorf("%d connections are open after Shutdown", n)
		}
	})
	return r
}

func (r *rig) record(s string) {
	r.mu.Lock()
	r.seen = append(r.seen, s)
	r.mu.Unlock()
}

func (r *rig) requests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.seen...)
}

type unobserved struct{}

func (unobserved) Observe([]byte, int, time.Duration) {}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// client is a raw connection.
type client struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

func (r *rig) dial() *client {
	r.t.Helper()
	return dial(r.t, r.addr)
}

func dial(t *testing.T, addr string) *client {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	return wrap(t, c)
}

func wrap(t *testing.T, c net.Conn) *client {
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return &client{t, c, bufio.NewReader(c)}
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, s); err != nil {
		c.t.Fatalf("sending %.60q: %v", s, err)
	}
}

// response reads the answer to a request with the method, body included.
func (c *client) response(method string) *answer {
	c.t.Helper()
	resp, err := http.ReadResponse(c.in, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("reading a response: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("reading the body of a %d: %v", resp.StatusCode, err)
	}
	return &answer{resp, string(body)}
}

type answer struct {
	*http.Response
	body string
}

// get sends a small request and reads the answer.
func (c *client) get(target string) *answer {
	c.t.Helper()
	c.send("GET " + target + " HTTP/1.1\r\nHost: a.test\r\n\r\n")
	return c.response("GET")
}

// ended checks that the server closes the connection without another byte.
func (c *client) ended() {
	c.t.Helper()
	rest, err := io.ReadAll(c.in)
	if err != nil {
		c.t.Errorf("the connection did not end cleanly: %v", err)
	}
	if len(rest) > 0 {
		c.t.Errorf("%q follows", rest)
	}
	c.Close()
}

// open checks that the connection is still good for a request.
func (c *client) open() {
	c.t.Helper()
	if a := c.get("/open"); a.StatusCode != 200 {
		c.t.Errorf("a further request gave %d", a.StatusCode)
	}
}

// eventually waits for a condition that is about to come true.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: still not so after %v", what, patience)
		}
		time.Sleep(time.Millisecond)
	}
}

func handler(h fasthttp.RequestHandler) func(*server.Config, *router.Entry) {
	return func(_ *server.Config, e *router.Entry) { e.Handler = h }
}

// testTLS makes a server's configuration and one for clients that trust it.
func testTLS(t *testing.T) (srv, cli *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"a.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		&tls.Config{RootCAs: roots, ServerName: "a.test"}
}

// TestMain checks that no goroutine of the server outlives the tests.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		for end := time.Now().Add(2 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			stacks := make([]byte, 1<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			if !bytes.Contains(stacks, []byte("edgerouter/server.")) {
				break
			}
			if time.Now().After(end) {
				fmt.Fprintf(os.Stderr, "goroutines of the server are left:\n%s\n", stacks)
				code = 1
				break
			}
		}
	}
	os.Exit(code)
}

func repeat(s string, n int) string { return strings.Repeat(s, n) }
