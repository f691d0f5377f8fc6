package upstream

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"edgerouter/app"
)

func TestParseStatuses(t *testing.T) {
	for in, want := range map[string]string{
		"": "200-399", "200": "200", " 200 , 204,300 - 399": "200,204,300-399", "418-418": "418",
	} {
		if got, err := parseStatuses(in); err != nil || got.String() != want {
			t.Errorf("%q: %s, %v", in, got, err)
		}
	}
	for _, in := range []string{"x", "200,", ",", "-", "200-", "300-200", "99", "600", "200-1000", "2xx", "200--300", "+200x"} {
		if got, err := parseStatuses(in); err == nil {
			t.Errorf("%q: accepted as %s", in, got)
		}
	}
	s, _ := parseStatuses("200,300-302")
	for code, want := range map[int]bool{199: false, 200: true, 201: false, 299: false, 300: true, 302: true, 303: false} {
		if s.has(code) != want {
			t.Errorf("%d: %v", code, !want)
		}
	}
}

func TestNewProbeRefuses(t *testing.T) {
	for want, opts := range map[string]app.HealthCheck{
		`health_check.path: ""`:        {},
		`health_check.path: "healthz"`: {Path: "healthz"},
		`health_check.path: "/%zz"`:    {Path: "/%zz"},
		`health_check.path: "/a b`:     {Path: "/a b\r\n"},
		`health_check.status: "x"`:     {Path: "/", Status: "x"},
	} {
		if _, err := newProbe(opts, nil, nil); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func probePeer(t *testing.T, addr string) *peer {
	t.Helper()
	a, err := parseAddress(addr)
	if err != nil {
		t.Fatal(err)
	}
	return newPeer(a)
}

// probeOnce checks addr with the real network.
func probeOnce(t *testing.T, addr string, opts app.HealthCheck, conf *tls.Config) error {
	t.Helper()
	d := newDialer()
	probe, err := newProbe(opts, func(ctx context.Context, p *peer) (net.Conn, error) {
		return d.connect(ctx, p.dials, time.Minute)
	}, func(p *peer) *tls.Config { return tlsForPeer(conf, p.addr) })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return probe(ctx, probePeer(t, addr))
}

func TestProbe(t *testing.T) {
	var seen *http.Request
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r
		switch r.URL.Path {
		case "/base/redirect":
			http.Redirect(w, r, "/base/500", http.StatusFound)
		case "/base/500":
			w.WriteHeader(500)
		case "/base/early":
			w.WriteHeader(http.StatusEarlyHints)
		case "/base/large":
			_, _ = w.Write(make([]byte, 4*probeLimit))
		case "/base/header":
			w.Header().Set("X-Large", strings.Repeat("x", 2*probeLimit))
		}
	}))
	defer s.Close()
	for _, tt := range []struct{ path, status, want string }{
		{"/ok", "", ""},
		{"/ok?x=1&y", "", ""},
		{"/early", "200", ""},
		{"/large", "", ""},
		{"/redirect", "", ""},
		{"/redirect", "200-299", "/base/redirect: status 302 is not in 200-299"},
		{"/500", "", "/base/500: status 500 is not in 200-399"},
		{"/500", "200,500", ""},
		{"/header", "", "exceeded"},
	} {
		err := probeOnce(t, s.URL+"/base", app.HealthCheck{Path: tt.path, Status: tt.status}, nil)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %s: %v, want %q", tt.path, tt.status, err, tt.want)
		}
	}
	if err := probeOnce(t, s.URL, app.HealthCheck{Path: "/a?b=c", Host: "www.example.com"}, nil); err != nil {
		t.Fatal(err)
	}
	if seen.Host != "www.example.com" || seen.URL.RequestURI() != "/a?b=c" || seen.UserAgent() != "edgerouter-health-check" || seen.Method != "GET" {
		t.Errorf("%s %s %s %s", seen.Method, seen.Host, seen.URL, seen.UserAgent())
	}
	if err := probeOnce(t, s.URL, app.HealthCheck{Path: "/"}, nil); err != nil || seen.Host != strings.TrimPrefix(s.URL, "http://") {
		t.Errorf("%v, host %s", err, seen.Host)
	}
}

