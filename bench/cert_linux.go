package bench

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"edgerouter/bench/peer"
)

// certificate is the files of a self-signed ECDSA P-256 certificate and the pool
// that trusts it.
type certificate struct {
	dir, cert, key, both string
	pool                 *x509.CertPool
}

// makeCertificate writes cert.crt and cert.key into dir/cert, and both.pem, which
// HAProxy wants, into dir: a folder with both would hold the certificate twice.
func makeCertificate(dir string) (*certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the certificate's key: %w", err)
	}
	now := time.Now()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: peer.Host},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(7 * 24 * time.Hour),
		DNSNames: []string{peer.Host, "*." + peer.Host},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("make the certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make the certificate: %w", err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	c := &certificate{dir: filepath.Join(dir, "cert"), pool: x509.NewCertPool()}
	c.cert, c.key, c.both = filepath.Join(c.dir, "cert.crt"), filepath.Join(c.dir, "cert.key"), filepath.Join(dir, "both.pem")
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the certificate: %w", err)
	}
	for path, b := range map[string][]byte{c.cert: certPEM, c.key: keyPEM, c.both: append(append([]byte{}, certPEM...), keyPEM...)} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			return nil, fmt.Errorf("make the certificate: %w", err)
		}
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make the certificate: %w", err)
	}
	c.pool.AddCert(parsed)
	return c, nil
}
