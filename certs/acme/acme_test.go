package acme

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mholt/acmez/v3/acme"
	"github.com/rs/zerolog"

	"edgerouter/bus"
	"edgerouter/certs"
	"edgerouter/certs/vault"
	"edgerouter/metrics"
)

func containsAll(text string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}

// lab is a Manager on a bus in memory.
type lab struct {
	*Manager
	vault *vault.Vault
	store *certs.Store
	log   *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
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

func newLab(t *testing.T, directory string, roots *x509.CertPool, hosts ...string) *lab {
	t.Helper()
	l := &lab{log: &lockedBuffer{}}
	log := zerolog.New(l.log)
	var err error
	if l.vault, err = vault.New(vault.Options{Log: &bus.Memory{}, Stream: "/t-1/vault", Secret: testSecret, Owner: "a", Metrics: metrics.NewSet(), Logger: log}); err != nil {
		t.Fatal(err)
	}
	if l.Manager, err = New(Options{
		Vault: l.vault, Directory: directory, Email: "a@example.com", Roots: roots, Hosts: func() []string { return hosts },
		HTTP: freePort(t), HTTPS: freePort(t), Metrics: metrics.NewSet(), Logger: log,
	}); err != nil {
		t.Fatal(err)
	}
	l.store = certs.NewStore(certs.Options{Metrics: metrics.NewSet(), Log: log})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = l.vault.Run(ctx) })
	managing, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := l.Run(managing, func(c []*certs.Certificate, p []certs.Problem) { l.store.Set(certs.SourceACME, c, p) }); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		stop()
		<-done
		cancel()
		running.Wait()
		if t.Failed() {
			t.Logf("log:\n%s", l.log)
		}
	})
	return l
}

func (l *lab) problem() string {
	var all []string
	for _, p := range l.store.Problems()[certs.SourceACME] {
		all = append(all, p.Message)
	}
	return strings.Join(all, "\n")
}

// pair makes a certificate and its key in PEM.
func pair(t *testing.T, serial int64, names ...string) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: names, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
}

func (l *lab) serial(name string) int64 {
	c := l.store.Table().Lookup(name, nil)
	if c == nil {
		return 0
	}
	return c.Leaf.SerialNumber.Int64()
}

// A CA that is down changes nothing that is in service, and is told.
func TestCAIsDown(t *testing.T) {
	l := newLab(t, "https://"+freePort(t)+"/dir", nil, "new.example")
	cert, key := pair(t, 7, "old.example")
	if err := l.vault.Put(t.Context(), map[string][]byte{certsFolder + "ca/old.example/old.example.crt": cert, certsFolder + "ca/old.example/old.example.key": key}); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "the failure is told", 20*time.Second, func() bool {
		return containsAll(l.problem(), "new.example", "cannot be reached", "--acme-directory", "ACME", "certificates in service stay")
	})
	if l.serial("old.example") != 7 {
		t.Error("the certificate of the vault is not served")
	}
	if !containsAll(l.log.String(), "new.example", "cannot be reached") {
		t.Errorf("log: %s", l.log)
	}
	// What does not fit, or cannot be read, leaves what was there.
	other, _ := pair(t, 8, "old.example")
	for _, bad := range [][]byte{other, []byte("junk"), cert[:len(cert)/2]} {
		if err := l.vault.Put(t.Context(), map[string][]byte{certsFolder + "ca/old.example/old.example.crt": bad}); err != nil {
			t.Fatal(err)
		}
		waitUntil(t, "the bad certificate is told", 30*time.Second, func() bool { return strings.Contains(l.problem(), "the certificate of old.example in the vault") })
		if l.serial("old.example") != 7 {
			t.Error("a bad certificate takes the place of a good one")
		}
	}
	next, nextKey := pair(t, 9, "old.example")
	if err := l.vault.Put(t.Context(), map[string][]byte{certsFolder + "ca/old.example/old.example.crt": next}); err != nil {
		t.Fatal(err)
	}
	if err := l.vault.Put(t.Context(), map[string][]byte{certsFolder + "ca/old.example/old.example.key": nextKey}); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "the renewal", 30*time.Second, func() bool { return l.serial("old.example") == 9 && !strings.Contains(l.problem(), "old.example") })
}

