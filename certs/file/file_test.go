package file

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/certs"
)

const patience = 20 * time.Second

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

var serial int64

// issueAs makes a certificate of an authority.
func issueAs(t testing.TB, key crypto.Signer, issuer *x509.Certificate, issuerKey crypto.Signer, name string) *x509.Certificate {
	t.Helper()
	serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if issuer == nil {
		issuer, issuerKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), issuerKey)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return cert
}

// issue makes a certificate for names; without an issuer it signs itself and is a CA.
func issue(t testing.TB, key crypto.Signer, issuer *x509.Certificate, issuerKey crypto.Signer, valid time.Duration, names ...string) *x509.Certificate {
	t.Helper()
	serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: strings.Join(names, " ")},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(valid), DNSNames: names,
		BasicConstraintsValid: true, IsCA: len(names) == 0,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	if issuer == nil {
		issuer, issuerKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), issuerKey)
	must(t, err)
	c, err := x509.ParseCertificate(der)
	must(t, err)
	return c
}

func certPEM(list ...*x509.Certificate) string {
	var b strings.Builder
	for _, c := range list {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return b.String()
}

func keyPEM(t testing.TB, key crypto.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t testing.TB, path, content string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(content), 0o600))
}

type rig struct {
	t        *testing.T
	dir      string
	source   *Source
	mu       sync.Mutex
	list     []*certs.Certificate
	problems []certs.Problem
	updates  int
	replaced int
	signal   chan struct{}
}

func start(t *testing.T, dir string) *rig {
	t.Helper()
	r := &rig{t: t, dir: dir, source: New(dir, zerolog.Nop(), Poll(time.Hour)), signal: make(chan struct{}, 1000)}
	r.run()
	return r
}

// startReplacing is start with somebody who takes single changes by themselves.
func startReplacing(t *testing.T, dir string) *rig {
	t.Helper()
	r := &rig{t: t, dir: dir, signal: make(chan struct{}, 1000)}
	r.source = New(dir, zerolog.Nop(), Poll(time.Hour), Replace(func(old, with *certs.Certificate) bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		i := slices.Index(r.list, old)
		if i < 0 {
			t.Error("the certificate that is replaced was never handed on")
			return false
		}
		r.list = slices.Clone(r.list)
		r.list[i] = with
		r.replaced++
		r.signal <- struct{}{}
		return true
	}))
	r.run()
	return r
}

func (r *rig) run() {
	t := r.t
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.source.Run(ctx, func(list []*certs.Certificate, problems []certs.Problem) {
			r.mu.Lock()
			r.list, r.problems = list, problems
			r.updates++
			r.mu.Unlock()
			r.signal <- struct{}{}
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	<-r.source.Ready()
}

// told is what the source has: "name/serial" and the files with problems.
func (r *rig) told() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var parts []string
	for _, c := range r.list {
		parts = append(parts, fmt.Sprintf("%s/%s", strings.Join(c.Names, "+"), c.TLS.Leaf.SerialNumber))
	}
	for _, p := range r.problems {
		parts = append(parts, "!"+filepath.Base(p.File))
	}
	return strings.Join(parts, " ")
}

func (r *rig) want(format string, args ...any) {
	r.t.Helper()
	want := fmt.Sprintf(format, args...)
	timeout := time.After(patience)
	for r.told() != want {
		select {
		case <-r.signal:
		case <-timeout:
			r.t.Fatalf("got %q, want %q; problems %v", r.told(), want, r.problems)
		}
	}
}

func (r *rig) wantProblem(part string) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.ContainsFunc(r.problems, func(p certs.Problem) bool { return strings.Contains(p.Error(), part) }) {
		r.t.Errorf("no problem says %q: %v", part, r.problems)
	}
}

