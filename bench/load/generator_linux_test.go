package load

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func addrOf(t *testing.T, s *httptest.Server) netip.AddrPort {
	t.Helper()
	a, err := netip.ParseAddrPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func get(target string, fields ...string) []Request {
	return []Request{NewRequest("GET", "bench.test", target, 0, fields...)}
}

func run(t *testing.T, l *Loop, cfg Config) *Result {
	t.Helper()
	res, err := Run(t.Context(), l, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestClosedLoop(t *testing.T) {
	l, o := newOrigin(t)
	res := run(t, l, Config{Target: o.Addrs()[0], Requests: get("/b/128"), Length: 128, Connections: 8, Warmup: 20 * time.Millisecond, Duration: 100 * time.Millisecond})
	if res.Errors.Total() != 0 || res.Requests < 100 {
		t.Errorf("%s", res)
	}
	if n := res.Latency.TotalCount(); n != res.Requests {
		t.Errorf("%d latencies of %d requests", n, res.Requests)
	}
	if res.Duration < 90*time.Millisecond || res.Duration > 500*time.Millisecond {
		t.Errorf("the window was %s", res.Duration)
	}
}

func TestMaxRequestsEndsTheRun(t *testing.T) {
	l, o := newOrigin(t)
	res := run(t, l, Config{Target: o.Addrs()[0], Requests: get("/b/1"), Length: 1, Connections: 3, MaxRequests: 50, Duration: time.Minute})
	if res.Requests < 50 || res.Requests > 53 {
		t.Errorf("%d requests, want 50 and at most one more per connection", res.Requests)
	}
}

func TestRequestsInTurn(t *testing.T) {
	var a, b atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/a":
			a.Add(1)
		case "/b":
			b.Add(1)
		}
	}))
	defer s.Close()
	run(t, newLoop(t), Config{Target: addrOf(t, s), Requests: append(get("/a"), get("/b")...), MaxRequests: 20, Duration: 10 * time.Second})
	if a.Load() < 10 || b.Load() < 10 {
		t.Errorf("%d and %d requests, want ten of each", a.Load(), b.Load())
	}
}

func TestChurnOpensAConnectionPerRequest(t *testing.T) {
	var accepted atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			accepted.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	res := run(t, newLoop(t), Config{Target: addrOf(t, s), Requests: get("/", "Connection: close"), Length: 5, Connections: 4, Churn: true, MaxRequests: 40, Duration: 10 * time.Second})
	if res.Errors.Total() != 0 || res.Requests < 40 {
		t.Fatalf("%s", res)
	}
	if n := accepted.Load(); n < res.Requests || n > res.Requests+8 {
		t.Errorf("%d connections for %d requests", n, res.Requests)
	}
}

func TestChunkedAndClosingServers(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"chunked": func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "hello ")
			w.(http.Flusher).Flush()
			io.WriteString(w, "world")
		},
		"closing": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			io.WriteString(w, "hello world")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(handler)
			defer s.Close()
			res := run(t, newLoop(t), Config{Target: addrOf(t, s), Requests: get("/"), Length: 11, Connections: 2, MaxRequests: 30, Duration: 10 * time.Second})
			if res.Errors.Total() != 0 || res.Requests < 30 {
				t.Errorf("%s", res)
			}
		})
	}
}

func TestTLSRun(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, strings.Repeat("x", 40_000))
	}))
	defer s.Close()
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	res := run(t, newLoop(t), Config{
		Target: addrOf(t, s), TLS: &tls.Config{RootCAs: pool, ServerName: "example.com"},
		Requests: []Request{NewRequest("POST", "example.com", "/", 600_000), NewRequest("GET", "example.com", "/", 0)},
		Length:   40_000, Connections: 3, MaxRequests: 30, Duration: 10 * time.Second,
	})
	if res.Errors.Total() != 0 || res.Requests < 30 {
		t.Errorf("%s", res)
	}
}

func TestUploadsAndLargeBodies(t *testing.T) {
	l, o := newOrigin(t)
	res := run(t, l, Config{Target: o.Addrs()[0], Requests: []Request{NewRequest("POST", "a", "/u", 9_000_000)}, Length: 7, Connections: 2, MaxRequests: 4, Duration: 10 * time.Second})
	if res.Errors.Total() != 0 || o.Received() < 4*9_000_000 {
		t.Errorf("received %d\n%s", o.Received(), res)
	}
	res = run(t, l, Config{Target: o.Addrs()[0], Requests: get("/b/9000001"), Length: 9_000_001, Connections: 2, MaxRequests: 4, Duration: 10 * time.Second})
	if res.Errors.Total() != 0 || res.Bytes < 4*9_000_001 {
		t.Errorf("%s", res)
	}
}