// limited is a CA that says that its limit is reached.
func limited(t *testing.T, until time.Time) (server *httptest.Server, orders *atomic.Int32) {
	orders = &atomic.Int32{}
	mux := http.NewServeMux()
	server = httptest.NewTLSServer(mux)
	t.Cleanup(server.Close)
	var nonces atomic.Int64
	handle := func(path string, f http.HandlerFunc) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Replay-Nonce", fmt.Sprintf("nonce%d", nonces.Add(1)))
			f(w, r)
		})
	}
	handle("/dir", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"newNonce": server.URL + "/nonce", "newAccount": server.URL + "/account", "newOrder": server.URL + "/order"})
	})
	handle("/nonce", func(http.ResponseWriter, *http.Request) {})
	handle("/account", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", server.URL+"/account/1")
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"status":"valid"}`))
	})
	handle("/order", func(w http.ResponseWriter, _ *http.Request) {
		orders.Add(1)
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusTooManyRequests)
		_ = json.NewEncoder(w).Encode(map[string]any{"type": acme.ProblemTypeRateLimited, "status": 429,
			"detail": "too many certificates already issued, retry after " + until.UTC().Format(time.DateTime) + " UTC: see https://example.com"})
	})
	return server, orders
}

func TestCALimits(t *testing.T) {
	until := time.Now().Add(3 * time.Hour).Truncate(time.Second)
	ca, orders := limited(t, until)
	roots := x509.NewCertPool()
	roots.AddCert(ca.Certificate())
	l := newLab(t, ca.URL+"/dir", roots, "a.example")
	waitUntil(t, "the limit is told", 20*time.Second, func() bool {
		return containsAll(l.problem(), "a.example", "limits how many", until.UTC().Format(time.RFC3339), ca.URL)
	})
	if p, ok := l.paused("a.example", time.Now()); !ok || !p.Until.Equal(until) {
		t.Errorf("the cluster does not know: %v %v", p, ok)
	}
	if _, ok := l.paused("a.example", until.Add(time.Second)); ok {
		t.Error("the pause does not end")
	}
	asked := orders.Load()
	if err := l.event(t.Context(), "cert_obtaining", map[string]any{"identifier": "a.example"}); !errors.Is(err, errPaused) {
		t.Errorf("the next attempt: %v", err)
	}
	if orders.Load() != asked {
		t.Error("the CA is asked again before its time")
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for detail, want := range map[string]time.Duration{
		"too many, retry after 2026-01-01 05:00:00 UTC: see": 5 * time.Hour,
		"too many, retry after 2026-01-01T02:00:00Z":         2 * time.Hour,
		"too many":                            defaultPause,
		"retry after 2099-01-01 00:00:00 UTC": maxPause,
		"retry after 2026-99-01 00:00:00 UTC": defaultPause,
	} {
		if got := retryAfter(detail, now).Sub(now); got != want {
			t.Errorf("%q: %v, want %v", detail, got, want)
		}
	}
}

func TestEligible(t *testing.T) {
	for host, want := range map[string]bool{
		"a.example": true, "xn--bcher-kva.example": true, "localhost": false, "x.localhost": false, "*.a.example": false,
		"127.0.0.1": false, "a b": false, "": false, "evil\n.example": false,
	} {
		if eligible(host) != want {
			t.Errorf("eligible(%q) is %v", host, !want)
		}
	}
}

// What certmagic expects of a store.
func TestStorage(t *testing.T) {
	l := newLab(t, "https://"+freePort(t)+"/dir", nil)
	s, ctx := l.storage, t.Context()
	for _, key := range []string{"a/b/1", "a/b/2", "a/c", "ab"} {
		if err := s.Store(ctx, key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	list := func(path string, recursive bool) string {
		keys, err := s.List(ctx, path, recursive)
		if err != nil {
			return err.Error()
		}
		slices.Sort(keys)
		return strings.Join(keys, " ")
	}
	if got := list("a", false); got != "a/b a/c" {
		t.Errorf("list: %s", got)
	}
	if got := list("a", true); got != "a/b a/b/1 a/b/2 a/c" {
		t.Errorf("recursive: %s", got)
	}
	if _, err := s.List(ctx, "none", true); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
	if !s.Exists(ctx, "a/b") || !s.Exists(ctx, "a/c") || s.Exists(ctx, "a/b/") || s.Exists(ctx, "b") {
		t.Error("exists")
	}
	if i, err := s.Stat(ctx, "a/c"); err != nil || !i.IsTerminal || i.Modified.IsZero() {
		t.Errorf("stat: %+v %v", i, err)
	}
	if i, err := s.Stat(ctx, "a"); err != nil || i.IsTerminal {
		t.Errorf("stat of a folder: %+v %v", i, err)
	}
	if _, err := s.Stat(ctx, "b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat of nothing: %v", err)
	}
	if v, err := s.Load(ctx, "a/b/1"); err != nil || string(v) != "a/b/1" {
		t.Errorf("load: %q %v", v, err)
	}
	if err := s.Delete(ctx, "a"); err != nil || s.Exists(ctx, "a/c") || !s.Exists(ctx, "ab") {
		t.Errorf("delete of a folder: %v", err)
	}
	if err := errors.Join(s.Lock(ctx, "k"), s.Unlock(ctx, "k"), s.Unlock(ctx, "k")); err != nil {
		t.Error(err)
	}
}

// Challenges are answered for what was asked, and for nothing else.
func TestChallenges(t *testing.T) {
	l := newLab(t, "https://"+freePort(t)+"/dir", nil)
	c := acme.Challenge{Type: acme.ChallengeTypeTLSALPN01, Token: "token", KeyAuthorization: "token.thumb", Identifier: acme.Identifier{Type: "dns", Value: "a.example"}}
	value, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.vault.Put(t.Context(), map[string][]byte{l.tokens[0] + "a.example.json": value}); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ host, path, want string }{
		{"a.example", PathPrefix + "token", "token.thumb"},
		{"A.Example.:80", PathPrefix + "token", "token.thumb"},
		{"a.example", PathPrefix + "other", ""},
		{"a.example", PathPrefix, ""},
		{"a.example", "/token", ""},
		{"b.example", PathPrefix + "token", ""},
		{"../a.example", PathPrefix + "token", ""},
		{"", PathPrefix + "token", ""},
	} {
		if got := l.HTTPChallenge(x.host, x.path); got != x.want {
			t.Errorf("%s %s: %q, want %q", x.host, x.path, got, x.want)
		}
	}
	if l.TLSChallenge("a.example") == nil || l.TLSChallenge("b.example") != nil || l.TLSChallenge("a.example\x00") != nil {
		t.Error("TLS-ALPN-01")
	}
}
