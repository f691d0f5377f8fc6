package certs

import (
	"crypto/tls"
	"slices"
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
	Metrics  *metrics.Set
	Log      zerolog.Logger
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
	sources []sourceCerts // by Order
	expiry  expiryGauges
}

type sourceCerts struct {
	name     string
	certs    []*Certificate
	problems []Problem
}

// unknownNameEvery is the least time between two log lines about unknown names:
// scanners send thousands.
const unknownNameEvery = 10 * time.Second

// NewStore makes a Store without certificates. Metrics:
// er_tls_unknown_names_total and er_cert_expiry_timestamp_seconds{name}.
func NewStore(opts Options) *Store {
	s := &Store{
		opts:    opts,
		unknown: opts.Metrics.Counter("er_tls_unknown_names_total"),
		quiet:   rate.NewLimiter(rate.Every(unknownNameEvery), 1),
		expiry:  newExpiryGauges(opts.Metrics),
	}
	opts.Metrics.Help("er_tls_unknown_names_total", "TLS handshakes for a server name without a certificate.")
	opts.Metrics.Help("er_cert_expiry_timestamp_seconds", "When the certificate of a name ends, in Unix time; of at most 1000 certificates.")
	for _, name := range Order() {
		s.sources = append(s.sources, sourceCerts{name: name})
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
	s.sources[i].certs, s.sources[i].problems = certs, problems
	s.rebuild(time.Now())
}

// rebuild makes the table anew; s.mu is held.
func (s *Store) rebuild(now time.Time) {
	all := make([][]*Certificate, len(s.sources))
	for i, c := range s.sources {
		all[i] = c.certs
	}
	s.table.Store(NewTable(all, now))
	s.expiry.update(s.sources)
}

// Table is the table as it is now; never nil.
func (s *Store) Table() *Table { return s.table.Load() }

// GetCertificate is the hook of tls.Config. For a name that nobody has it returns
// nil and no error, which is the only way to make crypto/tls send the
// unrecognized_name alert: any error becomes internal_error. It works only in a
// Config whose Certificates are empty, as TLSConfig makes it.
func (s *Store) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := hello.ServerName
	table := s.table.Load()
	var found *tls.Certificate
	if name == "" {
		found = table.Default(hello)
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
