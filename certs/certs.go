// Package certs is TLS at the edge: one immutable table from server name to
// certificate behind an atomic pointer, fed by sources as discovery feeds
// applications, and the *tls.Config that asks it.
//
// Certificates go in (Store.Set, one call per source and change); GetCertificate
// answers handshakes from memory, without waiting for a disk, a network or each
// other. What it never does: obtain or read certificates. That is for the
// sources: certs/file, certs/devca.
//
// A server name is looked up exactly, then as the wildcard of one label; case
// and a trailing dot do not matter. Of two sources that have a name the earlier
// in order wins, within one the certificate that is valid longer; one that has
// expired yields to one that has not. An RSA and an ECDSA certificate of one
// name are both kept and chosen by what the client can do. A name that nobody
// has gets the unrecognized_name alert (RFC 6066 section 3).
package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// The names of the sources, in the order in which they win.
const (
	SourceFile    = "file"
	SourceCertBus = "certbus"
	SourceACME    = "acme"
	SourceDevCA   = "devca"
)

// Order is the order of sources: of two that have a name the earlier one wins.
func Order() []string { return []string{SourceFile, SourceCertBus, SourceACME, SourceDevCA} }

// Problem is one thing that is wrong with a certificate of a source.
type Problem struct {
	File    string `json:"file,omitempty"`
	Message string `json:"message"`
}

// Error tells the problem in one line.
func (p Problem) Error() string {
	if p.File == "" {
		return p.Message
	}
	return p.File + ": " + p.Message
}

// Certificate is a chain with its key, checked and ready to serve; immutable.
type Certificate struct {
	// TLS has its Leaf set.
	TLS *tls.Certificate
	// Names are lower-case DNS names, wildcards as "*.example.com".
	Names []string
	// Default marks the certificate of clients that send no server name.
	Default bool
	// Origin says where it came from, such as the path of a file.
	Origin string
}

// New checks that a certificate can serve: the key fits, there is a DNS or IP
// name to serve, and the chain is in order.
func New(chain []*x509.Certificate, key crypto.PrivateKey) (*Certificate, error) {
	if len(chain) == 0 {
		return nil, errors.New("there is no certificate")
	}
	leaf := chain[0]
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a private key of type %T cannot sign", key)
	}
	if !samePublicKey(leaf.PublicKey, signer.Public()) {
		return nil, fmt.Errorf("the private key does not fit the certificate of %s (serial %s): it belongs to another one",
			subject(leaf), leaf.SerialNumber)
	}
	if len(leaf.DNSNames) == 0 && len(leaf.IPAddresses) == 0 {
		return nil, fmt.Errorf("the certificate of %s (serial %s) names no host: it has no DNS name in its subjectAltName",
			subject(leaf), leaf.SerialNumber)
	}
	for i, issuer := range chain[1:] {
		if err := chain[i].CheckSignatureFrom(issuer); err != nil {
			return nil, fmt.Errorf("certificate %d of the chain (%s) did not issue the one before it (%s): put the leaf first, then each issuer: %w",
				i+2, subject(issuer), subject(chain[i]), err)
		}
	}
	c := &Certificate{TLS: &tls.Certificate{PrivateKey: key, Leaf: leaf}}
	for _, x := range chain {
		c.TLS.Certificate = append(c.TLS.Certificate, x.Raw)
	}
	for _, name := range leaf.DNSNames {
		c.Names = append(c.Names, strings.TrimSuffix(strings.ToLower(name), "."))
	}
	return c, nil
}

// Expired says whether the certificate is not valid any more.
func (c *Certificate) Expired(now time.Time) bool { return now.After(c.TLS.Leaf.NotAfter) }

// KeyType is "RSA 2048", "ECDSA P-256" or "Ed25519".
func (c *Certificate) KeyType() string {
	switch pub := c.TLS.Leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", pub.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + pub.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	default:
		return fmt.Sprintf("%T", pub)
	}
}

// Fingerprint is the SHA-256 of the leaf certificate in hex.
func (c *Certificate) Fingerprint() string {
	sum := sha256.Sum256(c.TLS.Leaf.Raw)
	return hex.EncodeToString(sum[:])
}

func samePublicKey(a, b crypto.PublicKey) bool {
	eq, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && eq.Equal(b)
}

// subject names a certificate for people: its common name, its first DNS name,
// or the whole subject.
func subject(c *x509.Certificate) string {
	name := c.Subject.CommonName
	if name == "" && len(c.DNSNames) > 0 {
		name = c.DNSNames[0]
	}
	if name == "" {
		name = c.Subject.String()
	}
	return fmt.Sprintf("%q", name)
}
