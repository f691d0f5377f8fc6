package discovery

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/app"
	"edgerouter/metrics"
)

// DefaultGiveUp is how long Merge waits for the first word of a source before
// the process counts as ready without it.
const DefaultGiveUp = 5 * time.Second

// Options say what Merge works on.
type Options struct {
	// Sources in source order: of two that declare the same application id, the
	// earlier one wins. Names must differ.
	Sources []Source
	// Apply receives the current set of every source, in source order, whenever
	// one of them changed. It is called from one goroutine at a time; changes
	// that come while it works are handed on together by the next call. It may
	// keep the sets, and must not change them.
	Apply func(sets []Set)
	// Metrics receives the er_source_* series.
	Metrics *metrics.Set
	Log     zerolog.Logger
	// GiveUp is how long readiness waits for a silent source; 0 means DefaultGiveUp.
	GiveUp time.Duration
	// Patience is another GiveUp for the sources that it names; 0 means until they
	// have delivered.
	Patience map[string]time.Duration
}

// Merge supervises sources and keeps the last good set of each.
type Merge struct {
	opts    Options
	sources []*sourceState
	wake    chan struct{} // of one: something changed since the last apply
	ready   chan struct{}

	mu      sync.Mutex // guards the sourceStates' shared part and what follows
	changed bool
	applied bool // at least once; only Run's goroutine touches it
}

// New makes a Merge; nothing runs before Run. Two sources of one name are an error.
func New(opts Options) (*Merge, error) {
	if opts.GiveUp == 0 {
		opts.GiveUp = DefaultGiveUp
	}
	m := &Merge{
		opts:  opts,
		wake:  make(chan struct{}, 1),
		ready: make(chan struct{}),
	}
	for _, s := range opts.Sources {
		name := s.Name()
		if slices.ContainsFunc(m.sources, func(o *sourceState) bool { return o.name == name }) {
			return nil, fmt.Errorf("discovery: two sources are named %q; the names of sources must differ", name)
		}
		m.sources = append(m.sources, newSourceState(s, opts.Metrics))
	}
	return m, nil
}

// Ready is closed once every source has delivered a set or has been given up on
// for the first time (it reported an error, ended, or was silent for
// Options.GiveUp), and what was delivered has been applied.
func (m *Merge) Ready() <-chan struct{} { return m.ready }

// Waiting returns the names of the sources that Ready waits for.
func (m *Merge) Waiting() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for _, s := range m.sources {
		if !s.settled {
			names = append(names, s.name)
		}
	}
	return names
}

// Statuses tells how each source is doing, in source order.
func (m *Merge) Statuses() []Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]Status, len(m.sources))
	for i, s := range m.sources {
		out[i] = s.status(time.Now())
	}
	return out
}

// Run starts the sources and applies what they emit until ctx ends. It returns
// when every source has returned.
func (m *Merge) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, s := range m.sources {
		wg.Go(func() { m.supervise(ctx, s) })
	}
	defer wg.Wait()

	for _, s := range m.sources {
		patience, own := m.opts.Patience[s.name]
		if !own {
			patience = m.opts.GiveUp
		}
		if patience > 0 {
			defer time.AfterFunc(patience, func() { m.giveUp(s, patience) }).Stop()
		}
	}
	ready := false
	for {
		m.apply(false)
		if !ready && m.settled() {
			m.apply(!m.applied) // an empty set is one too
			ready = true
			close(m.ready)
		}
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
		}
	}
}

// settled says whether every source has been heard of or given up on, and all of
// it has been applied.
func (m *Merge) settled() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.changed {
		return false
	}
	for _, s := range m.sources {
		if !s.settled {
			return false
		}
	}
	return true
}

// giveUp makes readiness not wait any longer for a source.
func (m *Merge) giveUp(s *sourceState, waited time.Duration) {
	m.mu.Lock()
	silent := !s.settled
	s.settled = true
	m.mu.Unlock()
	if !silent {
		return
	}
	m.opts.Log.Warn().Str("source", s.name).Dur("waited", waited).
		Msg("source has not delivered its applications yet; starting without them")
	m.wakeUp()
}

// wakeUp makes Run look at what has changed.
func (m *Merge) wakeUp() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// apply hands on the current sets if anything changed since the last time, or if
// it must.
func (m *Merge) apply(must bool) {
	m.mu.Lock()
	if !m.changed && !must {
		m.mu.Unlock()
		return
	}
	m.changed, m.applied = false, true
	current := make([]sourceSet, len(m.sources))
	for i, s := range m.sources {
		current[i] = s.set
	}
	m.mu.Unlock()

	sets, duplicates := merged(current)
	for i, s := range m.sources {
		m.report(s, duplicates[i])
	}
	m.opts.Apply(sets)
}

// receive takes an update of a source. It is what sources call as emit.
func (m *Merge) receive(s *sourceState, u Update) {
	m.mu.Lock()
	before := s.set.problems
	changed := s.take(u, time.Now())
	after := s.set.problems
	m.changed = m.changed || changed
	m.mu.Unlock()

	switch {
	case u.Err != nil:
		s.errors.Inc()
		m.opts.Log.Error().Str("source", s.name).Err(u.Err).
			Msg("source failed; its last applications stay in service")
		if changed && len(after) > 1 {
			logNew(m.opts.Log, s.name, append(before[:len(before):len(before)], after[0]), after)
		}
	case changed:
		logNew(m.opts.Log, s.name, before, after)
	}
	m.wakeUp()
}

// report logs the duplicates that are new since the last apply. Only apply calls
// it, so that s.duplicates needs no lock.
func (m *Merge) report(s *sourceState, duplicates []app.Problem) {
	logNew(m.opts.Log, s.name, s.duplicates, duplicates)
	m.mu.Lock()
	s.duplicates = duplicates
	m.mu.Unlock()
}

// maxLogged bounds the lines that one update can put into the log.
const maxLogged = 20

// logNew logs the problems that were not there before.
func logNew(log zerolog.Logger, source string, before, after []app.Problem) {
	if len(after) == 0 {
		return
	}
	known := make(map[app.Problem]bool, len(before))
	for _, p := range before {
		known[p] = true
	}
	logged, more := 0, 0
	for _, p := range after {
		switch {
		case known[p]:
		case logged == maxLogged:
			more++
		default:
			logged++
			log.Warn().Str("source", source).Str("file", p.File).Str("app", p.App).Str("field", p.Field).
				Msg(p.Error())
		}
	}
	if more > 0 {
		log.Warn().Str("source", source).Int("more", more).Msg("further problems; /api/v1/sources lists them all")
	}
}
