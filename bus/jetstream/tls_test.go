package jetstream

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"edgerouter/bus"
	"edgerouter/bus/bustest"
	"edgerouter/internal/testkit"
)

// authority makes certificates of nodes.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	a := &authority{t: t}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the nodes' authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	pair := a.sign(template)
	a.cert, a.key = pair.Leaf, pair.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

// sign makes a certificate, by itself when there is no authority yet.
func (a *authority) sign(template *x509.Certificate) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	parent, by := a.cert, a.key
	if parent == nil {
		parent, by = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// node is a certificate for the address of these tests, changed by change.
func (a *authority) node(change func(*x509.Certificate)) tls.Certificate {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	if change != nil {
		change(template)
	}
	return a.sign(template)
}

// config is what the --bus-tls-* flags make of a certificate and this authority.
func (a *authority) config(pair tls.Certificate) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
}

// Nodes that show each other certificates are a cluster, and one that cannot show
// a good one, or has the certificate and not the secret, is kept out. Each side
// says why, and the others go on.
func TestRouteTLS(t *testing.T) {
	testkit.Long(t)
	ours, foreign := newAuthority(t), newAuthority(t)
	options := clusterOptionsFor(t, 3)
	var nodes []*Bus
	var logs []*testkit.Buffer
	for i := range options {
		options[i].RouteTLS = ours.config(ours.node(nil))
		b, log := start(t, options[i])
		nodes, logs = append(nodes, b), append(logs, log)
	}
	const stream = "/t-9/tls"
	if _, err := nodes[0].Append(deadline(t), stream, bustest.Event(0)); err != nil {
		t.Fatal(err)
	}
	until(t, "the third node has it", func() bool {
		entries, err := nodes[2].Read(deadline(t), bus.Start(stream), 10)
		return err == nil && len(entries) == 2
	})
	nodes[2].Close()

	good := options[2]
	for _, c := range []struct {
		name   string
		change func(*Options)
		says   string // in the stranger's log
		theirs string // in the others'
		in     bool
	}{
		{name: "expired", change: func(o *Options) {
			o.RouteTLS = ours.config(ours.node(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }))
		}, says: "--bus-tls-cert", theirs: "has expired"},
		{name: "foreign", change: func(o *Options) { o.RouteTLS = ours.config(foreign.node(nil)) }, says: "--bus-tls-cert", theirs: "unknown authority"},
		// It shows its certificate to the others, who ask for no name, and is in. Who
		// connects to it is told.
		{name: "other address", change: func(o *Options) {
			o.RouteTLS = ours.config(ours.node(func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 2)} }))
		}, theirs: "is valid for 127.0.0.2", in: true},
		{name: "all foreign", change: func(o *Options) { o.RouteTLS = foreign.config(foreign.node(nil)) }, says: "--bus-tls-ca", theirs: "did not take this one's certificate"},
		{name: "none", change: func(o *Options) { o.RouteTLS = nil }, says: "--bus-tls-cert", theirs: "does not look like a TLS handshake"},
		{name: "wrong secret", change: func(o *Options) { o.Secret = "staple-horse-battery" }, says: "--bus-secret-file", theirs: "--bus-secret-file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := good
			c.change(&o)
			b, log := start(t, o)
			defer b.Close()
			until(t, "the stranger's log says "+c.says, func() bool { return strings.Contains(log.String(), c.says) })
			until(t, "the others' logs say "+c.theirs, func() bool { return strings.Contains(logs[0].String()+logs[1].String(), c.theirs) })
			if !c.in {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				if last, err := b.Last(ctx, stream); err == nil {
					t.Errorf("the stranger got an answer: %v", last)
				}
			}
			if _, err := nodes[0].Append(deadline(t), stream, bustest.Event(1)); err != nil {
				t.Errorf("the others do not go on: %v", err)
			}
			for _, text := range []string{log.String(), logs[0].String(), logs[1].String()} {
				if strings.Contains(text, o.Secret) || strings.Contains(text, good.Secret) {
					t.Error("the secret is in a log")
				}
				// What repeats is told once in a while.
				if n := strings.Count(text, "\n"); n > 40 {
					t.Errorf("%d lines", n)
				}
			}
		})
	}
}
