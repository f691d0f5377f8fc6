// Package certbus is the certificate source that follows a CertBus stream:
// certificates that are obtained elsewhere, with private keys that are encrypted
// for this node's RSA key.
//
// Entries of /t-N/certbus go in, sets of certs.Certificate come out. An Id is a
// certificate's timeline: a later CertificateObtained with the same Id replaces
// the earlier. Of two Ids with one name the later event wins, and removing one
// brings back the other. Entries for another key are passed over. An event
// whose certificate is no good leaves the one before it in service and is
// reported.
//
// Decrypted keys stay in memory: the snapshot on disk holds ciphertext, as the
// stream does. Writer is the other end, for those who have no CertBus.
package certbus

import (
	"context"
	"crypto/rsa"
	"runtime"
	"slices"
	"sync"
	"time"

	vm "github.com/VictoriaMetrics/metrics"
	"github.com/rs/zerolog"

	"edgerouter/bus"
	"edgerouter/certs"
	"edgerouter/metrics"
)

// Options of a Source.
type Options struct {
	Log bus.Log
	// Stream is /t-N/certbus.
	Stream string
	// Keys are the client's private keys; more than one while a key is replaced.
	Keys []*rsa.PrivateKey
	// SnapshotPath is a file in the data directory; empty: none is kept.
	SnapshotPath string
	Metrics      *metrics.Set
	Logger       zerolog.Logger
}

// Source follows a stream.
type Source struct {
	opts     Options
	state    *state
	follower *bus.Follower
	ready    chan struct{}
	once     sync.Once
	set      func([]*certs.Certificate, []certs.Problem)
	told     []certs.Problem
	shown    map[*certs.Certificate]bool
	errors   *vm.Counter
	foreign  *vm.Counter
	counted  int
}

// New makes a source; nothing happens before Run. Metrics:
// er_certbus_errors_total, er_certbus_foreign_total, and er_bus_*{stream}.
func New(opts Options) *Source {
	s := &Source{opts: opts, ready: make(chan struct{}), shown: map[*certs.Certificate]bool{}}
	s.state = &state{keys: keyring{}}
	for _, k := range opts.Keys {
		s.state.keys[Fingerprint(&k.PublicKey)] = k
	}
	opts.Metrics.Help("er_certbus_errors_total", "CertBus events whose certificate could not be used.")
	s.errors = opts.Metrics.Counter("er_certbus_errors_total")
	opts.Metrics.Help("er_certbus_foreign_total", "CertBus events that are encrypted for another key.")
	s.foreign = opts.Metrics.Counter("er_certbus_foreign_total")
	s.follower = bus.NewFollower(bus.FollowerOptions{
		Log: opts.Log, Stream: opts.Stream, State: s.state, Changed: s.changed,
		SnapshotPath: opts.SnapshotPath, Metrics: opts.Metrics, Logger: opts.Logger,
	})
	return s
}

// Name is certs.SourceCertBus.
func (s *Source) Name() string { return certs.SourceCertBus }

// Ready is closed once certificates were handed on for the first time, be it
// those of the snapshot.
func (s *Source) Ready() <-chan struct{} { return s.ready }

// Status tells how the stream is followed.
func (s *Source) Status() bus.FollowerStatus { return s.follower.Status() }

// Run calls set with the certificates of the stream, and again whenever they or
// the problems change, until ctx ends.
func (s *Source) Run(ctx context.Context, set func([]*certs.Certificate, []certs.Problem)) error {
	s.set = set
	return s.follower.Run(ctx)
}

// changed hands on what the state has become; it is called by the follower.
func (s *Source) changed(bus.Cursor) {
	s.decrypt()
	list, problems := s.state.collect(time.Now())
	s.tell(list, problems)
	s.set(list, problems)
	s.once.Do(func() { close(s.ready) })
}

// decrypt opens what has not been opened yet, on all cores: an RSA operation
// takes about a millisecond.
func (s *Source) decrypt() {
	work := make(chan *obtained)
	var running sync.WaitGroup
	pending := s.state.pending()
	for range min(len(pending), runtime.GOMAXPROCS(0)) {
		running.Go(func() {
			for o := range work {
				o.open(s.state.keys)
			}
		})
	}
	for _, o := range pending {
		work <- o
	}
	close(work)
	running.Wait()
	for _, o := range pending {
		if o.err != nil {
			s.errors.Inc()
		}
	}
	for ; s.counted < s.state.counts["foreign"]; s.counted++ {
		s.foreign.Inc()
	}
}

// tell logs what is new.
func (s *Source) tell(list []*certs.Certificate, problems []certs.Problem) {
	shown := make(map[*certs.Certificate]bool, len(list))
	for _, c := range list {
		shown[c] = true
		if !s.shown[c] {
			s.opts.Logger.Info().Str("source", certs.SourceCertBus).Str("origin", c.Origin).Strs("names", c.Names[:min(len(c.Names), 10)]).
				Str("serial", c.TLS.Leaf.SerialNumber.String()).Time("not_after", c.TLS.Leaf.NotAfter).Msg("certificate loaded")
		}
	}
	for c := range s.shown {
		if !shown[c] {
			s.opts.Logger.Info().Str("source", certs.SourceCertBus).Str("origin", c.Origin).Strs("names", c.Names[:min(len(c.Names), 10)]).
				Msg("certificate replaced or removed")
		}
	}
	for _, p := range problems {
		if !slices.Contains(s.told, p) {
			s.opts.Logger.Warn().Str("source", certs.SourceCertBus).Msg("certificate: " + p.Error())
		}
	}
	s.shown, s.told = shown, problems
}
