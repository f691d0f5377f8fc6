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
	// Rank decides between certificates of one name in one source before the time
	// that they are valid does: the higher one wins. Sources that have no order of
	// their own leave it 0.
	Rank int64
	// Ignored are the names in the certificate that are not DNS names and that it
	// does not serve, made fit for a log line.
	Ignored []string
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
		name = strings.TrimSuffix(strings.ToLower(name), ".")
		if !ValidName(name) {
			c.Ignored = append(c.Ignored, Clean(name))
			continue
		}
		c.Names = append(c.Names, name)
	}
	if len(c.Names) == 0 && len(leaf.IPAddresses) == 0 {
		return nil, fmt.Errorf("the certificate of %s (serial %s) names no host: %q is not a DNS name", subject(leaf), leaf.SerialNumber, c.Ignored[0])
	}
	return c, nil
}

// Expired says whether the certificate is not valid any more.
func (c *Certificate) Expired(now time.Time) bool { return now.After(c.TLS.Leaf.NotAfter) }

// ValidAt says whether the certificate is valid at a time: begun and not expired.
func (c *Certificate) ValidAt(now time.Time) bool {
	return !c.Expired(now) && !now.Before(c.TLS.Leaf.NotBefore)
}

// Title names the certificate for people: its first names and how many more.
func (c *Certificate) Title() string {
	switch {
	case len(c.Names) == 0:
		return subject(c.TLS.Leaf)
	case len(c.Names) > 5:
		return strings.Join(c.Names[:5], ", ") + fmt.Sprintf(" and %d more", len(c.Names)-5)
	}
	return strings.Join(c.Names, ", ")
}

// maxChainBytes is what OpenSSL's clients take of a server's chain
// (SSL_CTX_set_max_cert_list).
const maxChainBytes = 100 << 10

// size is how many bytes the chain has in a handshake, nearly.
func (c *Certificate) size() (n int) {
	for _, der := range c.TLS.Certificate {
		n += len(der)
	}
	return n
}

// Complaints say what is wrong with a certificate that is served nevertheless:
// it is not valid now, is too large, or has names that are not DNS names.
func (c *Certificate) Complaints(now time.Time) (out []string) {
	leaf := c.TLS.Leaf
	switch {
	case c.Expired(now):
		out = append(out, fmt.Sprintf("the certificate of %s expired on %s: replace it; until then it is served where there is no other",
			c.Title(), leaf.NotAfter.UTC().Format(time.RFC3339)))
	case !c.ValidAt(now):
		out = append(out, fmt.Sprintf("the certificate of %s is not valid before %s: until then another one of its names is served if there is one",
			c.Title(), leaf.NotBefore.UTC().Format(time.RFC3339)))
	}
	if size := c.size(); size > maxChainBytes {
		out = append(out, fmt.Sprintf("the chain of %s has %d names and %d bytes, more than the %d that OpenSSL takes: many clients will refuse it; divide its names among several certificates",
			c.Title(), len(c.Names), size, maxChainBytes))
	}
	if len(c.Ignored) > 0 {
		out = append(out, fmt.Sprintf("%d names of the certificate of %s are not DNS names and are passed over, such as %q",
			len(c.Ignored), c.Title(), c.Ignored[0]))
	}
	return out
}

// ValidName says whether a name is one that a client can ask for: labels of
// letters, digits, "-" and "_" (RFC 1123 section 2.1, and what is seen in the
// wild), the first of which may be "*".
func ValidName(name string) bool {
	if len(name) > maxName {
		return false
	}
	for i, label := range strings.Split(name, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		if label == "*" && i == 0 && len(name) > 2 {
			continue
		}
		if strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

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
