package cli

import (
	"context"
	"crypto/tls"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/certs"
	"edgerouter/certs/devca"
	certfile "edgerouter/certs/file"
	"edgerouter/certs/ocsp"
	"edgerouter/gateway"
	"edgerouter/metrics"
)

// edgeTLS is what a TLS listener needs: the table of certificates and its sources.
type edgeTLS struct {
	store   *certs.Store
	config  *tls.Config
	tickets *certs.Tickets
	files   *certfile.Source // nil without --cert-dir
	ca      *devca.CA        // nil without --dev
	bus     *busCerts        // nil without a bus
	ocsp    *ocsp.Stapler
}

func newEdgeTLS(s settings, b *edgeBus, g *gateway.Gateway, m *metrics.Set, log zerolog.Logger) (*edgeTLS, error) {
	t := &edgeTLS{tickets: certs.NewTickets()}
	opts := certs.Options{Metrics: m, Log: log, DefaultName: s.tlsDefault}
	covered := func(name string) bool { return t.store.Has(name, certs.SourceACME) }
	var err error
	if t.bus, err = newBusCerts(s, b, t.tickets, covered, g, m, log); err != nil {
		return nil, err
	}
	if t.bus != nil && t.bus.acme != nil {
		opts.Challenge = t.bus.acme.TLSChallenge
	}
	if s.dev {
		dir := devCAFolder(s.data)
		ca, err := devca.Open(dir, devca.Options{Allowed: g.CoversHost, Log: log})
		if err != nil {
			return nil, fmt.Errorf("the development CA in %s (--data): %w", dir, err)
		}
		t.ca, opts.OnDemand = ca, ca.Get
	}
	t.store = certs.NewStore(opts)
	t.config = t.store.TLSConfig(certs.TLSOptions{
		Tickets: t.tickets, MinVersion: s.minVersion, Curves: s.curves, AskForCertificate: g.AsksForCertificate,
	})
	t.ocsp = ocsp.New(ocsp.Options{Store: t.store, Metrics: m, Logger: log})
	if s.certDir != "" {
		t.files = certfile.New(s.certDir, log, certfile.Replace(func(old, with *certs.Certificate) bool {
			return t.store.Replace(certs.SourceFile, old, with)
		}))
	} else if !s.dev && !s.acme() && len(s.certbusKeys) == 0 {
		log.Warn().Msg("no certificates are configured, so every TLS handshake will be refused: give --cert-dir, --certbus-key or --acme-email, or --https '' to turn TLS off")
	}
	return t, nil
}

// devCAFolder is where the development CA is kept.
func devCAFolder(data string) string { return filepath.Join(data, "dev-ca") }

// run follows the sources until ctx ends. It returns when certificates have
// been read for the first time.
func (t *edgeTLS) run(ctx context.Context, running *sync.WaitGroup) {
	running.Go(func() { t.store.Run(ctx) })
	running.Go(func() { t.ocsp.Run(ctx) })
	if t.files != nil {
		running.Go(func() {
			t.files.Run(ctx, func(c []*certs.Certificate, p []certs.Problem) { t.store.Set(certs.SourceFile, c, p) })
		})
		waitFor(ctx, t.files.Ready(), 5*time.Second)
	}
	t.bus.run(ctx, running, t.store, t.tickets)
}

// challenge answers HTTP-01 challenges; nil without ACME.
func (t *edgeTLS) challenge() func(host, path string) string {
	if t.bus == nil || t.bus.acme == nil {
		return nil
	}
	return t.bus.acme.HTTPChallenge
}

// problems are what is wrong with certificates, by source.
func (t *edgeTLS) problems() map[string][]certs.Problem { return t.store.Problems() }

func (t *edgeTLS) reload() {
	if t.files != nil {
		t.files.Reload()
	}
}

// list is what is served, the development CA's certificates included.
func (t *edgeTLS) list() []certs.Status {
	list := t.store.List()
	if t.ca != nil {
		list = append(list, t.ca.List()...)
	}
	return list
}
