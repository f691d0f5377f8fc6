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
}

func newEdgeTLS(s settings, g *gateway.Gateway, m *metrics.Set, log zerolog.Logger) (*edgeTLS, error) {
	t := &edgeTLS{tickets: certs.NewTickets()}
	opts := certs.Options{Metrics: m, Log: log}
	if s.dev {
		dir := devCAFolder(s.data)
		ca, err := devca.Open(dir, devca.Options{Allowed: g.CoversHost, Log: log})
		if err != nil {
			return nil, fmt.Errorf("the development CA in %s (--data): %w", dir, err)
		}
		t.ca, opts.OnDemand = ca, ca.Get
	}
	t.store = certs.NewStore(opts)
	t.config = t.store.TLSConfig(certs.TLSOptions{Tickets: t.tickets})
	if s.certDir != "" {
		t.files = certfile.New(s.certDir, log)
	} else if !s.dev {
		log.Warn().Msg("no certificates are configured, so every TLS handshake will be refused: give --cert-dir, or --https '' to turn TLS off")
	}
	return t, nil
}

// devCAFolder is where the development CA is kept.
func devCAFolder(data string) string { return filepath.Join(data, "dev-ca") }

// run follows the sources until ctx ends. It returns when certificates have
// been read for the first time.
func (t *edgeTLS) run(ctx context.Context, running *sync.WaitGroup) {
	running.Go(func() { t.store.Run(ctx) })
	running.Go(func() { t.tickets.Run(ctx) })
	if t.files == nil {
		return
	}
	running.Go(func() {
		t.files.Run(ctx, func(c []*certs.Certificate, p []certs.Problem) { t.store.Set(certs.SourceFile, c, p) })
	})
	waitFor(ctx, t.files.Ready(), 5*time.Second)
}

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
