// Package testkit is what the tests of several packages have in common. No
// program imports it.
package testkit

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Missing skips the test because something that is not part of the project is
// not there, or fails it when EDGEROUTER_TEST_REQUIRE (names with commas) has it:
// the gate installs everything and skips nothing. text says how to get it.
func Missing(t testing.TB, name, text string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("EDGEROUTER_TEST_REQUIRE"), ","), name) {
		t.Fatalf("%s is required by EDGEROUTER_TEST_REQUIRE: %s", name, text)
	}
	t.Skip(text)
}

// Buffer is a bytes.Buffer that is read while others write, such as a log. The
// zero value is empty.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write appends.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String is everything that was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// CAFile writes a certificate that may stand for an authority, as PEM, and returns
// the file's path.
func CAFile(t testing.TB) string {
	t.Helper()
	server, _ := TLS(t, "ca.test")
	path := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificates[0].Certificate[0]})
	if err := os.WriteFile(path, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TLS makes a self-signed ECDSA P-256 certificate for a name and 127.0.0.1, and
// returns what a server and a client that trusts it need.
func TLS(t testing.TB, name string) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
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
		&tls.Config{RootCAs: roots, ServerName: name}
}
