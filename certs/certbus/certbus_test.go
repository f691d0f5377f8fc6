package certbus

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/bus"
	"edgerouter/certs"
	"edgerouter/metrics"
)

const stream = "/t-1/certbus"

// item is one of DynamoDB as testdata/items.json has it.
type item struct {
	Stream  string   `json:"s"`
	Version int64    `json:"v"`
	Events  []string `json:"e"`
}

func testItems(t testing.TB) (out []item) {
	t.Helper()
	data, err := os.ReadFile("testdata/items.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []item
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if i.Stream == stream && len(i.Events) > 0 {
			out = append(out, i)
		}
	}
	return out
}

func clientKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	text, err := os.ReadFile("testdata/client-privkey.pem")
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParseClientKey(base64.StdEncoding.EncodeToString(text))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// node is a Source that feeds a Store.
type node struct {
	*Source
	store *certs.Store
	set   *metrics.Set
	log   *lockedBuffer
	wake  chan struct{}
	stop  func()
}

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

func start(t *testing.T, log bus.Log, snapshot string, keys ...*rsa.PrivateKey) *node {
	t.Helper()
	n := &node{set: metrics.NewSet(), log: &lockedBuffer{}, wake: make(chan struct{}, 1)}
	n.store = certs.NewStore(certs.Options{Metrics: n.set, Log: zerolog.Nop()})
	n.Source = New(Options{Log: log, Stream: stream, Keys: keys, SnapshotPath: snapshot, Metrics: n.set, Logger: zerolog.New(n.log)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = n.Run(ctx, func(c []*certs.Certificate, p []certs.Problem) {
			n.store.Set(certs.SourceCertBus, c, p)
			select {
			case n.wake <- struct{}{}:
			default:
			}
		})
	}()
	n.stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(n.stop)
	return n
}

// until waits for a condition that a change brings.
func (n *node) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-n.wake:
		case <-deadline:
			t.Fatalf("not within 10 s: %s; problems %v; log %s", what, n.store.Problems(), n.log)
		}
	}
}

// serial is the serial number that a handshake for a name shows; 0: refused.
func (n *node) serial(t *testing.T, name string) int64 {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer b.Close()
		_ = tls.Server(b, n.store.TLSConfig(certs.TLSOptions{})).Handshake()
	}()
	ca, err := os.ReadFile("testdata/ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	c := tls.Client(a, &tls.Config{ServerName: name, RootCAs: pool, Time: func() time.Time { return time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC) }})
	err = c.Handshake()
	a.Close()
	<-done
	if err != nil {
		return 0
	}
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// wantSerials are those of specs/certs.md.
var wantSerials = map[string]int64{
	"example.com": 104, "www.example.com": 104, "apps.example.net": 102, "x.apps.example.net": 102,
	"foreign.example.org": 0, "gone.example.com": 0,
}

func (n *node) checkSerials(t *testing.T) {
	t.Helper()
	for name, want := range wantSerials {
		if got := n.serial(t, name); got != want {
			t.Errorf("a handshake for %s shows serial %d, want %d", name, got, want)
		}
	}
}

func TestVectorStream(t *testing.T) {
	log := &bus.Memory{}
	snapshot := filepath.Join(t.TempDir(), "certbus.snapshot")
	n := start(t, log, snapshot, clientKey(t))
	for _, i := range testItems(t) {
		if _, err := log.Append(t.Context(), stream, i.Events...); err != nil {
			t.Fatal(err)
		}
	}
	n.until(t, "serial 104", func() bool {
		c := n.store.Table().Lookup("example.com", nil)
		return c != nil && c.Leaf.SerialNumber.Int64() == 104 && n.Status().Version == 6
	})
	n.checkSerials(t)
	if len(n.store.Problems()) > 0 {
		t.Errorf("problems: %v", n.store.Problems())
	}
	n.stop()

	content, err := os.ReadFile(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(content, []byte("PRIVATE KEY")) || !bytes.Contains(content, []byte("PrivateKeyCiphertext")) {
		t.Error("the snapshot holds a private key in the clear, or no ciphertext")
	}
	if strings.Contains(n.log.String(), "PRIVATE KEY") {
		t.Error("the log holds a private key")
	}

	// A bus that cannot be reached: the snapshot serves.
	gone := &bus.Memory{}
	gone.Close()
	again := start(t, gone, snapshot, clientKey(t))
	<-again.Ready()
	again.checkSerials(t)
}

var serials int64 = 1000

// issue makes a self-signed certificate and its key in PEM.
func issue(t testing.TB, from, until time.Time, names ...string) (cert, key []byte, serial int64) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serials++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serials), Subject: pkix.Name{CommonName: "test"},
		NotBefore: from, NotAfter: until, DNSNames: names,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}), serials
}

