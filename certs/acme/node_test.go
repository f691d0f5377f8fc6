package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/bus"
	"edgerouter/bus/jetstream"
	"edgerouter/certs"
	"edgerouter/certs/vault"
	"edgerouter/internal/acmetest"
	"edgerouter/internal/testkit"
	"edgerouter/metrics"
)

// The test binary is also a node, when it is told to be one: a node that is
// killed has to be a process.
func TestMain(m *testing.M) {
	if text := os.Getenv(nodeVariable); text != "" {
		if err := serveNode(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

var testSecret = []byte("0123456789abcdef0123456789abcdef")

func serveNode(text string) error {
	var c nodeConfig
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	log := zerolog.New(os.Stderr).Level(zerolog.DebugLevel).With().Timestamp().Logger()
	set := metrics.NewSet()
	b, err := jetstream.New(jetstream.Options{URLs: []string{c.BusURL}, Node: c.Name, Metrics: set, Logger: log})
	if err != nil {
		return err
	}
	v, err := vault.New(vault.Options{
		Log: b, Stream: bus.StreamPath("1", "vault"), Secret: testSecret, Owner: c.Name, Metrics: set, Logger: log,
	})
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(c.CAFile)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	m, err := New(Options{
		Vault: v, Directory: c.Directory, Email: "test@example.com", Roots: roots, Hosts: func() []string { return c.Hosts },
		HTTP: c.HTTP, HTTPS: c.HTTPS, RenewCheck: c.RenewCheck, Metrics: set, Logger: log,
	})
	if err != nil {
		return err
	}
	store := certs.NewStore(certs.Options{Metrics: set, Log: log, Challenge: m.TLSChallenge})
	secure, err := tls.Listen("tcp", c.HTTPS, store.TLSConfig(certs.TLSOptions{}))
	if err != nil {
		return err
	}
	go acceptTLS(secure)
	if c.HTTP != "" {
		plain, err := net.Listen("tcp", c.HTTP)
		if err != nil {
			return err
		}
		go http.Serve(plain, challengeHandler(m))
	}
	go v.Run(context.Background())
	return m.Run(context.Background(), func(l []*certs.Certificate, p []certs.Problem) { store.Set(certs.SourceACME, l, p) })
}

func acceptTLS(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
			_ = conn.(*tls.Conn).Handshake()
		}()
	}
}

// startBus starts a NATS server with JetStream that the nodes connect to.
func startBus(t *testing.T) (url string, log bus.Log) {
	t.Helper()
	addr := freePort(t)
	b, err := jetstream.New(jetstream.Options{
		Node: "bus", Embedded: jetstream.Embedded{Folder: t.TempDir(), Client: addr, Secret: string(testSecret)},
		Metrics: metrics.NewSet(), Logger: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	waitUntil(t, "the bus is up", 10*time.Second, func() bool {
		_, err := b.Last(t.Context(), bus.StreamPath("1", "vault"))
		return err == nil
	})
	return busURL(addr), b
}

func addresses(ip string, ports []string) (http, https string) {
	return net.JoinHostPort(ip, ports[0]), net.JoinHostPort(ip, ports[1])
}

func testPorts(t *testing.T) []string {
	t.Helper()
	var out []string
	for range 2 {
		_, port, _ := net.SplitHostPort(freePort(t))
		out = append(out, port)
	}
	return out
}

func number(s string) (n int) {
	_, _ = fmt.Sscan(s, &n)
	return n
}

func TestPebbleOneNode(t *testing.T) {
	for _, kind := range []string{"http-01", "tls-alpn-01"} {
		t.Run(kind, func(t *testing.T) {
			ports := testPorts(t)
			ca := acmetest.Start(t, acmetest.Options{HTTP: number(ports[0]), TLS: number(ports[1]), Reject: "blocked.example"})
			url, _ := startBus(t)
			plain, secure := addresses("127.0.0.1", ports)
			if kind == "tls-alpn-01" {
				plain = ""
			}
			n := startNode(t, nodeConfig{Name: "a", BusURL: url, Directory: ca.Directory, CAFile: ca.RootFile, HTTP: plain, HTTPS: secure,
				Hosts: []string{"a.example", "b.example", "blocked.example", "localhost", "x.localhost", "*.wild.example"}})
			waitUntil(t, "certificates of both hosts", time.Minute, func() bool { return n.serial("a.example") != "" && n.serial("b.example") != "" })
			if kind == "tls-alpn-01" && ca.Logged("http-01 challenge by") || ca.Orders() > 3 {
				t.Errorf("%d orders", ca.Orders())
			}
			if n.serial("blocked.example") != "" {
				t.Error("a host that the CA refuses is served")
			}
			waitUntil(t, "the refusal is told", 10*time.Second, func() bool { return containsAll(n.log(), "blocked.example", "the CA refuses", "tried again") })
		})
	}
}

// Three nodes, of which the one that holds the lock is killed while the CA
// validates: one order more, and all that are left serve within five seconds.
func TestPebbleLockHolderIsKilled(t *testing.T) {
	testkit.Long(t)
	ports := testPorts(t)
	ca := acmetest.Start(t, acmetest.Options{HTTP: number(ports[0]), TLS: number(ports[1])})
	url, log := startBus(t)
	ca.DNS.Set("127.0.0.1", true)
	nodes := map[string]*node{}
	for i, name := range []string{"a", "b", "c"} {
		plain, secure := addresses(fmt.Sprintf("127.0.0.%d", i+2), ports)
		nodes[name] = startNode(t, nodeConfig{Name: name, BusURL: url, Directory: ca.Directory, CAFile: ca.RootFile, HTTP: plain, HTTPS: secure, Hosts: []string{"a.example"}})
	}
	watcher, stop := watchVault(t, log)
	defer stop()
	waitUntil(t, "a challenge is asked for", 30*time.Second, func() bool { return ca.DNS.Asked() > 0 })
	holder := watcher.Holder(lockName("a.example"))
	if nodes[holder] == nil || ca.Orders() != 1 {
		t.Fatalf("the holder is %q, after %d orders", holder, ca.Orders())
	}
	nodes[holder].kill()
	delete(nodes, holder)
	// The CA asks a node that is not the next holder, if there is one: any answers.
	for _, n := range nodes {
		host, _, _ := net.SplitHostPort(n.HTTPS)
		ca.DNS.Set(host, false)
	}
	var issued time.Time
	waitUntil(t, "a certificate in the vault", time.Minute, func() bool {
		for _, i := range watcher.List(certsFolder) {
			if len(i.Key) > 4 && i.Key[len(i.Key)-4:] == ".crt" {
				issued = time.Now()
				return true
			}
		}
		return false
	})
	waitUntil(t, "all nodes serve within 5 s of issue", 5*time.Second-time.Since(issued), func() bool {
		var first string
		for _, n := range nodes {
			s := n.serial("a.example")
			if first == "" {
				first = s
			}
			if s == "" || s != first {
				return false
			}
		}
		return true
	})
	t.Logf("served by all %v after it was issued", time.Since(issued))
	if got := ca.Orders(); got != 2 {
		t.Errorf("%d orders, want the one that was cut off and one more", got)
	}
}

// Every handshake during renewals shows a certificate, and renewals happen.
func TestPebbleRenewalUnderLoad(t *testing.T) {
	testkit.Long(t)
	ports := testPorts(t)
	ca := acmetest.Start(t, acmetest.Options{HTTP: number(ports[0]), TLS: number(ports[1]), Validity: 30 * time.Second})
	url, _ := startBus(t)
	plain, secure := addresses("127.0.0.1", ports)
	n := startNode(t, nodeConfig{Name: "a", BusURL: url, Directory: ca.Directory, CAFile: ca.RootFile, HTTP: plain, HTTPS: secure,
		Hosts: []string{"a.example"}, RenewCheck: time.Second})
	waitUntil(t, "the first certificate", 30*time.Second, func() bool { return n.serial("a.example") != "" })
	first := n.serial("a.example")
	var done, refused atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for ctx.Err() == nil {
				if n.serial("a.example") == "" {
					refused.Add(1)
				}
				done.Add(1)
			}
		})
	}
	waitUntil(t, "a renewal", 45*time.Second, func() bool { s := n.serial("a.example"); return s != "" && s != first })
	stop()
	load.Wait()
	t.Logf("%d handshakes, %d refused", done.Load(), refused.Load())
	if refused.Load() > 0 {
		t.Errorf("%d of %d handshakes were refused", refused.Load(), done.Load())
	}
}

