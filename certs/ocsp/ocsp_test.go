package ocsp

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/crypto/ocsp"

	"edgerouter/certs"
	"edgerouter/metrics"
)

// responder is a CA with an OCSP responder.
type responder struct {
	ca     *x509.Certificate
	key    *ecdsa.PrivateKey
	url    string
	status atomic.Int32 // of ocsp; below 0: an HTTP error
	asked  atomic.Int32
	next   time.Duration
}

func startResponder(t *testing.T) *responder {
	t.Helper()
	r := &responder{next: time.Hour}
	var err error
	if r.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, r.key.Public(), r.key)
	if err != nil {
		t.Fatal(err)
	}
	if r.ca, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(r.answer))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func (r *responder) answer(w http.ResponseWriter, req *http.Request) {
	r.asked.Add(1)
	status := int(r.status.Load())
	body, _ := io.ReadAll(req.Body)
	question, err := ocsp.ParseRequest(body)
	if err != nil || status < 0 {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	now := time.Now()
	out, err := ocsp.CreateResponse(r.ca, r.ca, ocsp.Response{
		Status: status, SerialNumber: question.SerialNumber, ThisUpdate: now.Add(-time.Minute), NextUpdate: now.Add(r.next),
		RevokedAt: now.Add(-time.Minute), IssuerHash: question.HashAlgorithm,
	}, r.key)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(out)
}

func (r *responder) issue(t *testing.T, url string) *certs.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"a.example"}, OCSPServer: []string{url},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, r.ca, key.Public(), r.key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	c, err := certs.New([]*x509.Certificate{leaf, r.ca}, key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// staple is what a handshake comes with.
func staple(t *testing.T, store *certs.Store) []byte {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	go func() {
		defer b.Close()
		_ = tls.Server(b, store.TLSConfig(certs.TLSOptions{})).Handshake()
	}()
	c := tls.Client(a, &tls.Config{ServerName: "a.example", InsecureSkipVerify: true})
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	return c.OCSPResponse()
}

func TestStapling(t *testing.T) {
	r := startResponder(t)
	var log bytes.Buffer
	store := certs.NewStore(certs.Options{Metrics: metrics.NewSet(), Log: zerolog.Nop()})
	s := New(Options{Store: store, Metrics: metrics.NewSet(), Logger: zerolog.New(&log)})
	cert := r.issue(t, r.url)
	store.Set(certs.SourceFile, []*certs.Certificate{cert}, nil)
	due := func() {
		for _, k := range s.known {
			k.next = time.Time{}
		}
	}

	r.status.Store(-1)
	s.look(t.Context())
	if staple(t, store) != nil || !strings.Contains(log.String(), "503") || !strings.Contains(log.String(), "a.example") {
		t.Errorf("a responder that is down: %s", &log)
	}
	s.look(t.Context())
	if r.asked.Load() != 1 {
		t.Error("it is asked again at once")
	}
	r.status.Store(int32(ocsp.Good))
	due()
	s.look(t.Context())
	parsed, err := ocsp.ParseResponseForCert(staple(t, store), cert.TLS.Leaf, r.ca)
	if err != nil || parsed.Status != ocsp.Good {
		t.Fatalf("no good staple: %v", err)
	}
	// Another source's change leaves the staple; a failure does while it is valid.
	store.Set(certs.SourceACME, []*certs.Certificate{}, nil)
	r.status.Store(-1)
	due()
	s.look(t.Context())
	if staple(t, store) == nil {
		t.Error("the staple is gone because the responder is")
	}
	// Renewed in the store: the same certificate comes with its staple at once.
	store.Set(certs.SourceFile, nil, nil)
	store.Set(certs.SourceFile, []*certs.Certificate{cert}, nil)
	if staple(t, store) == nil {
		t.Error("a certificate that comes back has no staple")
	}
	r.status.Store(int32(ocsp.Revoked))
	due()
	s.look(t.Context())
	if staple(t, store) != nil || !strings.Contains(log.String(), "revoked") {
		t.Errorf("a revoked certificate: %s", &log)
	}
	store.Set(certs.SourceFile, nil, nil)
	s.look(t.Context())
	if len(s.known) != 0 {
		t.Error("what is gone is remembered")
	}
}

func TestUnusableAnswers(t *testing.T) {
	r, other := startResponder(t), startResponder(t)
	for _, x := range []struct {
		name, want string
		prepare    func()
	}{
		{"signed by another", "signature", func() { other.status.Store(int32(ocsp.Good)) }},
		{"unknown", "OCSP", func() { other.status.Store(int32(ocsp.Unknown)) }},
		{"ended", "OCSP", func() { other.status.Store(int32(ocsp.Good)); other.next = -time.Second }},
	} {
		x.prepare()
		var log bytes.Buffer
		store := certs.NewStore(certs.Options{Metrics: metrics.NewSet(), Log: zerolog.Nop()})
		s := New(Options{Store: store, Metrics: metrics.NewSet(), Logger: zerolog.New(&log)})
		store.Set(certs.SourceFile, []*certs.Certificate{r.issue(t, other.url)}, nil)
		s.look(t.Context())
		if staple(t, store) != nil || !strings.Contains(log.String(), x.want) {
			t.Errorf("%s: %s", x.name, &log)
		}
	}
}