func TestLayouts(t *testing.T) {
	dir := t.TempDir()
	ca, caKey := (*x509.Certificate)(nil), newKey(t)
	ca = issue(t, caKey, nil, nil, time.Hour*1000)
	keys := map[string]*ecdsa.PrivateKey{}
	cert := func(name string) *x509.Certificate {
		keys[name] = newKey(t)
		return issue(t, keys[name], ca, caKey, time.Hour*1000, name)
	}
	put(t, filepath.Join(dir, "bundle.pem"), certPEM(cert("bundle"), ca)+keyPEM(t, keys["bundle"]))
	put(t, filepath.Join(dir, "keyfirst.pem"), keyPEM(t, keys["bundle"])[:0]+func() string { c := cert("keyfirst"); return keyPEM(t, keys["keyfirst"]) + certPEM(c) }())
	put(t, filepath.Join(dir, "leaflast.pem"), func() string { c := cert("leaflast"); return certPEM(ca, c) + keyPEM(t, keys["leaflast"]) }())
	put(t, filepath.Join(dir, "a.b.example.com.crt"), certPEM(cert("pair")))
	put(t, filepath.Join(dir, "a.b.example.com.key"), keyPEM(t, keys["pair"]))
	put(t, filepath.Join(dir, "mkcert.pem"), certPEM(cert("mkcert")))
	put(t, filepath.Join(dir, "mkcert-key.pem"), keyPEM(t, keys["mkcert"]))
	certbot := filepath.Join(dir, "live", "example.com")
	leaf := cert("certbot")
	put(t, filepath.Join(certbot, "cert.pem"), certPEM(leaf))
	put(t, filepath.Join(certbot, "chain.pem"), certPEM(ca))
	put(t, filepath.Join(certbot, "fullchain.pem"), certPEM(leaf, ca))
	put(t, filepath.Join(certbot, "privkey.pem"), keyPEM(t, keys["certbot"]))
	put(t, filepath.Join(dir, "k8s", "tls.crt"), certPEM(cert("k8s")))
	put(t, filepath.Join(dir, "k8s", "tls.key"), keyPEM(t, keys["k8s"]))
	put(t, filepath.Join(dir, "default.pem"), certPEM(cert("fallback"))+keyPEM(t, keys["fallback"]))
	put(t, filepath.Join(dir, ".hidden.pem"), "x")
	put(t, filepath.Join(dir, "README"), "x")
	r := start(t, dir)
	var got []string
	for _, c := range r.list {
		got = append(got, fmt.Sprintf("%s %d %v", c.Names[0], len(c.TLS.Certificate), c.Default))
	}
	slices.Sort(got)
	want := []string{"bundle 2 false", "certbot 2 false", "fallback 1 true", "k8s 1 false", "keyfirst 1 false", "leaflast 2 false", "mkcert 1 false", "pair 1 false"}
	if !slices.Equal(got, want) || len(r.problems) != 0 {
		t.Errorf("got %q\nwant %q\nproblems %v", got, want, r.problems)
	}
}

func TestBadFilesAreReported(t *testing.T) {
	dir := t.TempDir()
	key := newKey(t)
	good := issue(t, key, nil, nil, time.Hour, "good")
	put(t, filepath.Join(dir, "good.pem"), certPEM(good)+keyPEM(t, key))
	put(t, filepath.Join(dir, "broken.pem"), "-----BEGIN CERTIFICATE-----\nAAAA")
	put(t, filepath.Join(dir, "misfit.crt"), certPEM(issue(t, newKey(t), nil, nil, time.Hour, "misfit")))
	put(t, filepath.Join(dir, "misfit.key"), keyPEM(t, newKey(t)))
	put(t, filepath.Join(dir, "keyless.crt"), certPEM(issue(t, newKey(t), nil, nil, time.Hour, "keyless")))
	put(t, filepath.Join(dir, "old.pem"), certPEM(issue(t, key, nil, nil, -time.Hour, "old"))+keyPEM(t, key))
	put(t, filepath.Join(dir, "sub", "lonely.key"), keyPEM(t, newKey(t)))
	must(t, os.Mkdir(filepath.Join(dir, "dir.pem"), 0o755))
	r := start(t, dir)
	r.mu.Lock()
	names := len(r.list)
	r.mu.Unlock()
	if names != 2 { // good and the expired one
		t.Errorf("%d certificates: %s", names, r.told())
	}
	for _, part := range []string{"broken.pem: 1 of 1 PEM blocks cannot be read", "misfit.crt: with the key in misfit.key: the private key does not fit",
		"keyless.crt: there is no private key for it", "old.pem: the certificate of old expired on", "lonely.key: there is no certificate"} {
		r.wantProblem(part)
	}
}

