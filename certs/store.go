package certs

import (
	"crypto/tls"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	vm "github.com/VictoriaMetrics/metrics"
	"github.com/rs/zerolog"
	"golang.org/x/time/rate"

	"edgerouter/metrics"
)

// Options of a Store. The zero value of OnDemand means that there is none.
type Options struct {
	// OnDemand makes a certificate when the table has none for a name (the
	// development CA); the empty name is a client that sent none. nil, nil: not
	// for this name. It may take the time of a handshake, and no longer.
	OnDemand func(name string) (*tls.Certificate, error)
	// Challenge answers TLS-ALPN-01 handshakes (RFC 8737), of clients that speak
	// acme-tls/1 and nothing else; nil: there is none for the name. They get no
	// other certificate. Without it nobody speaks that protocol.
	Challenge func(name string) *tls.Certificate
	// DefaultName is a host whose certificate is shown to clients that send no
	// server name, when no source has a default one; empty: none.
	DefaultName string
	Metrics     *metrics.Set
	Log         zerolog.Logger
}

// Store holds the table and what each source has. Its methods may be called from
// any goroutine; handshakes take no lock.
type Store struct {
	opts    Options
	table   atomic.Pointer[Table]
	unknown *vm.Counter
	quiet   *rate.Limiter // of log lines about unknown names
	hushed  atomic.Int64  // unknown names since the last log line

	mu      sync.Mutex
	sources []sourceCerts     // by Order
	staples map[string][]byte // OCSP responses by fingerprint
	expiry  expiryGauges
}

type sourceCerts struct {
	name     string
	given    []*Certificate // as Set was given them
	certs    []*held        // the same, one for one
	problems []Problem
}

// ProtoChallenge is the protocol of TLS-ALPN-01 challenges. A connection that
// speaks it is to be closed after its handshake.
const ProtoChallenge = "acme-tls/1"

// unknownNameEvery is the least time between two log lines about unknown names:
// scanners send thousands.
const unknownNameEvery = 10 * time.Second

// NewStore makes a Store without certificates. Metrics:
// er_tls_unknown_names_total, er_cert_problems{source} and
// er_cert_expiry_timestamp_seconds{name}.
func NewStore(opts Options) *Store {
	s := &Store{
		opts:    opts,
		unknown: opts.Metrics.Counter("er_tls_unknown_names_total"),
		quiet:   rate.NewLimiter(rate.Every(unknownNameEvery), 1),
		expiry:  newExpiryGauges(opts.Metrics),
		staples: map[string][]byte{},
	}
	opts.Metrics.Help("er_tls_unknown_names_total", "TLS handshakes for a server name without a certificate.")
	opts.Metrics.Help("er_cert_expiry_timestamp_seconds", "When the certificate of a name ends, in Unix time; of at most 1000 certificates.")
	opts.Metrics.Help("er_cert_problems", "What a source of certificates found wrong, now.")
	for i, name := range Order() {
		s.sources = append(s.sources, sourceCerts{name: name})
		opts.Metrics.Gauge(metrics.Name("er_cert_problems", "source", name), func() float64 {
			s.mu.Lock()
			defer s.mu.Unlock()
			return float64(len(s.sources[i].problems))
		})
	}
	s.table.Store(&Table{})
	return s
}

// Set replaces what a source has and swaps the table; connections that are open
// keep what they have. A source that is not in Order comes last.
func (s *Store) Set(source string, certs []*Certificate, problems []Problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.sources, func(c sourceCerts) bool { return c.name == source })
	if i < 0 {
		i = len(s.sources)
		s.sources = append(s.sources, sourceCerts{name: source})
	}
	src := &s.sources[i]
	now := time.Now()
	next, without, with := s.compare(src, certs, i, now)
	src.given, src.certs, src.problems = slices.Clone(certs), next, problems
	if len(without) > 0 || len(with) > 0 {
		s.table.Store(s.table.Load().change(without, with))
		s.expiry.changed(s.sources)
	}
}

// Replace puts a certificate of a source into the place of another one that Set or
// Replace was given, without looking at the names of the others. It returns false,
// and does nothing, when the source does not have the old one.
func (s *Store) Replace(source string, old, with *Certificate) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.sources, func(c sourceCerts) bool { return c.name == source })
	if i < 0 {
		return false
	}
	src := &s.sources[i]
	at := slices.Index(src.given, old)
	if at < 0 {
		return false
	}
	was, now := src.certs[at], s.staple(hold(with, i, time.Now()))
	src.given[at], src.certs[at] = with, now
	s.table.Store(s.table.Load().change([]*held{was}, []*held{now}))
	s.expiry.changed(s.sources)
	return true
}

