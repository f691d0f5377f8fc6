// Package acme is the certificate source that obtains certificates by itself
// (RFC 8555) and shares them with the whole cluster: one node obtains or renews,
// all serve.
//
// The hosts that applications are configured for go in, sets of
// certs.Certificate come out. Accounts, keys, certificates, locks and challenges
// are in the cluster's vault: the certificates of the vault are what every node
// serves, whoever put them there, and any node answers a challenge (HTTP-01 and
// TLS-ALPN-01, RFC 8737) that another one was given. certmagic does the obtaining,
// the renewing (with renewal information, RFC 9773, of CAs that have it), and the
// trying again.
//
// What fails changes nothing that is in service. It is reported with the name,
// the CA and what to do. A CA that says that its limit is reached is not asked for
// that name before the time it gives, by no node of the cluster.
package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	vm "github.com/VictoriaMetrics/metrics"
	"github.com/caddyserver/certmagic"
	"github.com/rs/zerolog"
	"go.uber.org/zap"

	"edgerouter/certs"
	"edgerouter/certs/vault"
	"edgerouter/metrics"
)

// Options of a Manager.
type Options struct {
	Vault *vault.Vault
	// Directory is the URL of the CA's directory; empty: Let's Encrypt.
	Directory string
	// Email is the account's contact; empty: none.
	Email string
	// Roots are trusted when the directory is asked; nil: the system's.
	Roots *x509.CertPool
	// Hosts lists the names that applications are configured for.
	Hosts func() []string
	// Covered says whether an earlier source has a certificate of a name; nil: none has.
	Covered func(name string) bool
	// HTTP and HTTPS are the addresses of this node's listeners, which must be open
	// when Run begins; an empty one turns its kind of challenge off.
	HTTP, HTTPS string
	// RenewCheck is how often certificates are looked at for renewal; 0 means 10 minutes.
	RenewCheck time.Duration
	Metrics    *metrics.Set
	Logger     zerolog.Logger
}

const (
	// obtainTimeout is how long a CA may take to validate and issue.
	obtainTimeout = 2 * time.Minute
	// hostsEvery is how often the configured hosts are compared with those managed.
	hostsEvery = 2 * time.Second
	// cleanEvery and keepExpired are for certificates of hosts that are not
	// configured any more.
	cleanEvery  = time.Hour
	keepExpired = 30 * 24 * time.Hour
)

// Manager is the source.
type Manager struct {
	opts    Options
	storage *storage
	issuer  *certmagic.ACMEIssuer
	config  *certmagic.Config
	cache   *certmagic.Cache
	log     *zap.Logger
	testCA  string        // Let's Encrypt's own, for attempts after a failed one
	tokens  []string      // folders of the vault
	changed chan struct{} // of capacity 1
	ready   chan struct{}
	once    sync.Once
	waiting chan struct{} // semaphore of challenges that wait for the bus

	obtained, failed *vm.Counter

	mu      sync.Mutex
	managed map[string]context.CancelFunc // by host
	trouble map[string]trouble            // by host
	loaded  map[string]loaded             // by vault key
}

// New makes a Manager; nothing happens before Run. Metrics:
// er_acme_obtained_total, er_acme_failures_total, er_acme_hosts.
func New(opts Options) (*Manager, error) {
	if opts.Directory == "" {
		opts.Directory = certmagic.LetsEncryptProductionCA
	}
	if u, err := url.Parse(opts.Directory); err != nil || u.Host == "" || u.Scheme != "https" {
		return nil, fmt.Errorf("--acme-directory %q: want an https URL such as %s", opts.Directory, certmagic.LetsEncryptProductionCA)
	}
	if opts.HTTP == "" && opts.HTTPS == "" {
		return nil, errors.New("ACME needs a listener to answer challenges: give --http or --https")
	}
	if opts.RenewCheck == 0 {
		opts.RenewCheck = certmagic.DefaultRenewCheckInterval
	}
	m := &Manager{
		opts: opts, storage: &storage{vault: opts.Vault, log: opts.Logger},
		changed: make(chan struct{}, 1), ready: make(chan struct{}), waiting: make(chan struct{}, maxWaiting),
		managed: map[string]context.CancelFunc{}, trouble: map[string]trouble{}, loaded: map[string]loaded{},
		log: newZap(opts.Logger),
	}
	if opts.Directory == certmagic.LetsEncryptProductionCA {
		m.testCA = certmagic.LetsEncryptStagingCA
	}
	m.tokens = tokenFolders(opts.Directory, m.testCA)
	opts.Metrics.Help("er_acme_obtained_total", "Certificates that this node obtained or renewed.")
	m.obtained = opts.Metrics.Counter("er_acme_obtained_total")
	opts.Metrics.Help("er_acme_failures_total", "Attempts of this node to obtain or renew a certificate that failed.")
	m.failed = opts.Metrics.Counter("er_acme_failures_total")
	opts.Metrics.Help("er_acme_hosts", "Hosts whose certificates are managed with ACME.")
	opts.Metrics.Gauge("er_acme_hosts", func() float64 {
		m.mu.Lock()
		defer m.mu.Unlock()
		return float64(len(m.managed))
	})
	opts.Vault.Watch(m.wake)
	return m, nil
}

// Name is certs.SourceACME.
func (m *Manager) Name() string { return certs.SourceACME }

// Ready is closed once certificates were handed on for the first time.
func (m *Manager) Ready() <-chan struct{} { return m.ready }