func fresh(t testing.TB, names ...string) (cert, key []byte, serial int64) {
	return issue(t, time.Now().Add(-time.Hour), time.Now().Add(90*24*time.Hour), names...)
}

func (n *node) has(name string, serial int64) func() bool {
	return func() bool {
		c := n.store.Table().Lookup(name, nil)
		if c == nil {
			return serial == 0
		}
		return c.Leaf.SerialNumber.Int64() == serial
	}
}

func TestWriterAndTimelines(t *testing.T) {
	log, key := &bus.Memory{}, clientKey(t)
	n := start(t, log, "", key)
	w := Writer{Log: log, Stream: stream, Now: time.Now}
	put := func(id string, names ...string) (Obtained, int64) {
		t.Helper()
		cert, private, serial := fresh(t, names...)
		o, err := w.Put(t.Context(), Put{ID: id, Cert: cert, Key: private, For: &key.PublicKey})
		if err != nil {
			t.Fatal(err)
		}
		return o, serial
	}
	first, serial := put("", "a.example.com", "b.example.com")
	if first.Reason != ReasonNew || first.ID == "" {
		t.Errorf("first: %+v", first)
	}
	n.until(t, "the first", n.has("a.example.com", serial))

	renewed, serial := put("", "b.example.com", "a.example.com")
	if renewed.Reason != ReasonRenewal || renewed.ID != first.ID {
		t.Errorf("the same names are not a renewal of the same Id: %+v", renewed)
	}
	n.until(t, "the renewal", n.has("a.example.com", serial))

	other, later := put("other", "a.example.com")
	n.until(t, "the later of two Ids", n.has("a.example.com", later))
	if !n.has("b.example.com", serial)() {
		t.Error("b.example.com is not served by the first Id")
	}
	// A renewal of the first is the later event now.
	_, serial = put(first.ID, "a.example.com", "b.example.com")
	n.until(t, "the later event of the first Id", n.has("a.example.com", serial))
	if err := w.Remove(t.Context(), first.ID); err != nil {
		t.Fatal(err)
	}
	n.until(t, "the other Id, after the first was removed", n.has("a.example.com", later))
	if err := w.Remove(t.Context(), first.ID); err == nil || !strings.Contains(err.Error(), "no certificate with this Id") {
		t.Errorf("removing what is not there: %v", err)
	}
	list, err := w.List(t.Context())
	if err != nil || len(list) != 1 || list[0].ID != other.ID || list[0].Serial == "" || list[0].Fingerprint != Fingerprint(&key.PublicKey) {
		t.Errorf("list: %+v %v", list, err)
	}
}

