// Package devca is the development CA: a certificate authority of one's own
// machine, made once in the data directory, that signs certificates for
// localhost names and configured hosts when a handshake first asks for them.
//
// A server name goes into Get, a certificate comes out, or nothing for a name
// that is not allowed. Certificates are made in memory, are valid for 30 days
// and are renewed when a third of that is left. Handshakes for one new name wait
// together for one signature; handshakes for other names do not wait for it.
//
// The CA is not for production: whoever reads its key can speak for any name to
// whoever trusts it. It never leaves the data directory.
package devca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/certs"
)

const (
	certName = "ca.crt"
	keyName  = "ca.key"

	caValid = 10 * 365 * 24 * time.Hour
	// backdated lets clients whose clock is a little slow accept what was just made.
	backdated = time.Hour
)

// Options of a CA.
type Options struct {
	// Allowed says whether an application is configured for a host name, which is
	// in lower case. localhost and *.localhost are always allowed.
	Allowed func(name string) bool
	Log     zerolog.Logger
}

// CA signs certificates. Its methods may be called from any goroutine.
type CA struct {
	opts Options
	dir  string
	cert *x509.Certificate
	key  crypto.Signer
	leaves
}

// Open reads the CA in dir, or makes it: ca.crt, and ca.key which only the owner
// may read. A CA that ends within the life of a leaf is replaced by a new one.
func Open(dir string, opts Options) (*CA, error) {
	c := &CA{opts: opts, dir: dir, leaves: leaves{entries: map[string]*leaf{}}}
	err := c.load()
	if errors.Is(err, fs.ErrNotExist) {
		return c, c.create()
	}
	if err != nil {
		return nil, fmt.Errorf("development CA in %s: %w; remove the folder to have a new one made", dir, err)
	}
	if time.Until(c.cert.NotAfter) < leafValid {
		opts.Log.Warn().Time("not_after", c.cert.NotAfter).Str("folder", dir).
			Msg("the development CA has come to its end; a new one is made and has to be trusted anew")
		return c, c.create()
	}
	return c, nil
}

// CertFile is the path of the CA's certificate, for `edgerouter cert trust`.
func (c *CA) CertFile() string { return filepath.Join(c.dir, certName) }

// Certificate is the CA's certificate.
func (c *CA) Certificate() *x509.Certificate { return c.cert }

// load reads the CA. Both files are missing: fs.ErrNotExist.
func (c *CA) load() error {
	certFile, keyFile := filepath.Join(c.dir, certName), filepath.Join(c.dir, keyName)
	certPEM, certErr := os.ReadFile(certFile)
	keyPEM, keyErr := os.ReadFile(keyFile)
	if errors.Is(certErr, fs.ErrNotExist) != errors.Is(keyErr, fs.ErrNotExist) {
		return fmt.Errorf("of %s and %s only one is there", certName, keyName)
	}
	if err := errors.Join(certErr, keyErr); err != nil {
		return err
	}
	material, err := certs.ParsePEM(certPEM)
	if err != nil || len(material.Chain) != 1 {
		return fmt.Errorf("%s does not hold one certificate: %w", certFile, err)
	}
	keyMaterial, err := certs.ParsePEM(keyPEM)
	if err != nil {
		return fmt.Errorf("%s: %w", keyFile, err)
	}
	key, ok := keyMaterial.Key.(crypto.Signer)
	if !ok {
		return fmt.Errorf("%s holds no private key", keyFile)
	}
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(material.Chain[0].PublicKey) {
		return fmt.Errorf("%s does not fit %s", keyName, certName)
	}
	c.cert, c.key = material.Chain[0], key
	return c.protect(keyFile)
}

// protect takes the key away from everybody but the owner.
func (c *CA) protect(keyFile string) error {
	info, err := os.Stat(keyFile)
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return err
	}
	c.opts.Log.Warn().Str("file", keyFile).Stringer("mode", info.Mode().Perm()).
		Msg("others could read the key of the development CA; the mode is set to 0600")
	return os.Chmod(keyFile, 0o600)
}

// create makes a new CA in c.dir.
func (c *CA) create() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making the key of the development CA: %w", err)
	}
	host, _ := os.Hostname() // only a help to tell several apart
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{Organization: []string{"edgerouter development CA"}, CommonName: "edgerouter development CA " + host + " " + now.Format("2006-01-02")},
		NotBefore:             now.Add(-backdated),
		NotAfter:              now.Add(caValid),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("signing the certificate of the development CA: %w", err)
	}
	if c.cert, err = x509.ParseCertificate(der); err != nil {
		return fmt.Errorf("reading back the certificate of the development CA: %w", err)
	}
	c.key = key
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("writing the key of the development CA: %w", err)
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return fmt.Errorf("making the folder of the development CA (see --data): %w", err)
	}
	if err := c.write(keyName, 0o600, "PRIVATE KEY", keyDER); err != nil {
		return err
	}
	if err := c.write(certName, 0o644, "CERTIFICATE", der); err != nil {
		return err
	}
	c.opts.Log.Info().Str("certificate", c.CertFile()).Msg("development CA made; `edgerouter cert trust` tells how to trust it")
	return nil
}

// write replaces a file in one step, so that a crash leaves no half of one.
func (c *CA) write(name string, mode fs.FileMode, kind string, der []byte) error {
	path := filepath.Join(c.dir, name)
	f, err := os.CreateTemp(c.dir, "."+name+"-*") // made with mode 0600
	if err != nil {
		return fmt.Errorf("writing the development CA (see --data): %w", err)
	}
	err = errors.Join(pem.Encode(f, &pem.Block{Type: kind, Bytes: der}), f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("writing %s of the development CA (see --data): %w", path, err)
	}
	return nil
}

// serial is a random serial number of 127 bits (RFC 5280 section 4.1.2.2 allows 20 octets).
func serial() *big.Int {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b[:])
}
