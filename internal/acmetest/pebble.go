// Package acmetest starts a real ACME CA (pebble) for tests, which validates for
// real: it asks a DNS server of the test where the names lead, and the node there
// for its answer to the challenge.
//
// A test that calls Start is skipped where the program is not installed, unless
// EDGEROUTER_TEST_REQUIRE names pebble: then it fails.
package acmetest

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"edgerouter/internal/testkit"
)

// CA is a running pebble.
type CA struct {
	Directory string // URL
	RootFile  string // what its HTTPS server is trusted by
	DNS       *DNS

	management string // address
	client     *http.Client
	renewals   atomic.Int64

	mu     sync.Mutex
	orders int
	lines  []string
}

// Options of a CA.
type Options struct {
	HTTP, TLS int           // the ports on which it validates
	Validity  time.Duration // of certificates; 0 means 90 days
	Reject    string        // a domain that it issues nothing for
	// Impatient makes the CA want to be asked for renewal information each second
	// and not after six hours.
	Impatient bool
}

// Start starts a CA, which ends with the test. All names lead to 127.0.0.1 at first.
func Start(t testing.TB, o Options) *CA {
	t.Helper()
	path, err := exec.LookPath("pebble")
	if err != nil {
		testkit.Missing(t, "pebble", "pebble is not installed: go install github.com/letsencrypt/pebble/v2/cmd/pebble@v2.10.1")
	}
	dir := t.TempDir()
	key := filepath.Join(dir, "key.pem")
	ca := &CA{RootFile: filepath.Join(dir, "ca.pem"), DNS: startDNS(t), management: freePort(t)}
	ca.client = serverCert(t, ca.RootFile, key)
	listen := freePort(t)
	config, _ := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": ca.management,
		"certificate": ca.RootFile, "privateKey": key,
		"httpPort": o.HTTP, "tlsPort": o.TLS, "domainBlocklist": []string{cmp.Or(o.Reject, "blocked.example")}, "keyAlgorithm": "ecdsa",
		"retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles":   map[string]any{"default": map[string]any{"description": "test", "validityPeriod": int(cmp.Or(o.Validity, 90*24*time.Hour) / time.Second)}},
	}})
	configFile := filepath.Join(dir, "pebble.json")
	if err := os.WriteFile(configFile, config, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-config", configFile, "-dnsserver", ca.DNS.addr)
	cmd.Env = append(os.Environ(), "PEBBLE_VA_ALWAYS_VALID=0", "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=5", "PEBBLE_AUTHZREUSE=0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		ca.read(out)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		_ = cmd.Wait()
		if t.Failed() {
			ca.mu.Lock()
			defer ca.mu.Unlock()
			t.Logf("pebble:\n%s", strings.Join(ca.lines[max(0, len(ca.lines)-60):], "\n"))
		}
	})
	ca.listens(t, listen)
	if o.Impatient {
		listen = impatient(t, listen, ca.RootFile, key, ca.client.Transport, &ca.renewals)
	}
	ca.Directory = "https://" + listen + "/dir"
	return ca
}

func (ca *CA) listens(t testing.TB, addr string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("pebble does not listen: %v", err)
		}
	}
}

func (ca *CA) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		ca.mu.Lock()
		ca.lines = append(ca.lines, lines.Text())
		if strings.Contains(lines.Text(), "Added order ") {
			ca.orders++
		}
		ca.mu.Unlock()
	}
}

// Orders is how many orders the CA was given.
func (ca *CA) Orders() int {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	return ca.orders
}

// Logged says whether a line of the CA's log has a text.
func (ca *CA) Logged(text string) bool {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	return slices.ContainsFunc(ca.lines, func(l string) bool { return strings.Contains(l, text) })
}

// RenewalQuestions is how often an impatient CA was asked for renewal information.
func (ca *CA) RenewalQuestions() int64 { return ca.renewals.Load() }

// RenewNow makes the CA suggest, in its renewal information (RFC 9773), that a
// certificate that it issued was to be renewed an hour ago.
func (ca *CA) RenewNow(t testing.TB, cert *x509.Certificate) {
	t.Helper()
	window, _ := json.Marshal(map[string]any{"suggestedWindow": map[string]time.Time{
		"start": time.Now().Add(-2 * time.Hour).UTC(), "end": time.Now().Add(-time.Hour).UTC()}})
	body, _ := json.Marshal(map[string]string{
		"Certificate": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})), "ARIResponse": string(window)})
	resp, err := ca.client.Post("https://"+ca.management+"/set-renewal-info/", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		t.Fatalf("pebble's renewal information: %s: %s", resp.Status, text)
	}
}

// serverCert writes what pebble's servers show, and makes a client that trusts it.
func serverCert(t testing.TB, certFile, keyFile string) *http.Client {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pebble"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:  x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for file, content := range map[string][]byte{certFile: certPEM, keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certPEM)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func freePort(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