// watchVault is a vault that only looks.
func watchVault(t *testing.T, log bus.Log) (*vault.Vault, func()) {
	t.Helper()
	v, err := vault.New(vault.Options{Log: log, Stream: bus.StreamPath("1", "vault"), Secret: testSecret, Owner: "watcher", Metrics: metrics.NewSet(), Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = v.Run(ctx)
	}()
	return v, func() { cancel(); <-done }
}

// busURL is how a tool reaches the embedded server.
func busURL(addr string) string {
	return (&url.URL{Scheme: "nats", User: url.UserPassword("edgerouter", string(testSecret)), Host: addr}).String()
}

// A CA that says in its renewal information that it is time (RFC 9773) is listened
// to: a certificate of 90 days is renewed at once, and once.
func TestPebbleRenewalInformation(t *testing.T) {
	testkit.Long(t)
	ports := testPorts(t)
	ca := acmetest.Start(t, acmetest.Options{HTTP: number(ports[0]), TLS: number(ports[1]), Impatient: true})
	url, _ := startBus(t)
	plain, secure := addresses("127.0.0.1", ports)
	n := startNode(t, nodeConfig{Name: "a", BusURL: url, Directory: ca.Directory, CAFile: ca.RootFile, HTTP: plain, HTTPS: secure,
		Hosts: []string{"a.example"}, RenewCheck: time.Second})
	waitUntil(t, "the first certificate", time.Minute, func() bool { return n.serial("a.example") != "" })
	first := n.cert("a.example")
	if left := time.Until(first.NotAfter); left < 80*24*time.Hour {
		t.Fatalf("the certificate is valid for %v: it would be renewed anyway", left)
	}
	ca.RenewNow(t, first)
	waitUntil(t, "the renewal", time.Minute, func() bool { s := n.serial("a.example"); return s != "" && s != first.SerialNumber.String() })
	// The new certificate has a window of its own, which is far away.
	second, asked := n.serial("a.example"), ca.RenewalQuestions()
	waitUntil(t, "its renewal information is asked for", time.Minute, func() bool { return ca.RenewalQuestions() > asked+2 })
	if n.serial("a.example") != second || ca.Orders() != 2 || !ca.Logged("is a replacement of") {
		t.Errorf("%d orders, want 2, of which the second is said to replace the first", ca.Orders())
	}
}
