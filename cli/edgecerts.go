package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/bus"
	"edgerouter/certs"
	"edgerouter/certs/acme"
	"edgerouter/certs/certbus"
	"edgerouter/certs/tickets"
	"edgerouter/certs/vault"
	"edgerouter/gateway"
	"edgerouter/metrics"
)

// busCerts are the certificates that come over the event bus, and what the nodes
// of a cluster share for TLS. A nil one is a node without a bus.
type busCerts struct {
	certbus *certbus.Source // nil: off
	acme    *acme.Manager   // nil: off
	vault   *vault.Vault    // nil: nothing is shared
	tickets *tickets.Shared // nil: every node has its own
}

// vaultSecretFile is where the secret of a node that is alone is kept.
const vaultSecretFile = "vault-secret"

func newBusCerts(s settings, b *edgeBus, t *certs.Tickets, covered func(string) bool, g *gateway.Gateway, m *metrics.Set, log zerolog.Logger) (*busCerts, error) {
	if b == nil {
		if s.acme() || len(s.certbusKeys) > 0 {
			return nil, usagef("--bus off: CertBus and ACME need the event bus; --bus embedded has everything that it takes")
		}
		return nil, nil
	}
	c := &busCerts{}
	if len(s.certbusKeys) > 0 {
		c.certbus = certbus.New(certbus.Options{
			Log: b.log, Stream: bus.StreamPath(s.tenant, "certbus"), Keys: s.certbusKeys,
			SnapshotPath: filepath.Join(s.data, "snapshots", "t-"+s.tenant+"-certbus"), Metrics: m, Logger: log,
		})
		b.more = append(b.more, c.certbus.Status)
	}
	secret, err := vaultSecret(s)
	if err != nil || secret == nil {
		return c, err
	}
	if c.vault, err = vault.New(vault.Options{
		Log: b.log, Stream: bus.StreamPath(s.tenant, "vault"), Secret: secret, Owner: s.nodeName + "/" + runID(),
		SnapshotPath: filepath.Join(s.data, "snapshots", "t-"+s.tenant+"-vault"), Metrics: m, Logger: log,
	}); err != nil {
		return nil, err
	}
	b.more = append(b.more, c.vault.Status)
	c.tickets = tickets.New(c.vault, t, log)
	if s.acme() {
		c.acme, err = acme.New(acme.Options{
			Vault: c.vault, Directory: s.acmeDirectory, Email: s.acmeEmail, Roots: s.acmeRoots,
			Hosts: g.HostsForCerts, Covered: covered, HTTP: s.http, HTTPS: s.https, Metrics: m, Logger: log,
		})
	}
	return c, err
}

// runID tells one run of a node from the next: what it held before it was killed
// is not its own any more.
func runID() string {
	var b [4]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(b[:])
}

// vaultSecret is what the vault is encrypted with: the cluster's secret, or that
// of a node that is alone with its bus, made at its first start. nil: the nodes
// of this bus have no secret in common, and share nothing.
func vaultSecret(s settings) ([]byte, error) {
	if s.busSecretFile != "" {
		secret, err := os.ReadFile(s.busSecretFile)
		if err != nil {
			return nil, fmt.Errorf("--bus-secret-file: %w", err)
		}
		return []byte(strings.TrimSpace(string(secret))), nil
	}
	if s.bus != busEmbedded || len(s.busPeers) > 0 {
		if s.acme() {
			return nil, usagef("ACME on a bus that other nodes are on needs a secret that they share: give --bus-secret-file; openssl rand -hex 32 makes one")
		}
		return nil, nil
	}
	path := filepath.Join(s.data, vaultSecretFile)
	secret, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		var b [32]byte
		rand.Read(b[:]) // never fails: crypto/rand ends the process instead
		secret = []byte(hex.EncodeToString(b[:]))
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, fmt.Errorf("the secret of the vault (--data): %w", err)
		}
		_, err = f.Write(append(secret, '\n'))
		if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
			return nil, fmt.Errorf("the secret of the vault (--data): %w", err)
		}
	} else if err != nil {
		return nil, fmt.Errorf("the secret of the vault (--data): %w", err)
	}
	return []byte(strings.TrimSpace(string(secret))), nil
}

// run follows the bus until ctx ends, and waits a moment for what is known from
// before. Listeners are open by then.
func (c *busCerts) run(ctx context.Context, running *sync.WaitGroup, store *certs.Store, local *certs.Tickets) {
	set := func(source string) func([]*certs.Certificate, []certs.Problem) {
		return func(list []*certs.Certificate, problems []certs.Problem) { store.Set(source, list, problems) }
	}
	if c == nil || c.tickets == nil {
		running.Go(func() { local.Run(ctx) })
	}
	if c == nil {
		return
	}
	if c.certbus != nil {
		running.Go(func() { _ = c.certbus.Run(ctx, set(certs.SourceCertBus)) })
	}
	if c.vault != nil {
		// What a node holds in the vault is given back before it stops following it.
		following, stop := context.WithCancel(context.WithoutCancel(ctx))
		running.Go(func() {
			_ = c.vault.Run(following)
		})
		running.Go(func() {
			defer stop()
			if c.acme != nil {
				_ = c.acme.Run(ctx, set(certs.SourceACME))
			}
			<-ctx.Done()
		})
		running.Go(func() { c.tickets.Run(ctx) })
	}
	if c.certbus != nil {
		waitFor(ctx, c.certbus.Ready(), 5*time.Second)
	}
	if c.acme != nil {
		waitFor(ctx, c.acme.Ready(), 5*time.Second)
	}
}