// What is wrong with an event leaves what was before in service, and is told
// with name, source and what to do.
func TestBadEvents(t *testing.T) {
	key := clientKey(t)
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	good := func(t *testing.T) Obtained {
		cert, private, _ := fresh(t, "a.example.com")
		o, err := Writer{Now: time.Now}.prepare(Put{Cert: cert, Key: private, For: &key.PublicKey})
		if err != nil {
			t.Fatal(err)
		}
		o.ID = "c1"
		return o
	}
	otherCert, otherKey, _ := fresh(t, "a.example.com")
	seal := func(plain []byte, to *rsa.PublicKey) string {
		sealed, err := Seal(plain, to)
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(sealed)
	}
	cut := func(s string, n int) string {
		raw, _ := base64.StdEncoding.DecodeString(s)
		return base64.StdEncoding.EncodeToString(raw[:n])
	}
	junk, junkKey, _ := fresh(t, "not a name", "also/not")
	for _, x := range []struct {
		name   string
		change func(*Obtained)
		want   string
	}{
		{"broken PEM", func(o *Obtained) { o.CertPemBundle = o.CertPemBundle[:200] }, "cut off or damaged"},
		{"no PEM", func(o *Obtained) { o.CertPemBundle = "x" }, "CertPemBundle"},
		{"a key that does not fit", func(o *Obtained) { o.PrivateKeyCiphertext = seal(otherKey, &key.PublicKey) }, "does not fit the certificate"},
		{"a certificate that does not fit", func(o *Obtained) { o.CertPemBundle = string(otherCert) }, "does not fit the certificate"},
		{"encrypted for another key", func(o *Obtained) { o.PrivateKeyCiphertext = seal(otherKey, &stranger.PublicKey) }, "cannot be decrypted with the key SHA256:59Fu3a58OYq"},
		{"no ciphertext", func(o *Obtained) { o.PrivateKeyCiphertext = "" }, "cut off"},
		{"one byte", func(o *Obtained) { o.PrivateKeyCiphertext = cut(o.PrivateKeyCiphertext, 1) }, "cut off"},
		{"cut in the wrapped key", func(o *Obtained) { o.PrivateKeyCiphertext = cut(o.PrivateKeyCiphertext, 100) }, "cut off"},
		{"cut in the IV", func(o *Obtained) { o.PrivateKeyCiphertext = cut(o.PrivateKeyCiphertext, 2+256+10) }, "cut off"},
		{"cut in the key", func(o *Obtained) { o.PrivateKeyCiphertext = cut(o.PrivateKeyCiphertext, 2+256+16+50) }, "not a private key in PEM form"},
		{"not base64", func(o *Obtained) { o.PrivateKeyCiphertext = "&&&" }, "not base64"},
		{"names that are no DNS names", func(o *Obtained) {
			o.CertPemBundle, o.PrivateKeyCiphertext = string(junk), seal(junkKey, &key.PublicKey)
		}, "is not a DNS name"},
	} {
		t.Run(x.name, func(t *testing.T) {
			log := &bus.Memory{}
			n := start(t, log, "", key)
			o := good(t)
			add(t, log, TypeObtained, o)
			m, _ := certs.ParsePEM([]byte(o.CertPemBundle))
			serial := m.Chain[0].SerialNumber.Int64()
			n.until(t, "the good one", n.has("a.example.com", serial))
			bad := good(t)
			x.change(&bad)
			add(t, log, TypeObtained, bad)
			n.until(t, "the problem", func() bool { return len(n.store.Problems()) > 0 })
			text := n.store.Problems()[certs.SourceCertBus][0].Message
			for _, want := range []string{x.want, "c1", "a.example.com", "CertBus", "stays in service", "cert put"} {
				if !strings.Contains(text, want) {
					t.Errorf("the problem does not say %q: %s", want, text)
				}
			}
			if !n.has("a.example.com", serial)() {
				t.Error("the good certificate is not served any more")
			}
			if !strings.Contains(n.log.String(), x.want) {
				t.Errorf("the log does not say %q: %s", x.want, n.log)
			}
			// The next good one replaces both.
			next := good(t)
			add(t, log, TypeObtained, next)
			n.until(t, "the problem is gone", func() bool { return len(n.store.Problems()) == 0 })
			if n.has("a.example.com", serial)() {
				t.Error("the renewal is not served")
			}
		})
	}
}

func add(t *testing.T, log bus.Log, typ string, data any) {
	t.Helper()
	text, err := line(time.Now(), typ, data)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := log.Append(t.Context(), stream, text); err != nil {
		t.Fatal(err)
	}
}