// rawServer answers each connection by f.
func rawServer(t *testing.T, f func(conn net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				f(conn)
			}()
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String())
}

// once reads a request and writes answer.
func once(answer string) func(net.Conn) {
	return func(conn net.Conn) {
		if _, err := conn.Read(make([]byte, 4096)); err == nil {
			io.WriteString(conn, answer)
		}
	}
}

func TestErrorsByKind(t *testing.T) {
	for _, c := range []struct {
		name string
		kind ErrorKind
		f    func(net.Conn)
	}{
		{"wrong status", ErrStatus, once("HTTP/1.1 503 no\r\nContent-Length: 5\r\n\r\nhello")},
		{"wrong length", ErrLength, once("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhell")},
		{"cut short", ErrClosed, once("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")},
		{"cut in the head", ErrClosed, once("HTTP/1.1 200 OK\r\nConte")},
		{"no answer", ErrStale, once("")},
		{"not HTTP", ErrProtocol, once("220 mail.example.com\r\n\r\n")},
		{"more than asked for", ErrProtocol, once("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n")},
		{"wrong chunk", ErrProtocol, once("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxx\r\n")},
		{"no framing", ErrProtocol, once("HTTP/1.1 200 OK\r\n\r\nhello")},
		{"silence", ErrTimeout, func(conn net.Conn) { io.Copy(io.Discard, conn) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := Config{Target: rawServer(t, c.f), Requests: get("/"), Length: 5, MaxRequests: 1, Duration: 20 * time.Second}
			if c.kind == ErrTimeout {
				// The sweep for requests that take too long comes once a second.
				cfg.Timeout = 100 * time.Millisecond
			}
			res := run(t, newLoop(t), cfg)
			if res.Errors[c.kind] != 1 || res.Errors.Total() != 1 || res.Requests != 0 {
				t.Errorf("want one %q error:\n%s", c.kind, res)
			}
			if !strings.HasPrefix(res.FirstError, c.kind.String()) {
				t.Errorf("first error %q, want it to begin with %q", res.FirstError, c.kind)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddrPort(l.Addr().String())
	l.Close()
	loop := newLoop(t)
	if _, err := Run(t.Context(), loop, Config{Target: addr, Requests: get("/"), Duration: time.Second}); err == nil || !strings.Contains(err.Error(), addr.String()) {
		t.Errorf("kept connections: error %v, want one that names %s", err, addr)
	}
	res := run(t, loop, Config{Target: addr, Requests: get("/"), Churn: true, MaxRequests: 1, Duration: 20 * time.Second})
	if res.Errors[ErrConnect] != 1 {
		t.Errorf("churn: %s", res)
	}
}

// TestStallIsPaidFor is what a constant rate is for: a server that stands still
// for 250 ms delays every request that was due meanwhile, not only the one that
// was on its way (coordinated omission).
func TestStallIsPaidFor(t *testing.T) {
	const rate, stall = 1000, 250 * time.Millisecond
	slow := func(cfg Config) int64 {
		var requests atomic.Int64
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if requests.Add(1) == 50 {
				time.Sleep(stall)
			}
			io.WriteString(w, "x")
		}))
		defer s.Close()
		cfg.Target, cfg.Requests, cfg.Length, cfg.Connections, cfg.Duration = addrOf(t, s), get("/"), 1, 1, 600*time.Millisecond
		res := run(t, newLoop(t), cfg)
		if n := res.Errors.Total() - res.Errors[ErrUnsent]; n != 0 {
			t.Fatalf("%s", res)
		}
		var n int64
		for _, bar := range res.Latency.Distribution() {
			if bar.From >= int64(50*time.Millisecond) {
				n += bar.Count
			}
		}
		return n
	}
	// 250 requests were due during the stall, the first 200 of them more than
	// 50 ms before its end.
	if n := slow(Config{Rate: rate}); n < 150 {
		t.Errorf("at a constant rate %d requests took more than 50 ms, want about 200", n)
	}
	if n := slow(Config{}); n > 15 {
		t.Errorf("in a closed loop %d requests took more than 50 ms, want 1", n)
	}
}

func TestUnsentIsCounted(t *testing.T) {
	block := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-block }))
	defer s.Close()
	defer close(block)
	res := run(t, newLoop(t), Config{Target: addrOf(t, s), Requests: get("/"), Connections: 2, Rate: 1000, Duration: 100 * time.Millisecond})
	if n := res.Errors[ErrUnsent]; n < 90 || n > 98 {
		t.Errorf("%d unsent, want about 98 of 100", n)
	}
	if p := res.Quantile(100); p < 90*time.Millisecond {
		t.Errorf("the longest latency is %s, want the wait until the end", p)
	}
}

