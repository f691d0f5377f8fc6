// Package ocsp keeps OCSP responses (RFC 6960) for the certificates that name a
// responder, to be stapled to handshakes (RFC 6066 section 8).
//
// Certificates of a certs.Store go in, responses go back into it. One is asked
// for again at half of its time; one that has ended is not stapled. A responder
// that fails changes nothing else: the certificate is served without a staple.
// Handshakes never wait for a responder.
package ocsp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	vm "github.com/VictoriaMetrics/metrics"
	"github.com/rs/zerolog"
	"golang.org/x/crypto/ocsp"

	"edgerouter/certs"
	"edgerouter/metrics"
)

const (
	// checkEvery is how often the store's certificates are looked at.
	checkEvery = time.Minute
	// retryAfter is when a responder that failed is asked again.
	retryAfter = 10 * time.Minute
	// defaultLife is taken for a response that does not say when it ends.
	defaultLife = 24 * time.Hour
	// maxResponse bounds an answer; real ones have 0.5 to 3 KB.
	maxResponse = 64 << 10
	timeout     = 10 * time.Second
)

// Options of a Stapler.
type Options struct {
	Store *certs.Store
	// Client asks responders; nil: one that gives up after 10 s.
	Client  *http.Client
	Metrics *metrics.Set
	Logger  zerolog.Logger
}

// Stapler asks responders.
type Stapler struct {
	opts   Options
	errors *vm.Counter
	known  map[string]*response // by fingerprint
}

// response is what is known of one certificate.
type response struct {
	ends, next time.Time // when it ends, and when to ask again
	told       string    // the failure that was logged
	seen       bool      // in this look
}

// New makes a Stapler; nothing happens before Run. Metric: er_ocsp_errors_total.
func New(opts Options) *Stapler {
	if opts.Client == nil {
		opts.Client = &http.Client{Timeout: timeout}
	}
	opts.Metrics.Help("er_ocsp_errors_total", "Times that an OCSP responder could not be asked, or its answer not be used.")
	return &Stapler{opts: opts, errors: opts.Metrics.Counter("er_ocsp_errors_total"), known: map[string]*response{}}
}

// Run keeps the responses until ctx ends.
func (s *Stapler) Run(ctx context.Context) {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		s.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look asks for what is missing or due.
func (s *Stapler) look(ctx context.Context) {
	for _, k := range s.known {
		k.seen = false
	}
	for _, c := range s.opts.Store.Staplable() {
		k := s.known[c.Fingerprint]
		if k == nil {
			k = &response{}
			s.known[c.Fingerprint] = k
		}
		k.seen = true
		now := time.Now()
		if now.Before(k.next) || ctx.Err() != nil {
			continue
		}
		raw, parsed, err := s.ask(ctx, c)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.failed(c, k, err, now)
			continue
		}
		k.told, k.ends = "", parsed.NextUpdate
		if k.ends.IsZero() {
			k.ends = now.Add(defaultLife)
		}
		k.next = now.Add(max(k.ends.Sub(now)/2, checkEvery))
		s.opts.Store.Staple(c.Fingerprint, raw)
	}
	for fingerprint, k := range s.known {
		if !k.seen {
			delete(s.known, fingerprint)
			s.opts.Store.Staple(fingerprint, nil)
		}
	}
}

// errRevoked: the CA has taken the certificate back.
var errRevoked = errors.New("the CA says that it is revoked: replace it")

func (s *Stapler) failed(c certs.Stapled, k *response, err error, now time.Time) {
	s.errors.Inc()
	k.next = now.Add(retryAfter)
	if errors.Is(err, errRevoked) || !k.ends.IsZero() && now.After(k.ends) {
		k.ends = time.Time{}
		s.opts.Store.Staple(c.Fingerprint, nil)
	}
	if k.told == err.Error() {
		return
	}
	k.told = err.Error()
	event := s.opts.Logger.Warn()
	if errors.Is(err, errRevoked) {
		event = s.opts.Logger.Error()
	}
	event.Err(err).Str("certificate", c.Title).Str("responder", c.Chain.Leaf.OCSPServer[0]).
		Msg("OCSP: the certificate is served without a fresh staple")
}

// ask gets a response that can be stapled.
func (s *Stapler) ask(ctx context.Context, c certs.Stapled) ([]byte, *ocsp.Response, error) {
	issuer, err := x509.ParseCertificate(c.Chain.Certificate[1])
	if err != nil {
		return nil, nil, fmt.Errorf("the issuer in the chain: %w", err)
	}
	// SHA-1 is what responders know certificates by (RFC 5019 section 2.1.1).
	question, err := ocsp.CreateRequest(c.Chain.Leaf, issuer, &ocsp.RequestOptions{Hash: crypto.SHA1})
	if err != nil {
		return nil, nil, fmt.Errorf("making the question: %w", err)
	}
	url := c.Chain.Leaf.OCSPServer[0]
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(question))
	if err != nil {
		return nil, nil, fmt.Errorf("the responder %q: %w", url, err)
	}
	req.Header.Set("Content-Type", "application/ocsp-request")
	answer, err := s.opts.Client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(answer.Body, maxResponse))
	if err != nil {
		return nil, nil, fmt.Errorf("reading the answer of %s: %w", url, err)
	}
	if answer.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%s answered %s", url, answer.Status)
	}
	parsed, err := ocsp.ParseResponseForCert(raw, c.Chain.Leaf, issuer)
	switch now := time.Now(); {
	case err != nil:
		return nil, nil, fmt.Errorf("the answer of %s: %w", url, err)
	case parsed.Status == ocsp.Revoked:
		return nil, nil, errRevoked
	case parsed.Status != ocsp.Good:
		return nil, nil, fmt.Errorf("%s does not know the certificate", url)
	case !parsed.NextUpdate.IsZero() && now.After(parsed.NextUpdate):
		return nil, nil, fmt.Errorf("the answer of %s ended on %s", url, parsed.NextUpdate.UTC().Format(time.RFC3339))
	}
	return raw, parsed, nil
}
