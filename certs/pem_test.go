package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
)

func TestParsePEM(t *testing.T) {
	cert := makeCert(t, ecdsaKey(), 90*day, "example.com")
	ec, err := x509.MarshalECPrivateKey(ecdsaKey())
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	sec1 := block("EC PRIVATE KEY", ec)
	pkcs1 := block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey()))
	for _, c := range []struct {
		name   string
		in     []byte
		chain  int
		key    bool
		errors string // part of the error
	}{
		{"certificate", certPEM(cert), 1, false, ""},
		{"key and certificate", append(keyPEM(t, ecdsaKey()), certPEM(cert)...), 1, true, ""},
		{"SEC 1", sec1, 0, true, ""},
		{"PKCS #1", pkcs1, 0, true, ""},
		{"Ed25519", keyPEM(t, ed25519Key()), 0, true, ""},
		{"PKCS #8 under a wrong name", block("RSA PRIVATE KEY", keyDER(t)), 0, true, ""},
		{"text around", append([]byte("subject=x\n"), certPEM(cert)...), 1, false, ""},
		{"parameters", append(block("EC PARAMETERS", []byte{1}), certPEM(cert)...), 1, false, ""},
		{"nothing", nil, 0, false, "no certificate and no private key"},
		{"text", []byte("hello"), 0, false, "no certificate and no private key"},
		{"two keys", append(keyPEM(t, ecdsaKey()), sec1...), 0, false, "more than one private key"},
		{"broken certificate", block("CERTIFICATE", []byte("x")), 0, false, "block 1 is not a readable certificate"},
		{"broken key", block("PRIVATE KEY", []byte("x")), 0, false, "PKCS #8"},
		{"encrypted", block("ENCRYPTED PRIVATE KEY", []byte("x")), 0, false, "passphrase"},
		{"encrypted the old way", pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,0"}, Bytes: []byte("x")}), 0, false, "passphrase"},
		{"cut off", append(certPEM(cert), certPEM(cert)[:200]...), 0, false, "cut off"},
		{"too many", bytes.Repeat(certPEM(cert), maxChain+1), 0, false, "more than 32"},
	} {
		m, err := ParsePEM(c.in)
		if c.errors != "" {
			if err == nil || !strings.Contains(err.Error(), c.errors) {
				t.Errorf("%s: error %v, want %q", c.name, err, c.errors)
			}
			continue
		}
		if err != nil || len(m.Chain) != c.chain || (m.Key != nil) != c.key {
			t.Errorf("%s: %d certificates, key %v, error %v", c.name, len(m.Chain), m.Key != nil, err)
		}
	}
}

func keyDER(t testing.TB) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(ecdsaKey())
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestNewRefuses(t *testing.T) {
	cert := makeCert(t, ecdsaKey(), 90*day, "example.com")
	other := makeCert(t, newECDSA(), 90*day, "other.example.com")
	nameless := makeCert(t, ecdsaKey(), 90*day)
	for _, c := range []struct {
		name  string
		chain []*x509.Certificate
		key   any
		part  string
	}{
		{"no certificate", nil, ecdsaKey(), "no certificate"},
		{"a key that does not fit", []*x509.Certificate{cert}, newECDSA(), "does not fit"},
		{"a key of another kind", []*x509.Certificate{cert}, rsaKey(), "does not fit"},
		{"no key", []*x509.Certificate{cert}, nil, "cannot sign"},
		{"no name", []*x509.Certificate{nameless}, ecdsaKey(), "names no host"},
		{"chain in disorder", []*x509.Certificate{cert, other}, ecdsaKey(), "did not issue"},
	} {
		if _, err := New(c.chain, c.key); err == nil || !strings.Contains(err.Error(), c.part) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.part)
		}
	}
	if c, err := New([]*x509.Certificate{cert}, ecdsaKey()); err != nil || c.KeyType() != "ECDSA P-256" || len(c.Fingerprint()) != 64 {
		t.Errorf("a good one: %v %v", c, err)
	}
}

func FuzzParsePEM(f *testing.F) {
	cert := certPEM(makeCert(f, ecdsaKey(), 90*day, "example.com"))
	f.Add(cert)
	f.Add(append(keyPEM(f, ecdsaKey()), cert...))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParsePEM(data)
		if err != nil {
			if len(m.Chain) > 0 || m.Key != nil {
				t.Error("material and an error")
			}
			return
		}
		if len(m.Chain) == 0 && m.Key == nil || len(m.Chain) > maxChain {
			t.Errorf("%d certificates, key %v", len(m.Chain), m.Key != nil)
		}
		if c, err := New(m.Chain, m.Key); err == nil && c.TLS.Leaf == nil {
			t.Error("a certificate without a leaf")
		}
	})
}
