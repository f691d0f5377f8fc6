package devca

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/certs"
	"edgerouter/metrics"
)

func open(t testing.TB, dir string) *CA {
	t.Helper()
	c, err := Open(dir, Options{
		Allowed: func(name string) bool { return strings.HasSuffix(name, ".configured.example.com") },
		Log:     zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func get(t testing.TB, c *CA, name string) *tls.Certificate {
	t.Helper()
	cert, err := c.Get(name)
	if err != nil {
		t.Fatalf("Get(%q): %v", name, err)
	}
	return cert
}

func TestMadeOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data", "dev-ca")
	first := open(t, dir)
	info, err := os.Stat(filepath.Join(dir, keyName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the key: %v %v", info.Mode(), err)
	}
	if info, _ := os.Stat(dir); info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the folder: %v", info.Mode())
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := os.Chmod(filepath.Join(dir, keyName), 0o644); err != nil {
		t.Fatal(err)
	}
	second := open(t, dir)
	if !second.Certificate().Equal(first.Certificate()) {
		t.Error("a second start made another CA")
	}
	if info, _ := os.Stat(filepath.Join(dir, keyName)); info.Mode().Perm() != 0o600 {
		t.Errorf("a key that others can read stays so: %v", info.Mode())
	}
	ca := second.Certificate()
	if !ca.IsCA || !ca.MaxPathLenZero || ca.KeyUsage&x509.KeyUsageCertSign == 0 {
		t.Errorf("it is not a CA: %+v", ca)
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, break_ := range map[string]func(dir string) error{
		"only one":     func(dir string) error { return os.Remove(filepath.Join(dir, certName)) },
		"ca.key":       func(dir string) error { return os.WriteFile(filepath.Join(dir, keyName), []byte("x"), 0o600) },
		"ca.crt":       func(dir string) error { return os.WriteFile(filepath.Join(dir, certName), nil, 0o600) },
		"does not fit": func(dir string) error { return swapKey(t, dir) },
	} {
		dir := t.TempDir()
		open(t, dir)
		if err := break_(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, Options{Log: zerolog.Nop()}); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(file, "dev-ca"), Options{Log: zerolog.Nop()}); err == nil {
		t.Error("a folder that cannot be made is no error")
	}
}

func swapKey(t *testing.T, dir string) error {
	other := t.TempDir()
	open(t, other)
	key, err := os.ReadFile(filepath.Join(other, keyName))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, keyName), key, 0o600)
}

func TestNames(t *testing.T) {
	c := open(t, t.TempDir())
	for name, want := range map[string]string{
		"localhost":                             "localhost",
		"":                                      "localhost",
		"LOCALHOST.":                            "localhost",
		"hello.localhost":                       "hello.localhost",
		"a.b.localhost":                         "a.b.localhost",
		"x.configured.example.com":              "x.configured.example.com",
		"X.Configured.Example.com":              "x.configured.example.com",
		"other.example.com":                     "",
		"configured.example.com":                "",
		".localhost":                            "",
		"a..localhost":                          "",
		"evil\n.localhost":                      "",
		"*.localhost":                           "",
		"/.configured.example.com":              "",
		strings.Repeat("a", 300) + ".localhost": "",
		"notlocalhost":                          "",
	} {
		cert := get(t, c, name)
		if (cert != nil) != (want != "") || cert != nil && cert.Leaf.DNSNames[0] != want {
			t.Errorf("Get(%q): %v, want %q", name, cert, want)
		}
	}
	if first, again := get(t, c, "localhost"), get(t, c, "Localhost"); first != again {
		t.Error("a second handshake made another certificate")
	}
	list := c.List()
	if len(list) != 4 || list[0].Source != certs.SourceDevCA || list[0].Names[0] != "a.b.localhost" {
		t.Errorf("list %+v", list)
	}
}

// A browser that trusts the CA accepts what it signs, over a real handshake.
func TestHandshake(t *testing.T) {
	c := open(t, t.TempDir())
	store := certs.NewStore(certs.Options{OnDemand: c.Get, Metrics: metrics.NewSet(), Log: zerolog.Nop()})
	ln, err := tls.Listen("tcp", "127.0.0.1:0", store.TLSConfig(certs.TLSOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(io.Discard, conn)
			}()
		}
	}()
	pool := x509.NewCertPool()
	pool.AddCert(c.Certificate())
	dial := func(name string) error {
		d := tls.Dialer{Config: &tls.Config{RootCAs: pool, ServerName: name}}
		conn, err := d.DialContext(context.Background(), "tcp", ln.Addr().String())
		if err == nil {
			conn.Close()
		}
		return err
	}
	for _, name := range []string{"localhost", "hello.localhost", "x.configured.example.com", "127.0.0.1"} {
		if err := dial(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := dial("other.example.com"); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("a name that is not allowed: %v", err)
	}
}

func TestSingleFlight(t *testing.T) {
	c := open(t, t.TempDir())
	var wg sync.WaitGroup
	got := make([]*tls.Certificate, 64)
	for i := range got {
		wg.Go(func() { got[i], _ = c.Get(fmt.Sprintf("n%d.localhost", i%4)) })
	}
	wg.Wait()
	for i := range got {
		if got[i] == nil || got[i] != got[i%4] {
			t.Fatal("two certificates for one name, or none")
		}
	}
}

// A handshake for one name does not wait for the making of another.
func TestOthersDoNotWait(t *testing.T) {
	c := open(t, t.TempDir())
	get(t, c, "ready.localhost")
	l, mine := c.claim("slow.localhost", time.Now())
	if !mine {
		t.Fatal("not ours to make")
	}
	waiting := make(chan struct{})
	go func() {
		defer close(waiting)
		_, _ = c.Get("slow.localhost")
	}()
	get(t, c, "ready.localhost")
	get(t, c, "new.localhost")
	select {
	case <-waiting:
		t.Error("a handshake got a certificate that does not exist")
	default:
	}
	l.cert, l.err = c.sign("slow.localhost", time.Now())
	close(l.done)
	<-waiting
}

func TestRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir())
		first := get(t, c, "localhost")
		if valid := time.Until(first.Leaf.NotAfter); valid > leafValid || valid < leafValid-time.Minute {
			t.Errorf("valid for %v", valid)
		}
		time.Sleep(leafValid - renewBefore - time.Hour)
		if get(t, c, "localhost") != first {
			t.Error("made anew too early")
		}
		time.Sleep(2 * time.Hour)
		if second := get(t, c, "localhost"); second == first || time.Until(second.Leaf.NotAfter) < leafValid-time.Minute {
			t.Error("not made anew")
		}
	})
}

func TestCAEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		first := open(t, dir)
		time.Sleep(caValid - leafValid - time.Hour)
		if second := open(t, dir); !second.Certificate().Equal(first.Certificate()) {
			t.Error("replaced too early")
		}
		time.Sleep(2 * time.Hour)
		if second := open(t, dir); second.Certificate().Equal(first.Certificate()) {
			t.Error("a CA that ends before its leaves is not replaced")
		}
	})
}

func TestCacheIsBounded(t *testing.T) {
	c := open(t, t.TempDir())
	cert := get(t, c, "localhost")
	c.mu.Lock()
	for i := range 2 * maxLeaves {
		l := &leaf{done: make(chan struct{}), cert: c.entries["localhost"].cert}
		close(l.done)
		l.used.Store(int64(i))
		if len(c.entries) < maxLeaves {
			c.entries[fmt.Sprintf("n%d.localhost", i)] = l
		}
	}
	c.mu.Unlock()
	for i := range 20 {
		get(t, c, fmt.Sprintf("new%d.localhost", i))
	}
	if len(c.entries) > maxLeaves {
		t.Errorf("%d certificates in memory", len(c.entries))
	}
	if get(t, c, "localhost") != cert {
		t.Error("the one that was just used was given up")
	}
}

func BenchmarkSign(b *testing.B) {
	c := open(b, b.TempDir())
	for b.Loop() {
		if _, err := c.sign("x.localhost", time.Now()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	c := open(b, b.TempDir())
	b.ReportAllocs()
	for b.Loop() {
		get(b, c, "x.localhost")
	}
}
