package stream

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/bus"
	"edgerouter/discovery"
	"edgerouter/metrics"
)

// Name is the name of the source.
const Name = "stream"

// Options of a Source.
type Options struct {
	Log    bus.Log
	Tenant string
	// SnapshotPath is the file of the snapshot; empty: none is kept.
	SnapshotPath string
	// CheckEvery is bus.FollowerOptions.CheckEvery.
	CheckEvery time.Duration
	// IPRules gets the IP rules whenever they change, before the applications that
	// came with them; empty: there are none. nil: nobody asks.
	IPRules func(text string)
	// CheckIPRules says what is wrong with IP rules; those that were good stay then.
	CheckIPRules func(text string) error
	Metrics      *metrics.Set
	Logger       zerolog.Logger
}

// Source follows the applications of one tenant. It is a discovery.Source.
type Source struct {
	follower *bus.Follower
	state    State
	emit     func(discovery.Update)
	ipRules  func(text string)
	rules    string // that ipRules was told

	unknown, invalid atomic.Uint64 // for the metrics
}

// New makes a source; nothing happens before Run.
func New(o Options) *Source {
	s := &Source{ipRules: o.IPRules}
	s.state.checkRules = o.CheckIPRules
	stream := Path(o.Tenant)
	s.follower = bus.NewFollower(bus.FollowerOptions{
		Log: o.Log, Stream: stream, State: &s.state, Changed: s.changed, SnapshotPath: o.SnapshotPath,
		CheckEvery: o.CheckEvery, Metrics: o.Metrics, Logger: o.Logger,
	})
	o.Metrics.Help("er_bus_unknown_events_total", "Events of a type that this version does not know; they are passed over.")
	o.Metrics.CounterFunc(metrics.Name("er_bus_unknown_events_total", "stream", stream), s.unknown.Load)
	o.Metrics.Help("er_bus_invalid_events_total", "Events that changed nothing because what they declare is invalid.")
	o.Metrics.CounterFunc(metrics.Name("er_bus_invalid_events_total", "stream", stream), s.invalid.Load)
	return s
}

// Name is "stream".
func (s *Source) Name() string { return Name }

// Run follows the stream until ctx ends. While the log cannot be reached it goes
// on trying, and the last set stays.
func (s *Source) Run(ctx context.Context, emit func(discovery.Update)) error {
	s.emit = emit
	return s.follower.Run(ctx)
}

// Status tells how the stream is followed.
func (s *Source) Status() bus.FollowerStatus { return s.follower.Status() }

// CaughtUp is closed once the set has been level with the log.
func (s *Source) CaughtUp() <-chan struct{} { return s.follower.CaughtUp() }

func (s *Source) changed(at bus.Cursor) {
	s.unknown.Store(s.state.unknown)
	s.invalid.Store(s.state.invalid)
	if s.ipRules != nil && s.rules != s.state.rules {
		s.rules = s.state.rules
		s.ipRules(s.rules)
	}
	// The version of an empty stream is -1, and no generation.
	s.emit(discovery.Update{Parts: s.state.Parts(), Problems: s.state.Problems(), Generation: max(at.Version, 0)})
}
