package middleware

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
)

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "clients' CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	a := authority{key: key, file: filepath.Join(t.TempDir(), "ca.pem")}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a authority) issue(t *testing.T, name string, until time.Duration, usage x509.ExtKeyUsage) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(0xabc), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"client.example"}, EmailAddresses: []string{"a@example.com"},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(until), ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// tlsConn is what fasthttp takes for a TLS connection.
type tlsConn struct {
	net.Conn
	state tls.ConnectionState
}

func (tlsConn) Handshake() error                       { return nil }
func (c tlsConn) ConnectionState() tls.ConnectionState { return c.state }
func (tlsConn) RemoteAddr() net.Addr                   { return &net.TCPAddr{} }

func withChain(chain ...*x509.Certificate) *fasthttp.RequestCtx {
	ctx := &fasthttp.RequestCtx{}
	ctx.Init2(tlsConn{state: tls.ConnectionState{PeerCertificates: chain}}, nil, false)
	return ctx
}

func TestClientCertificate(t *testing.T) {
	ours, others := newAuthority(t), newAuthority(t)
	good := ours.issue(t, "alice", time.Hour, x509.ExtKeyUsageClientAuth)
	wrap, err := NewClientCertificate(app.ClientCertificateOpts{CAFile: ours.file}, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	optional, err := NewClientCertificate(app.ClientCertificateOpts{CAFile: ours.file, Optional: true}, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		name    string
		chain   []*x509.Certificate
		through bool
		why     string
	}{
		{"good", []*x509.Certificate{good}, true, ""},
		{"good, again", []*x509.Certificate{good}, true, ""},
		{"none", nil, false, "is needed"},
		{"of another authority", []*x509.Certificate{others.issue(t, "bob", time.Hour, x509.ExtKeyUsageClientAuth)}, false, "authority"},
		{"for servers", []*x509.Certificate{ours.issue(t, "bob", time.Hour, x509.ExtKeyUsageServerAuth)}, false, "not for clients"},
		{"expired", []*x509.Certificate{ours.issue(t, "bob", -time.Hour, x509.ExtKeyUsageClientAuth)}, false, "expired"},
	} {
		ctx, reached := withChain(x.chain...), false
		wrap(func(ctx *fasthttp.RequestCtx) {
			reached = true
			h := &ctx.Request.Header
			if got := string(h.Peek("X-Client-Cert-Subject")); got != "CN=alice" {
				t.Errorf("%s: subject %q", x.name, got)
			}
			if string(h.Peek("X-Client-Cert-Serial")) != "abc" || string(h.Peek("X-Client-Cert-San")) != "client.example,a@example.com" ||
				len(h.Peek("X-Client-Cert-Fingerprint")) != 64 || string(h.Peek("X-Client-Cert-Issuer")) != "CN=clients' CA" {
				t.Errorf("%s: fields %s", x.name, h)
			}
		})(ctx)
		if reached != x.through || !reached && (ctx.Response.StatusCode() != 403 || !strings.Contains(string(ctx.Response.Body()), x.why)) {
			t.Errorf("%s: reached %v, status %d, %s", x.name, reached, ctx.Response.StatusCode(), ctx.Response.Body())
		}
	}
	for name, ctx := range map[string]*fasthttp.RequestCtx{"over plain HTTP": {}, "without one": withChain()} {
		reached := false
		optional(func(*fasthttp.RequestCtx) { reached = true })(ctx)
		if !reached {
			t.Errorf("optional, %s: refused", name)
		}
	}
	ctx := withChain(others.issue(t, "bob", time.Hour, x509.ExtKeyUsageClientAuth))
	optional(func(*fasthttp.RequestCtx) { t.Error("optional: a bad certificate gets through") })(ctx)
	if ctx.Response.StatusCode() != 403 {
		t.Errorf("status %d", ctx.Response.StatusCode())
	}

	if _, err := NewClientCertificate(app.ClientCertificateOpts{CAFile: "/nowhere"}, Deps{}); err == nil || !strings.Contains(err.Error(), "ca_file") {
		t.Errorf("a CA that is not there: %v", err)
	}
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewClientCertificate(app.ClientCertificateOpts{CAFile: empty}, Deps{}); err == nil || !strings.Contains(err.Error(), empty) {
		t.Errorf("an empty file: %v", err)
	}
}

// What is in a certificate cannot end a line of the head.
func TestFieldsAreClean(t *testing.T) {
	a := newAuthority(t)
	c := a.issue(t, "a\r\nX-Evil: 1 \u00e9", time.Hour, x509.ExtKeyUsageClientAuth)
	for line := range strings.Lines(string(certFields(c, sha256.Sum256(c.Raw)))) {
		if !strings.HasPrefix(line, clientCertPrefix) {
			t.Errorf("line %q", line)
		}
	}
}
