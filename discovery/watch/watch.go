// Package watch tells when a file or folder may have changed.
//
// A path goes in; calls of a function come out: once at the start, then whenever
// the file system says that something happened to the path, to a file in the
// folder, or to a symbolic link on the way (Kubernetes and Docker swap those),
// and every few seconds for file systems that say nothing. Directories are
// watched rather than files, because editors replace files by renaming. The path
// may come into being later, vanish, and come back.
//
// The package does not read files: whether something really changed is for the
// function to find out.
package watch

import (
	"context"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/rs/zerolog"
)

const (
	// DefaultPoll is how often everything is looked at without an event.
	DefaultPoll = 5 * time.Second
	// blindPoll is the same where the system gives no events at all.
	blindPoll = time.Second
	// gap is the least time between two looks: one write of a large file is many
	// events. The first event after a quiet time is acted on at once.
	gap = 10 * time.Millisecond
	// second is how long after a change of the watched directories everything is
	// looked at once more. When one directory takes the place of another, a late
	// event of the old one can end the watch of the new one.
	second = 100 * time.Millisecond
	// rest is how much longer than a look at everything the time after it is at
	// least, when nobody says that something happened: looking at 100,000 files takes
	// seconds, as room is made for others.
	rest = 10
)

// Options say what is watched.
type Options struct {
	Path string // file or folder
	// Depth is how many levels of folders inside Path are watched too.
	Depth int
	// Poll is how often everything is looked at without an event; 0 means DefaultPoll.
	Poll time.Duration
	// Now makes everything looked at when it receives.
	Now <-chan struct{}
	Log zerolog.Logger
}

// Look says what may have changed.
type Look struct {
	// All: anything may have changed. Otherwise only Paths, which are files in
	// the folder or in folders inside it, and may be none at all when the look
	// was asked for by the previous one.
	All   bool
	Paths []string
	// Asked: Options.Now received.
	Asked bool
}

// Run calls look until ctx ends; calls never overlap. When look returns more
// than 0, it is called again after that time at the latest.
func Run(ctx context.Context, opts Options, look func(Look) (again time.Duration)) {
	if opts.Poll == 0 {
		opts.Poll = DefaultPoll
	}
	events := newEvents(opts)
	defer events.close()

	next := Look{All: true}
	var all time.Time // when everything has to be looked at
	for {
		looked, moved := time.Now(), false
		if next.All || !looked.Before(all) {
			next.All, all = true, looked.Add(opts.Poll)
			if events.blind() {
				all = looked.Add(min(opts.Poll, blindPoll))
			}
			if events.follow() { // before the look: what happens during it is an event
				all, moved = looked.Add(min(opts.Poll, second)), true
			}
		}
		again := look(next)
		if took := time.Since(looked); next.All && !moved && rest*took > opts.Poll {
			all = looked.Add(rest * took)
		}
		var ok bool
		if next, ok = wait(ctx, opts, events, looked, all, again); !ok {
			return
		}
	}
}

// wait returns what to look at next, and when it is time for it: everything at
// the time all at the latest, and something after again.
func wait(ctx context.Context, opts Options, events *events, looked, all time.Time, again time.Duration) (Look, bool) {
	left := time.Until(all)
	look := Look{All: true}
	if again > 0 && again < left {
		look.All, left = false, again
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return look, false
	case <-opts.Now:
		look = Look{All: true, Asked: true}
	case <-timer.C:
	case <-events.wake:
		look.All = false
		if !pause(ctx, gap-time.Since(looked)) {
			return look, false
		}
	}
	every, paths := events.take()
	look.All = look.All || every
	look.Paths = paths
	return look, true
}

func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// changes says whether an event can be a change of content: reading and
// changing the mode back and forth are not.
func changes(e fsnotify.Event) bool { return e.Op != 0 && e.Op != fsnotify.Chmod }