func (m *Manager) wake() {
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// setup makes what certmagic needs. Its cache has a goroutine of its own.
func (m *Manager) setup() error {
	template := certmagic.ACMEIssuer{
		CA: m.opts.Directory, TestCA: m.testCA, Email: m.opts.Email, Agreed: true, TrustedRoots: m.opts.Roots,
		CertObtainTimeout: obtainTimeout, Logger: m.log,
		DisableHTTPChallenge: m.opts.HTTP == "", DisableTLSALPNChallenge: m.opts.HTTPS == "",
	}
	// Its solvers open a port unless somebody listens there: this node does.
	for _, l := range []struct {
		addr string
		port *int
	}{{m.opts.HTTP, &template.AltHTTPPort}, {m.opts.HTTPS, &template.AltTLSALPNPort}} {
		if l.addr == "" {
			continue
		}
		host, port, err := net.SplitHostPort(l.addr)
		if err != nil {
			return fmt.Errorf("the listener %q: %w", l.addr, err)
		}
		if *l.port, err = strconv.Atoi(port); err != nil {
			return fmt.Errorf("the listener %q: %w", l.addr, err)
		}
		template.ListenHost = host
	}
	m.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return m.config, nil },
		RenewCheckInterval: m.opts.RenewCheck, Logger: m.log,
	})
	m.config = certmagic.New(m.cache, certmagic.Config{
		Storage: m.storage, KeySource: certmagic.StandardKeyGenerator{KeyType: certmagic.P256},
		// Stapling is for the certificates of all sources, in certs/ocsp.
		OCSP: certmagic.OCSPConfig{DisableStapling: true}, DisableStorageCheck: true,
		OnEvent: m.event, Logger: m.log,
	})
	m.issuer = certmagic.NewACMEIssuer(m.config, template)
	m.config.Issuers = []certmagic.Issuer{m.issuer}
	return nil
}

// Run calls set with the certificates of the vault, and again whenever they or
// the problems change, and manages those of the configured hosts, until ctx ends.
// The vault runs for longer than that.
func (m *Manager) Run(ctx context.Context, set func([]*certs.Certificate, []certs.Problem)) error {
	if err := m.setup(); err != nil {
		return err
	}
	defer m.end()
	ticks := time.NewTicker(hostsEvery)
	defer ticks.Stop()
	caughtUp := m.opts.Vault.CaughtUp()
	var cleaned time.Time
	first := true
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.changed:
			list, problems := m.collect(time.Now())
			set(list, problems)
			m.once.Do(func() { close(m.ready) })
		case <-caughtUp:
			caughtUp = nil
			m.manage(ctx)
		case <-ticks.C:
			if caughtUp != nil {
				continue // not before it is known what there is already
			}
			m.manage(ctx)
			if time.Since(cleaned) > cleanEvery && !first {
				cleaned = time.Now()
				m.clean(ctx, cleaned)
			}
			first = false
		}
	}
}

// manage begins with new hosts and ends with those that are gone.
func (m *Manager) manage(ctx context.Context) {
	wanted := map[string]bool{}
	for _, host := range m.opts.Hosts() {
		if eligible(host) && (m.opts.Covered == nil || !m.opts.Covered(host)) {
			wanted[host] = true
		}
	}
	var gone, fresh []string
	m.mu.Lock()
	for host, cancel := range m.managed {
		if !wanted[host] {
			cancel()
			delete(m.managed, host)
			delete(m.trouble, host)
			gone = append(gone, host)
		}
	}
	contexts := map[string]context.Context{}
	for _, host := range slices.Sorted(maps.Keys(wanted)) {
		if m.managed[host] == nil {
			contexts[host], m.managed[host] = context.WithCancel(ctx)
			fresh = append(fresh, host)
		}
	}
	m.mu.Unlock()
	if len(gone) > 0 {
		m.cache.RemoveManaged(subjects(gone))
		m.opts.Logger.Info().Str("source", certs.SourceACME).Strs("names", gone[:min(len(gone), 10)]).Int("count", len(gone)).
			Msg("these hosts are not managed with ACME any more; their certificates are served until they expire")
		m.wake()
	}
	for _, host := range fresh {
		if err := m.config.ManageAsync(contexts[host], []string{host}); err != nil {
			m.fail(host, err)
		}
	}
	if len(fresh) > 0 {
		m.opts.Logger.Info().Str("source", certs.SourceACME).Strs("names", fresh[:min(len(fresh), 10)]).Int("count", len(fresh)).
			Str("ca", m.opts.Directory).Msg("certificates are managed with ACME")
	}
}

func subjects(hosts []string) (out []certmagic.SubjectIssuer) {
	for _, h := range hosts {
		out = append(out, certmagic.SubjectIssuer{Subject: h})
	}
	return out
}

// eligible says whether a certificate can be obtained for a host at all.
func eligible(host string) bool {
	return certs.ValidName(host) && !strings.HasPrefix(host, "*.") &&
		host != "localhost" && !strings.HasSuffix(host, ".localhost") && net.ParseIP(host) == nil
}

// end gives back what this node holds, so that others need not wait for it.
func (m *Manager) end() {
	m.mu.Lock()
	for _, cancel := range m.managed {
		cancel()
	}
	clear(m.managed)
	m.mu.Unlock()
	m.cache.Stop()
	m.storage.release()
}