func TestChanges(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	r := start(t, dir)
	r.wantProblem("cannot be read")
	key := newKey(t)
	one := issue(t, key, nil, nil, time.Hour, "one")
	put(t, filepath.Join(dir, "one.pem"), certPEM(one)+keyPEM(t, key))
	r.want("one/%v", one.SerialNumber)

	// Renewal: the certificate first, the key later.
	newOne := newKey(t)
	two := issue(t, newOne, nil, nil, time.Hour, "two")
	put(t, filepath.Join(dir, "pair.crt"), certPEM(two))
	put(t, filepath.Join(dir, "pair.key"), keyPEM(t, newOne))
	r.want("one/%v two/%v", one.SerialNumber, two.SerialNumber)
	updates := r.updates
	nextKey := newKey(t)
	three := issue(t, nextKey, nil, nil, time.Hour, "two")
	put(t, filepath.Join(dir, "pair.crt"), certPEM(three))
	time.Sleep(50 * time.Millisecond)
	put(t, filepath.Join(dir, "pair.key"), keyPEM(t, nextKey))
	r.want("one/%v two/%v", one.SerialNumber, three.SerialNumber)
	if r.updates != updates+1 {
		t.Errorf("%d updates for a renewal in two steps", r.updates-updates)
	}

	// A bad file keeps what it held, and says so.
	put(t, filepath.Join(dir, "one.pem"), "garbage")
	r.want("one/%v two/%v !one.pem", one.SerialNumber, three.SerialNumber)
	r.wantProblem("stays in service")
	put(t, filepath.Join(dir, "one.pem"), certPEM(one)+keyPEM(t, key))
	r.want("one/%v two/%v", one.SerialNumber, three.SerialNumber)

	// Removal, and the folder going away.
	must(t, os.Remove(filepath.Join(dir, "one.pem")))
	r.want("two/%v", three.SerialNumber)
	must(t, os.Rename(dir, dir+".away"))
	r.want("two/%v !certs", three.SerialNumber)
	must(t, os.Rename(dir+".away", dir))
	r.want("two/%v", three.SerialNumber)

	// Folders made later are followed.
	put(t, filepath.Join(dir, "deep", "er", "one.pem"), certPEM(one)+keyPEM(t, key))
	r.want("one/%v two/%v", one.SerialNumber, three.SerialNumber)
	r.source.Reload()
}

// A change that comes with the new key under the old name keeps identity for
// what did not change.
func TestUnchangedKeepsItsValue(t *testing.T) {
	dir := t.TempDir()
	key := newKey(t)
	put(t, filepath.Join(dir, "a.pem"), certPEM(issue(t, key, nil, nil, time.Hour, "a"))+keyPEM(t, key))
	r := start(t, dir)
	first := r.list[0]
	b := issue(t, key, nil, nil, time.Hour, "b")
	put(t, filepath.Join(dir, "b.pem"), certPEM(b)+keyPEM(t, key))
	r.want("a/%v b/%v", first.TLS.Leaf.SerialNumber, b.SerialNumber)
	if r.list[0] != first {
		t.Error("a certificate that did not change is another value")
	}
}

// Among many files one is renewed, turns bad, and is good again; others are added
// and removed. Every change leaves the others' values as they are.
func TestOneAmongMany(t *testing.T) {
	t.Run("all handed on", func(t *testing.T) { oneAmongMany(t, start) })
	t.Run("one replaced", func(t *testing.T) {
		if r := oneAmongMany(t, startReplacing); r.replaced == 0 {
			t.Error("no change was handed on by itself")
		}
	})
}

func oneAmongMany(t *testing.T, start func(*testing.T, string) *rig) *rig {
	dir := t.TempDir()
	key := newKey(t)
	write := func(i int) *x509.Certificate {
		c := issue(t, key, nil, nil, time.Hour, fmt.Sprintf("n%03d", i))
		path := filepath.Join(dir, fmt.Sprintf("%03d.pem", i))
		put(t, path+"~", certPEM(c)+keyPEM(t, key))
		must(t, os.Rename(path+"~", path))
		return c
	}
	serials := map[int]*big.Int{}
	for i := range 300 {
		serials[i] = write(i).SerialNumber
	}
	r := start(t, dir)
	all := func(more string) string {
		var parts []string
		for _, i := range slices.Sorted(maps.Keys(serials)) {
			parts = append(parts, fmt.Sprintf("n%03d/%v", i, serials[i]))
		}
		return strings.Join(parts, " ") + more
	}
	r.want("%s", all(""))
	first := r.list[0]
	for _, i := range []int{150, 299, 1, 150} {
		serials[i] = write(i).SerialNumber
		r.want("%s", all(""))
	}
	put(t, filepath.Join(dir, "150.pem"), "junk")
	r.want("%s", all(" !150.pem"))
	serials[150] = write(150).SerialNumber
	r.want("%s", all(""))
	serials[300] = write(300).SerialNumber
	r.want("%s", all(""))
	must(t, os.Remove(filepath.Join(dir, "007.pem")))
	delete(serials, 7)
	r.want("%s", all(""))
	serials[7] = write(7).SerialNumber
	r.want("%s", all(""))
	// The same content again, and a chain and a key in two files.
	put(t, filepath.Join(dir, "008.key"), keyPEM(t, key))
	put(t, filepath.Join(dir, "009.crt"), certPEM(issue(t, key, nil, nil, time.Hour, "n009b")))
	serials[8] = write(8).SerialNumber
	waitFor := time.Now().Add(patience)
	for !strings.Contains(r.told(), fmt.Sprintf("n008/%v", serials[8])) || !strings.Contains(r.told(), "n009b/") {
		if time.Now().After(waitFor) {
			t.Fatalf("got %s", r.told())
		}
		<-r.signal
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.list[0] != first {
		t.Error("a certificate that did not change is another value")
	}
	return r
}
