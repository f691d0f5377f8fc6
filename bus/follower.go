package bus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/metrics"
)

// State is what a stream's events add up to. Its methods are called from the
// goroutine of Follower.Run only.
type State interface {
	// Restore makes the state that of a snapshot; nil is the state before the
	// first entry. What does not fit is an error, and nothing is kept of it.
	Restore(snapshot []byte) error
	// Apply takes the next entry. It never fails: what an event says and cannot
	// be done is the state's own business to report.
	Apply(e Entry)
	// Snapshot encodes the state for Restore.
	Snapshot() ([]byte, error)
}

// FollowerOptions say what a Follower works on.
type FollowerOptions struct {
	Log    Log
	Stream string
	State  State
	// Changed is called from Run's goroutine when the state is one to use: after
	// the snapshot was restored, and whenever it has caught up with the log after
	// a change. It is never called with a state that is half read.
	Changed func(at Cursor)
	// SnapshotPath is the file of the snapshot; empty: none is kept.
	SnapshotPath string
	// SnapshotEvery is how often a changed state is written at most; 0 means 250 ms.
	// One that takes long to write is written less often, see snapshotShare.
	SnapshotEvery time.Duration
	// CheckEvery is how often the end of the log is asked for, by which its lack of
	// quorum shows; 0 means 2 s, below 0 never.
	CheckEvery time.Duration
	Metrics    *metrics.Set
	Logger     zerolog.Logger
}

const (
	defaultSnapshotEvery = 250 * time.Millisecond
	// snapshotShare bounds the time that writing snapshots takes to a twentieth.
	snapshotShare     = 20
	defaultCheckEvery = 2 * time.Second
	checkTimeout      = 2 * time.Second
	// page is how many entries are read at once.
	page = 500
	// A log that fails is asked again after a pause that doubles, half of it random.
	minRetry = 100 * time.Millisecond
	maxRetry = 3 * time.Second
)

// Follower keeps the state of one stream.
type Follower struct {
	opts    FollowerOptions
	status  statusBoard
	caught  chan struct{}
	once    sync.Once // closes caught
	metrics followerMetrics

	// What follows belongs to Run.
	at      Cursor
	digest  string
	recent  recent
	check   bool // the log must be compared with what was applied before it is followed
	checked time.Time
	short   time.Time // since when the log is known to end before at, with more lost than is remembered
	live    bool      // caught up with the log at least once
	changed bool      // since Changed was called
	saved   Cursor
	saveAt  time.Time // not before this time again
	failure string    // what was last logged
	saving  string    // the same for snapshots
}

// NewFollower makes a follower; nothing happens before Run.
func NewFollower(opts FollowerOptions) *Follower {
	if opts.SnapshotEvery == 0 {
		opts.SnapshotEvery = defaultSnapshotEvery
	}
	if opts.CheckEvery == 0 {
		opts.CheckEvery = defaultCheckEvery
	}
	f := &Follower{opts: opts, caught: make(chan struct{}), at: Start(opts.Stream), saved: Start(opts.Stream)}
	f.status.s = FollowerStatus{Stream: opts.Stream, State: Starting, Version: -1, Head: -1, SnapshotVersion: -1}
	f.metrics.register(opts.Metrics, opts.Stream, f.Status)
	return f
}

// Status tells how the follower is doing.
func (f *Follower) Status() FollowerStatus { return f.status.get() }

// CaughtUp is closed once the state has been level with the log for the first time.
func (f *Follower) CaughtUp() <-chan struct{} { return f.caught }

// Run restores the snapshot and follows the log until ctx ends. It may be called
// again after it returned, and goes on where it was. An error is one of State's.
func (f *Follower) Run(ctx context.Context) error {
	defer f.status.change(func(s *FollowerStatus) { s.State = Stopped })
	defer f.save(true)
	if f.at.Version < 0 {
		if err := f.restore(); err != nil {
			return err
		}
	}
	f.check = f.at.Version >= 0
	retry := minRetry
	for ctx.Err() == nil {
		err := f.step(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			f.failed(err)
			pause(ctx, retry/2+rand.N(retry/2))
			retry = min(2*retry, maxRetry)
		default:
			retry = minRetry
		}
		f.save(false)
	}
	return nil
}

// step does one round: verify, read, apply, tell, wait.
func (f *Follower) step(ctx context.Context) error {
	if f.check {
		if err := f.verify(ctx); err != nil {
			return err
		}
		f.check = false
	}
	entries, err := f.opts.Log.Read(ctx, f.at, page)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := f.apply(e); err != nil {
			return err
		}
	}
	if len(entries) == page && !f.live {
		return nil
	}
	f.tell()
	if len(entries) == page {
		return nil
	}
	if err := f.checkEnd(ctx); err != nil || f.check {
		return err
	}
	f.reached()
	return f.wait(ctx)
}

// wait waits for entries, or until a snapshot is due: a node that is ended without
// a word shall start with what it had in service.
func (f *Follower) wait(ctx context.Context) error {
	f.save(false)
	if f.saved == f.at || f.opts.SnapshotPath == "" {
		return f.opts.Log.Wait(ctx, f.at)
	}
	due, cancel := context.WithDeadline(ctx, f.saveAt)
	defer cancel()
	err := f.opts.Log.Wait(due, f.at)
	if due.Err() != nil && ctx.Err() == nil {
		return nil
	}
	return err
}

