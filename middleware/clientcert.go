package middleware

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/wire"
)

// The fields that carry a verified client certificate to the backend. The server
// removes what clients send by these names. The values are:
//
//	X-Client-Cert-Subject      the subject's distinguished name (RFC 2253)
//	X-Client-Cert-Issuer       the issuer's
//	X-Client-Cert-Serial       the serial number in hex
//	X-Client-Cert-Fingerprint  SHA-256 of the certificate in hex
//	X-Client-Cert-Not-After    when it ends (RFC 3339)
//	X-Client-Cert-San          its DNS names, e-mail addresses and URIs, with commas
const clientCertPrefix = "X-Client-Cert-"

// maxVerified bounds the certificates whose verification is remembered, and
// verifiedFor is for how long.
const (
	maxVerified = 4096
	verifiedFor = time.Minute
)

// clientCerts verifies the certificates of one application.
type clientCerts struct {
	roots    *x509.CertPool
	file     string
	optional bool

	mu       sync.Mutex
	verified map[[sha256.Size]byte]verdict // by leaf
}

type verdict struct {
	fields []byte // lines of the head; nil: refused
	why    string
	until  time.Time
}

// NewClientCertificate makes the middleware client_certificate: a request needs a
// client certificate that one of the authorities issued for client authentication.
// Without one, or over plain HTTP, it is answered 403.
func NewClientCertificate(opts app.ClientCertificateOpts, _ Deps) (Wrapper, error) {
	content, err := os.ReadFile(opts.CAFile)
	if err != nil {
		return nil, fmt.Errorf("client_certificate_opts.ca_file: %w", err)
	}
	c := &clientCerts{roots: x509.NewCertPool(), file: opts.CAFile, optional: opts.Optional, verified: map[[sha256.Size]byte]verdict{}}
	if !c.roots.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("client_certificate_opts.ca_file %s: there is no certificate in PEM form in it", opts.CAFile)
	}
	return c.wrap, nil
}

func (c *clientCerts) wrap(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		var state *tls.ConnectionState
		if ctx.IsTLS() {
			state = ctx.TLSConnectionState()
		}
		if state == nil || len(state.PeerCertificates) == 0 {
			if c.optional {
				next(ctx)
				return
			}
			wire.Fail(ctx, fasthttp.StatusForbidden, "a client certificate is needed here")
			return
		}
		v := c.verify(state.PeerCertificates, time.Now())
		if v.fields == nil {
			wire.Fail(ctx, fasthttp.StatusForbidden, "the client certificate is refused: "+v.why)
			return
		}
		wire.EachLine(v.fields, ctx.Request.Header.SetBytesKV)
		wire.Authorize(ctx)
		next(ctx)
	}
}

// verify looks at a chain; what it finds is remembered for a moment, because the
// requests of one connection all come with the same one.
func (c *clientCerts) verify(chain []*x509.Certificate, now time.Time) verdict {
	id := sha256.Sum256(chain[0].Raw)
	c.mu.Lock()
	v, known := c.verified[id]
	c.mu.Unlock()
	if known && now.Before(v.until) {
		return v
	}
	intermediates := x509.NewCertPool()
	for _, x := range chain[1:] {
		intermediates.AddCert(x)
	}
	v = verdict{until: now.Add(verifiedFor)}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: c.roots, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	switch {
	case err == nil:
		v.fields = certFields(chain[0], id)
	case now.After(chain[0].NotAfter):
		v.why = "it has expired"
	case now.Before(chain[0].NotBefore):
		v.why = "it is not valid yet"
	default:
		v.why = "it is not from an authority that is trusted here, or not for clients"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.verified) >= maxVerified {
		clear(c.verified)
	}
	c.verified[id] = v
	return v
}

// certFields are the lines that tell the backend of a certificate. What could end
// a line or is not ASCII is percent-encoded.
func certFields(leaf *x509.Certificate, sum [sha256.Size]byte) []byte {
	var b []byte
	add := func(name, value string) {
		if value != "" {
			b = wire.AppendField(b, clientCertPrefix+name, []byte(clean(value)))
		}
	}
	add("Subject", leaf.Subject.String())
	add("Issuer", leaf.Issuer.String())
	add("Serial", leaf.SerialNumber.Text(16))
	add("Fingerprint", hex.EncodeToString(sum[:]))
	add("Not-After", leaf.NotAfter.UTC().Format(time.RFC3339))
	var sans bytes.Buffer
	for _, list := range [][]string{leaf.DNSNames, leaf.EmailAddresses} {
		for _, name := range list {
			sans.WriteString("," + name)
		}
	}
	for _, u := range leaf.URIs {
		sans.WriteString("," + u.String())
	}
	if sans.Len() > 0 {
		add("San", sans.String()[1:])
	}
	return b
}

func clean(value string) string {
	for i := 0; i < len(value); i++ {
		if c := value[i]; c < ' ' || c >= 0x7f {
			return url.PathEscape(value)
		}
	}
	return value
}
