package bus

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// verify compares the log with what was applied, before the log is followed
// after a start or after its end was found to be before that:
//
//   - the log has the last applied entry: it is the same log, all is well;
//   - it has another one there: it is another log, and is read from its start;
//     what is in service stays until that has been read;
//   - it ends before, and has the entries all the same: a node told its end that is
//     behind, such as one that led the cluster until it was cut off;
//   - it ends before: it lost what it had acknowledged. What this node
//     remembers of that is appended again, in its place, and until then nothing is
//     applied and the last state stays.
func (f *Follower) verify(ctx context.Context) error {
	if f.at.Version < 0 {
		return nil
	}
	last, err := f.opts.Log.Last(ctx, f.opts.Stream)
	if err != nil {
		return err
	}
	if _, known := f.recent.at(f.at.Version); !known {
		return f.startOver(errors.New("the snapshot has no entry to compare the log with"))
	}
	if last.Version >= f.at.Version {
		f.short = time.Time{}
		return f.compare(ctx)
	}
	further, err := f.opts.Log.Read(ctx, last, 1)
	if err != nil {
		return err
	}
	if len(further) > 0 {
		return f.compare(ctx)
	}
	return f.putBack(ctx, last)
}

// shortFor is how long a log has to end before what was applied until it counts
// as damaged. A node that led the cluster and was cut off answers for it with the
// end that it had then, until it hears of the leader that came after it.
const shortFor = 10 * time.Second

// compared is how many of the last applied entries are looked for in the log.
const compared = 16

// compare looks for the last applied entries in the log. Some may not be there:
// in a copy that is behind, or because the store was damaged; what was applied of
// them stays. One that is there has to be the same.
func (f *Follower) compare(ctx context.Context) error {
	first := max(f.at.Version-compared+1, f.recent.entries[0].Version)
	entries, err := f.opts.Log.Read(ctx, Cursor{f.opts.Stream, first - 1}, int(f.at.Version-first+1))
	if err != nil {
		return err
	}
	same := 0
	for _, theirs := range entries {
		ours, known := f.recent.at(theirs.Version)
		if known && !sameEvents(theirs, ours) {
			return f.startOver(fmt.Errorf("version %d of %s is not what this node applied as that: it is another log", theirs.Version, f.opts.Stream))
		}
		if known {
			same++
		}
	}
	if same == 0 {
		return fmt.Errorf("%w: versions %d to %d of %s, which this node has applied, cannot be read", ErrUnavailable, first, f.at.Version, f.opts.Stream)
	}
	return nil
}

// entryAt reads one entry, which those who accept appends have.
func (f *Follower) entryAt(ctx context.Context, version int64) (Entry, error) {
	entries, err := f.opts.Log.Read(ctx, Cursor{f.opts.Stream, version - 1}, 1)
	switch {
	case err != nil:
		return Entry{}, err
	case len(entries) == 0:
		return Entry{}, fmt.Errorf("%w: version %d of %s is not on this node yet", ErrUnavailable, version, f.opts.Stream)
	case entries[0].Version != version:
		return Entry{}, fmt.Errorf("%w: version %d of %s is missing", ErrDamaged, version, f.opts.Stream)
	}
	return entries[0], nil
}

// startOver forgets what was applied. What is in service stays until the log has
// been read.
func (f *Follower) startOver(why error) error {
	f.discard(why)
	f.at, f.digest, f.live = Start(f.opts.Stream), "", false
	f.recent = recent{}
	return f.opts.State.Restore(nil)
}

// putBack appends what the log lost and this node remembers.
func (f *Follower) putBack(ctx context.Context, last Cursor) error {
	lost := f.recent.after(last.Version)
	short := fmt.Errorf("%w: %s ends with version %d, before %d, which this node has applied",
		ErrDamaged, f.opts.Stream, last.Version, f.at.Version)
	if len(lost) > 0 && lost[0].Version == 0 {
		lost = lost[1:] // entry 0 is made with the stream
	}
	if len(lost) == 0 || lost[0].Version != max(last.Version+1, 1) {
		if f.short.IsZero() {
			f.short = time.Now()
		}
		if time.Since(f.short) < shortFor {
			return fmt.Errorf("%w: %s is said to end with version %d, before %d, which this node has applied; who said it may be behind the others, and is asked again for %s",
				ErrUnavailable, f.opts.Stream, last.Version, f.at.Version, shortFor)
		}
		return fmt.Errorf("%w; it is longer ago than this node remembers: restore the log, or remove %s to go on from the log as it is", short, f.opts.SnapshotPath)
	}
	if last.Version >= 0 {
		theirs, err := f.entryAt(ctx, last.Version)
		if err != nil {
			return err
		}
		if ours, known := f.recent.at(last.Version); known && !sameEvents(theirs, ours) {
			return f.startOver(fmt.Errorf("version %d of %s is not what this node applied as that: it is another log", last.Version, f.opts.Stream))
		}
	}
	at := last
	for _, e := range lost {
		if e.Meta != "" {
			return fmt.Errorf("%w; version %d is a bookkeeping entry, which cannot be appended again", short, e.Version)
		}
		next, err := f.opts.Log.AppendAfter(ctx, at, e.Events...)
		switch {
		case errors.Is(err, ErrConflict): // another node has done it, or the log was never short
			return fmt.Errorf("%w: %s was said to end with version %d: %w", ErrUnavailable, f.opts.Stream, at.Version, err)
		case err != nil:
			return errors.Join(short, err)
		}
		at = next
	}
	f.opts.Logger.Warn().Str("stream", f.opts.Stream).Int64("ended_with", last.Version).Int64("ends_with", at.Version).
		Msg("the event log had lost entries that it had acknowledged; this node remembered them and has appended them again")
	return nil
}