// apply takes an entry into the state if it is the next one. One that was applied
// already is passed over.
func (f *Follower) apply(e Entry) error {
	switch {
	case e.Version <= f.at.Version:
		f.metrics.duplicates.Inc()
		return nil
	case e.Version > f.at.Version+1:
		return fmt.Errorf("%w: %s has version %d after %d, and what is between them is missing",
			ErrDamaged, f.opts.Stream, e.Version, f.at.Version)
	}
	f.opts.State.Apply(e)
	f.at = Cursor{f.opts.Stream, e.Version}
	f.digest = digest(f.digest, e)
	f.recent.add(e)
	f.changed = true
	f.metrics.applied.Inc()
	return nil
}

// tell publishes a state that is level with the log.
func (f *Follower) tell() {
	if !f.live {
		f.live = true
		f.changed = true
		defer f.once.Do(func() { close(f.caught) })
	}
	if !f.changed {
		return
	}
	f.changed = false
	now := time.Now()
	f.status.change(func(s *FollowerStatus) {
		if s.Version != f.at.Version {
			s.AppliedAt = &now
		}
		s.Version, s.Digest, s.Head = f.at.Version, f.digest, max(s.Head, f.at.Version)
	})
	f.opts.Changed(f.at)
}

// checkEnd asks for the end of the log now and then. One that is before what was
// applied makes the log be verified.
func (f *Follower) checkEnd(ctx context.Context) error {
	if f.opts.CheckEvery < 0 || time.Since(f.checked) < f.opts.CheckEvery {
		return nil
	}
	asked, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	last, err := f.opts.Log.Last(asked, f.opts.Stream)
	if err != nil {
		return err
	}
	f.checked = time.Now()
	f.status.change(func(s *FollowerStatus) { s.Head = max(last.Version, f.at.Version) })
	f.check = last.Version < f.at.Version
	return nil
}

// reached notes that the log answered.
func (f *Follower) reached() {
	now := time.Now()
	if f.failure != "" {
		f.failure = ""
		f.opts.Logger.Info().Str("stream", f.opts.Stream).Int64("version", f.at.Version).
			Msg("the event log is followed again")
	}
	f.status.change(func(s *FollowerStatus) { s.State, s.Error, s.ReachedAt = Following, "", &now })
}

// failed notes that the log cannot be followed at the moment; each reason is
// logged once.
func (f *Follower) failed(err error) {
	f.metrics.errors.Inc()
	state := Unreachable
	if errors.Is(err, ErrDamaged) {
		state = Damaged
	}
	f.status.change(func(s *FollowerStatus) { s.State, s.Error = state, err.Error() })
	if f.failure == err.Error() {
		return
	}
	f.failure = err.Error()
	f.opts.Logger.Error().Str("stream", f.opts.Stream).Int64("version", f.at.Version).Err(err).
		Msg("the event log cannot be followed; the last state stays in service")
}

// restore begins with the snapshot if there is a good one.
func (f *Follower) restore() error {
	if f.opts.SnapshotPath != "" {
		s, err := readSnapshot(f.opts.SnapshotPath, f.opts.Stream)
		if err == nil {
			err = f.opts.State.Restore(s.State)
		}
		if err == nil {
			f.at, f.digest, f.saved = s.Cursor, s.Digest, s.Cursor
			f.recent.set(s.Recent)
			f.status.change(func(st *FollowerStatus) {
				st.State, st.Version, st.Digest, st.Head, st.SnapshotVersion = FromSnapshot, s.Version, s.Digest, s.Version, s.Version
			})
			f.opts.Changed(f.at)
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			f.discard(err)
		}
	}
	return f.opts.State.Restore(nil)
}

// discard sets a snapshot aside that cannot be used.
func (f *Follower) discard(why error) {
	f.metrics.snapshotErrors.Inc()
	aside, err := setAside(f.opts.SnapshotPath)
	f.opts.Logger.Error().Str("stream", f.opts.Stream).Str("file", f.opts.SnapshotPath).Str("set_aside_as", aside).
		Err(errors.Join(why, err)).Msg("the snapshot is not used; the event log is read from its start")
	f.status.change(func(s *FollowerStatus) { s.SnapshotVersion = -1 })
	f.saved = Start(f.opts.Stream)
}

// save writes the snapshot when there is something new in it; not before the log
// was reached, because there is nothing newer then.
func (f *Follower) save(now bool) {
	if f.opts.SnapshotPath == "" || !f.live || f.at == f.saved || !now && time.Now().Before(f.saveAt) {
		return
	}
	started := time.Now()
	defer func() { // one that failed is tried again after the same time
		now := time.Now()
		f.saveAt = now.Add(max(f.opts.SnapshotEvery, snapshotShare*now.Sub(started)))
	}()
	state, err := f.opts.State.Snapshot()
	if err == nil {
		err = Snapshot{Cursor: f.at, Digest: f.digest, Recent: f.recent.entries, State: state}.write(f.opts.SnapshotPath)
	}
	if err != nil {
		f.metrics.snapshotErrors.Inc()
		if f.saving != err.Error() {
			f.saving = err.Error()
			f.opts.Logger.Error().Str("stream", f.opts.Stream).Err(err).
				Msg("the snapshot was not written; without it this node starts from the event log alone")
		}
		return
	}
	f.saving, f.saved = "", f.at
	f.status.change(func(s *FollowerStatus) { s.SnapshotVersion = f.at.Version })
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