func TestConstantRateIsKept(t *testing.T) {
	l, o := newOrigin(t)
	res := run(t, l, Config{Target: o.Addrs()[0], Requests: get("/b/10"), Length: 10, Connections: 4, Rate: 2000, Spin: true, Warmup: 50 * time.Millisecond, Duration: 250 * time.Millisecond})
	// On a busy machine some may be left unsent, but each is accounted for.
	if n := res.Requests + res.Errors[ErrUnsent]; n < 450 || n > 550 || res.Errors.Total() != res.Errors[ErrUnsent] {
		t.Errorf("%d requests, want about 500\n%s", n, res)
	}
}

func TestHoldKeepsConnectionsIdle(t *testing.T) {
	l, o := newOrigin(t)
	var open int64
	res := run(t, l, Config{
		Target: o.Addrs()[0], Requests: get("/b/1"), Length: 1, Connections: 100, Rate: 2000, Hold: true, MaxRequests: 100,
		From:     []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")},
		Duration: 200 * time.Millisecond, OnEnd: func() { open = o.Connections() },
	})
	if res.Requests != 100 || res.Errors.Total() != 0 || res.Dropped != 0 || open != 100 {
		t.Errorf("%d connections at the end, %d dropped\n%s", open, res.Dropped, res)
	}
	closing := rawServer(t, once("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"))
	res = run(t, l, Config{Target: closing, Requests: get("/"), Length: 1, Connections: 5, Rate: 1000, Hold: true, MaxRequests: 5, Duration: 100 * time.Millisecond})
	if res.Dropped != 5 {
		t.Errorf("%d dropped, want 5\n%s", res.Dropped, res)
	}
}

func TestRefusals(t *testing.T) {
	good := Config{Target: netip.MustParseAddrPort("127.0.0.1:1"), Requests: get("/"), Duration: time.Second}
	for name, change := range map[string]func(*Config){
		"other machines": func(c *Config) { c.Target = netip.MustParseAddrPort("192.0.2.1:80") },
		"any address":    func(c *Config) { c.Target = netip.MustParseAddrPort("0.0.0.0:80") },
		"foreign source": func(c *Config) { c.From = []netip.Addr{netip.MustParseAddr("192.0.2.1")} },
		"no request":     func(c *Config) { c.Requests = nil },
		"no duration":    func(c *Config) { c.Duration = 0 },
		"too long":       func(c *Config) { c.Duration = 2 * time.Hour },
		"too many":       func(c *Config) { c.Connections = MaxConnections + 1 },
		"negative rate":  func(c *Config) { c.Rate = -1 },
		"endless hold":   func(c *Config) { c.Hold = true },
	} {
		cfg := good
		change(&cfg)
		if _, err := Run(t.Context(), nil, cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := NewOrigin(newLoop(t), netip.MustParseAddrPort("0.0.0.0:0")); !errors.Is(err, ErrNotLoopback) {
		t.Errorf("an origin on all addresses: %v", err)
	}
}

func TestCancelEndsARun(t *testing.T) {
	l, o := newOrigin(t)
	ctx, cancel := context.WithCancel(t.Context())
	started := make(chan struct{})
	go func() {
		<-started
		cancel()
	}()
	_, err := Run(ctx, l, Config{Target: o.Addrs()[0], Requests: get("/b/1"), Connections: 4, Duration: time.Minute, OnStart: func() { close(started) }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestNothingIsLeftOpen(t *testing.T) {
	files := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	goroutines := runtime.NumGoroutine()
	before := files()
	for range 3 {
		l, err := NewLoop()
		if err != nil {
			t.Fatal(err)
		}
		o, err := NewOrigin(l, anyPort)
		if err != nil {
			t.Fatal(err)
		}
		run(t, l, Config{Target: o.Addrs()[0], Requests: get("/b/1"), Length: 1, Connections: 20, MaxRequests: 100, Duration: 5 * time.Second})
		run(t, l, Config{Target: o.Addrs()[0], Requests: get("/b/1"), Length: -1, Connections: 5, Rate: 500, Duration: 20 * time.Millisecond})
		l.Close()
		if _, err := Run(t.Context(), l, Config{Target: o.Addrs()[0], Requests: get("/"), Churn: true, Duration: time.Second}); !errors.Is(err, ErrLoopEnded) {
			t.Errorf("a run on a closed loop: %v", err)
		}
	}
	if after := files(); after > before {
		t.Errorf("%d open files, %d before", after, before)
	}
	// A goroutine that has told its end may not have left yet.
	deadline := time.Now().Add(30 * time.Second)
	for runtime.NumGoroutine() > goroutines && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Errorf("%d goroutines, %d before", n, goroutines)
	}
}