// compare makes what a source has now of what it had before; a certificate that
// it keeps is the same pointer. Most changes are of one certificate among many,
// in its place, so what both lists begin and end with is passed over first.
func (s *Store) compare(src *sourceCerts, now []*Certificate, order int, at time.Time) (next, without, with []*held) {
	next = make([]*held, len(now))
	shorter := min(len(src.given), len(now))
	head := 0
	for head < shorter && src.given[head] == now[head] {
		head++
	}
	tail := 0
	for tail < shorter-head && src.given[len(src.given)-1-tail] == now[len(now)-1-tail] {
		tail++
	}
	copy(next, src.certs[:head])
	copy(next[len(now)-tail:], src.certs[len(src.certs)-tail:])
	known := map[*Certificate]*held{}
	for _, h := range src.certs[head : len(src.certs)-tail] {
		known[h.Certificate] = h
	}
	for i := head; i < len(now)-tail; i++ {
		h, there := known[now[i]]
		if there {
			delete(known, now[i])
		} else {
			h = s.staple(hold(now[i], order, at))
			with = append(with, h)
		}
		next[i] = h
	}
	for _, h := range known {
		without = append(without, h)
	}
	return next, without, with
}

// Table is the table as it is now; never nil.
func (s *Store) Table() *Table { return s.table.Load() }

// Has says whether a source that comes before another in Order has a valid
// certificate of a name.
func (s *Store) Has(name, before string) bool {
	limit := slices.Index(Order(), before)
	return s.table.Load().any(name, func(h *held) bool { return h.valid && h.order < limit })
}

// GetCertificate is the hook of tls.Config. For a name that nobody has it returns
// nil and no error, which is the only way to make crypto/tls send the
// unrecognized_name alert: any error becomes internal_error. It works only in a
// Config whose Certificates are empty, as TLSConfig makes it.
func (s *Store) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := serverName(hello)
	if s.opts.Challenge != nil && len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == ProtoChallenge {
		return s.opts.Challenge(name), nil
	}
	table := s.table.Load()
	var found *tls.Certificate
	if name == "" {
		if found = table.Default(hello); found == nil {
			found = table.Lookup(s.opts.DefaultName, hello)
		}
	} else {
		found = table.Lookup(name, hello)
	}
	if found != nil {
		return found, nil
	}
	if s.opts.OnDemand != nil {
		made, err := s.opts.OnDemand(name)
		if made != nil {
			return made, nil
		}
		if err != nil {
			s.opts.Log.Error().Err(err).Str("server_name", Clean(name)).Msg("making a certificate failed")
			return nil, err
		}
	}
	s.noteUnknown(hello)
	return nil, nil
}

// serverName is the name that a client asks for. An address is none (RFC 6066
// section 3): its client gets what those get that send no name.
func serverName(hello *tls.ClientHelloInfo) string {
	if _, err := netip.ParseAddr(strings.Trim(hello.ServerName, "[]")); err == nil {
		return ""
	}
	return hello.ServerName
}

func (s *Store) noteUnknown(hello *tls.ClientHelloInfo) {
	s.unknown.Inc()
	if !s.quiet.Allow() {
		s.hushed.Add(1)
		return
	}
	event := s.opts.Log.Info().Str("server_name", Clean(hello.ServerName))
	if hello.Conn != nil {
		event = event.Stringer("client", hello.Conn.RemoteAddr())
	}
	event = event.Int64("since_last", s.hushed.Swap(0))
	if hello.ServerName == "" {
		event.Msg("no default certificate for a client that sent no server name")
		return
	}
	event.Msg("no certificate for this server name")
}

// Clean makes a server name that a client sent fit for a log line: at most 253
// bytes, anything but letters, digits, '.', '-', '_' and '*' replaced by '?'.
func Clean(name string) string {
	cut := name[:min(len(name), maxName)]
	clean := []byte(cut)
	for i, c := range clean {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_', c == '*':
		default:
			clean[i] = '?'
		}
	}
	return string(clean)
}