func TestNotValidNow(t *testing.T) {
	log, key := &bus.Memory{}, clientKey(t)
	n := start(t, log, "", key)
	event := func(from, until time.Time) int64 {
		cert, private, serial := issue(t, from, until, "a.example.com")
		sealed, err := Seal(private, &key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		add(t, log, TypeObtained, Obtained{ID: "c1", Domains: []string{"a.example.com"}, CertPemBundle: string(cert),
			PrivateKeyDekFingerprint: Fingerprint(&key.PublicKey), PrivateKeyCiphertext: base64.StdEncoding.EncodeToString(sealed)})
		return serial
	}
	now := time.Now()
	good := event(now.Add(-time.Hour), now.Add(24*time.Hour))
	n.until(t, "the good one", n.has("a.example.com", good))
	for _, x := range []struct {
		from, until time.Duration
		want        string
	}{{time.Hour, 48 * time.Hour, "is not valid before"}, {-48 * time.Hour, -time.Hour, "expired on"}} {
		event(now.Add(x.from), now.Add(x.until))
		n.until(t, x.want, func() bool {
			p := n.store.Problems()[certs.SourceCertBus]
			return len(p) > 0 && strings.Contains(p[0].Message, x.want) && strings.Contains(p[0].Message, "c1")
		})
		if !n.has("a.example.com", good)() {
			t.Errorf("%s: the valid certificate is not served any more", x.want)
		}
	}
}

func TestManyNames(t *testing.T) {
	log, key := &bus.Memory{}, clientKey(t)
	n := start(t, log, "", key)
	w := Writer{Log: log, Stream: stream, Now: time.Now}
	var names []string
	for i := range 10_000 {
		names = append(names, "n"+big.NewInt(int64(i)).String()+".example")
	}
	cert, private, serial := fresh(t, names...)
	if _, err := w.Put(t.Context(), Put{Cert: cert, Key: private, For: &key.PublicKey}); err == nil {
		n.until(t, "10,000 names", n.has("n9999.example", serial))
	} else if !strings.Contains(err.Error(), "too large") {
		t.Errorf("10,000 names on one certificate: %v", err)
	}
	cert, private, serial = fresh(t, names[:2000]...)
	if _, err := w.Put(t.Context(), Put{Cert: cert, Key: private, For: &key.PublicKey}); err != nil {
		t.Fatal(err)
	}
	n.until(t, "2,000 names", n.has("n1999.example", serial))
	if len(n.log.String()) > 20_000 {
		t.Errorf("%d bytes of log for them", len(n.log.String()))
	}
}

func TestUnreadableEvents(t *testing.T) {
	log, key := &bus.Memory{}, clientKey(t)
	n := start(t, log, "", key)
	for _, data := range []any{map[string]any{"Id": 5}, map[string]any{"Id": ""}, map[string]any{"Id": "x", "Domains": "secret-PRIVATE"}, map[string]any{"Id": "x", "Expires": "tomorrow"}} {
		add(t, log, TypeObtained, data)
	}
	add(t, log, TypeRemoved, map[string]any{"Id": []int{1}})
	add(t, log, "SomethingElse", map[string]any{"Id": "x"})
	n.until(t, "five problems", func() bool { return len(n.store.Problems()[certs.SourceCertBus]) == 5 })
	if text := n.log.String(); strings.Contains(text, "secret") || !strings.Contains(text, "version 3 of "+stream) {
		t.Errorf("log: %s", text)
	}
}

func TestWriterRefuses(t *testing.T) {
	log, key := &bus.Memory{}, clientKey(t)
	w := Writer{Log: log, Stream: stream, Now: time.Now}
	cert, private, _ := fresh(t, "a.example.com")
	_, other, _ := fresh(t, "a.example.com")
	old, oldKey, _ := issue(t, time.Now().Add(-48*time.Hour), time.Now().Add(-time.Hour), "a.example.com")
	for _, x := range []struct {
		name string
		put  Put
		want string
	}{
		{"no certificate", Put{Cert: []byte("x"), Key: private}, "the certificate: "},
		{"no key", Put{Cert: cert, Key: cert}, "the private key: there is none"},
		{"another key", Put{Cert: cert, Key: other}, "does not fit"},
		{"expired", Put{Cert: old, Key: oldKey}, "expired on"},
		{"a bad Id", Put{ID: "a\nb", Cert: cert, Key: private}, "not printable"},
	} {
		x.put.For = &key.PublicKey
		if _, err := w.Put(t.Context(), x.put); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v", x.name, err)
		}
	}
	if last, _ := log.Last(t.Context(), stream); last.Version != -1 {
		t.Errorf("something was written: %v", last)
	}
}