// TestProbeElsewhere: checks may go to another port and in another scheme than
// requests do.
func TestProbeElsewhere(t *testing.T) {
	seen := ""
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Host + r.URL.Path })
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	defer plain.Close()
	defer secure.Close()
	port := func(s *httptest.Server) int { return s.Listener.Addr().(*net.TCPAddr).Port }
	pool := x509.NewCertPool()
	pool.AddCert(secure.Certificate())
	for _, tt := range []struct {
		addr string
		opts app.HealthCheck
		want string // Host and path of the check; "" when it fails
	}{
		{"http://127.0.0.1:1/base", app.HealthCheck{Path: "/up", Port: port(plain)}, plain.Listener.Addr().String() + "/base/up"},
		{"https://127.0.0.1:1", app.HealthCheck{Path: "/up", Port: port(plain), Scheme: "http"}, plain.Listener.Addr().String() + "/up"},
		{"h2c://127.0.0.1:1", app.HealthCheck{Path: "/up", Port: port(secure), Scheme: "https"}, secure.Listener.Addr().String() + "/up"},
		{"http://127.0.0.1:" + fmt.Sprint(port(secure)), app.HealthCheck{Path: "/", Scheme: "https"}, secure.Listener.Addr().String() + "/"},
		{"https://127.0.0.1:" + fmt.Sprint(port(secure)), app.HealthCheck{Path: "/", Port: 1}, ""},
		{plain.URL, app.HealthCheck{Path: "/", Scheme: "https"}, ""},
	} {
		seen = ""
		err := probeOnce(t, tt.addr, tt.opts, &tls.Config{RootCAs: pool})
		if seen != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s %+v: asked %q, want %q; %v", tt.addr, tt.opts, seen, tt.want, err)
		}
	}
	a, _ := parseAddress("http://[fe80::1%25eth0]:8080")
	if a = checkedAddress(a, app.HealthCheck{Port: 81}); a.Dial != "[fe80::1%eth0]:81" || a.Authority != "[fe80::1]:81" {
		t.Errorf("%+v", a)
	}
}

// TestProbeRaw: peers that do not answer as they should. None may hang beyond
// the check's time, and endless answers are cut.
func TestProbeRaw(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer func(c net.Conn)
		ok     bool
	}{
		{"closes", func(net.Conn) {}, false},
		{"garbage", func(c net.Conn) { fmt.Fprint(c, "SSH-2.0-OpenSSH\r\n") }, false},
		{"silent", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, false},
		{"half a header", func(c net.Conn) { fmt.Fprint(c, "HTTP/1.1 200 OK\r\nA: "); _, _ = io.Copy(io.Discard, c) }, false},
		{"endless header", func(c net.Conn) {
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\n")
			for {
				if _, err := fmt.Fprint(c, "A: b\r\n"); err != nil {
					return
				}
			}
		}, false},
		{"endless body", func(c net.Conn) {
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\n\r\n")
			for {
				if _, err := c.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		}, true},
		{"body never comes", func(c net.Conn) {
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
			_, _ = io.Copy(io.Discard, c)
		}, true},
		{"HTTP/1.0", func(c net.Conn) { fmt.Fprint(c, "HTTP/1.0 204 No Content\r\n\r\n") }, true},
		{"many 1xx", func(c net.Conn) {
			for {
				if _, err := fmt.Fprint(c, "HTTP/1.1 102 Processing\r\n\r\n"); err != nil {
					return
				}
			}
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					tt.answer(c)
				}
			}()
			d := newDialer()
			probe, err := newProbe(app.HealthCheck{Path: "/"}, func(ctx context.Context, p *peer) (net.Conn, error) {
				return d.connect(ctx, p.dials, time.Minute)
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			begin := time.Now()
			err = probe(ctx, probePeer(t, "http://"+l.Addr().String()))
			if (err == nil) != tt.ok {
				t.Errorf("%v", err)
			}
			if d := time.Since(begin); d > 5*time.Second {
				t.Errorf("took %s", d)
			}
		})
	}
}

func TestProbeRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	if err := probeOnce(t, "http://"+addr, app.HealthCheck{Path: "/"}, nil); err == nil || !strings.Contains(err.Error(), addr) {
		t.Errorf("%v", err)
	}
}

func TestProbeTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	opts := app.HealthCheck{Path: "/"}
	if err := probeOnce(t, s.URL, opts, &tls.Config{RootCAs: roots}); err != nil {
		t.Errorf("a good certificate: %v", err)
	}
	if err := probeOnce(t, s.URL, opts, &tls.Config{}); err == nil {
		t.Error("an unknown authority was accepted")
	}
	if err := probeOnce(t, s.URL, opts, &tls.Config{RootCAs: roots, ServerName: "other.test"}); err == nil {
		t.Error("a wrong name was accepted")
	}
	if err := probeOnce(t, s.URL, opts, &tls.Config{InsecureSkipVerify: true}); err != nil {
		t.Errorf("not verified: %v", err)
	}
}

func TestProbeH2C(t *testing.T) {
	var proto string
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proto = r.Proto
		if r.URL.Path == "/bad" {
			w.WriteHeader(503)
		}
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	defer s.Close()
	addr := "h2c" + strings.TrimPrefix(s.URL, "http")
	if err := probeOnce(t, addr, app.HealthCheck{Path: "/"}, nil); err != nil || proto != "HTTP/2.0" {
		t.Errorf("%v, %s", err, proto)
	}
	if err := probeOnce(t, addr, app.HealthCheck{Path: "/bad"}, nil); err == nil {
		t.Error("503 was accepted")
	}
}

// TestProbeLeavesNothing: no goroutine outlives its check for long.
func TestProbeLeavesNothing(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(make([]byte, 2*probeLimit))
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	defer s.Close()
	before := runtime.NumGoroutine()
	for range 20 {
		for _, scheme := range []string{"http", "h2c"} {
			if err := probeOnce(t, scheme+strings.TrimPrefix(s.URL, "http"), app.HealthCheck{Path: "/"}, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.CloseClientConnections()
	deadline := time.Now().Add(30 * time.Second)
	for runtime.NumGoroutine() > before+2 {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
		runtime.Gosched()
	}
}
