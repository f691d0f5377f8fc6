// Package file is the discovery source that reads application definitions from
// a file, or from the *.json files of a folder, and follows them.
//
// A path goes in, discovery.Updates come out. Its promises:
//   - A change is read as soon as the file system tells of it; bytes that are the
//     same are not a change, and of a large file only the applications whose
//     bytes changed are decoded.
//   - A file that is half written or bad keeps what it declared before, and is
//     reported once it has been bad for 100 ms. One bad application does not hold
//     back the others of its file.
//   - A file that is gone from a folder takes its applications along. When the
//     path itself is gone, everything it declared stays and that is reported.
//   - Editors' rename-and-replace and swapped symbolic links are changes like any
//     other; so is a path that comes into being later.
package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/app"
	"edgerouter/discovery"
	"edgerouter/discovery/watch"
	"edgerouter/internal/pace"
)

// Name is the name of the source.
const Name = "file"

// Source follows one path. It is a discovery.Source.
type Source struct {
	path   string
	poll   time.Duration
	log    zerolog.Logger
	reload chan struct{}

	// What follows belongs to Run. It outlives a restart of the source.
	folder  bool
	files   map[string]*state
	sorted  []*state        // files by path; nil: to be made again
	waiting map[string]bool // files that asked to be looked at again
	missing time.Time       // since when the path is gone
	emitted bool
	failure string              // the error last emitted, until something else is
	joined  [][]app.Application // by ids, the files that twice is known of
	twice   []app.Problem       // what two files declare
	// delivered: a first set was emitted, which has Apps as well as Parts.
	delivered bool
}

// Option changes a Source.
type Option func(*Source)

// Poll sets how often everything is looked at when the file system says nothing.
func Poll(every time.Duration) Option { return func(s *Source) { s.poll = every } }

// New makes a source of the file or folder at path, which need not exist yet.
func New(path string, log zerolog.Logger, options ...Option) *Source {
	s := &Source{
		path: filepath.Clean(path), log: log, reload: make(chan struct{}, 1),
		files: map[string]*state{}, waiting: map[string]bool{},
	}
	for _, o := range options {
		o(s)
	}
	return s
}

// Name is "file".
func (s *Source) Name() string { return Name }

// Reload reads everything again, changed or not, and emits it; for SIGHUP. It
// does not wait.
func (s *Source) Reload() {
	select {
	case s.reload <- struct{}{}:
	default:
	}
}

// Run follows the path until ctx ends. Updates have Parts; the first also has
// Apps, for those who want to read the path only once.
func (s *Source) Run(ctx context.Context, emit func(discovery.Update)) error {
	s.emitted = false
	watch.Run(ctx, watch.Options{Path: s.path, Poll: s.poll, Now: s.reload, Log: s.log},
		func(l watch.Look) time.Duration { return s.look(l, emit) })
	return nil
}

// look brings the states up to date and emits when that changed something. It
// returns when to look again.
func (s *Source) look(l watch.Look, emit func(discovery.Update)) time.Duration {
	now := time.Now()
	info, err := os.Stat(s.path)
	if err != nil {
		return s.unreachable(err, now, l.Asked, emit)
	}
	s.missing = time.Time{}
	if info.IsDir() != s.folder {
		s.folder, s.sorted = info.IsDir(), nil
		clear(s.files)
		clear(s.waiting)
		l.All = true
	}
	paths, err := s.touched(l)
	if err != nil {
		s.fail(err, l.Asked, emit)
		return 0
	}
	changed, again := s.lookAt(paths, l, now)
	// The first set of a folder waits for files that may be half written, so that it
	// comes with what is wrong with them.
	settled := s.folder && s.emitted || len(s.waiting) == 0
	if settled && (changed || l.Asked || !s.emitted || s.failure != "" && !s.told()) {
		s.emit(emit)
	}
	return again
}

// unreachable deals with a path that is not there. What it declared stays.
func (s *Source) unreachable(err error, now time.Time, asked bool, emit func(discovery.Update)) time.Duration {
	if errors.Is(err, os.ErrNotExist) && len(s.files) > 0 {
		if s.missing.IsZero() {
			s.missing = now
		}
		if left := absence - now.Sub(s.missing); left > 0 {
			return left
		}
	}
	s.fail(fmt.Errorf("reading applications from %s: %s (see --apps)", s.path, cause(err)), asked, emit)
	return 0
}

// fail emits an error, unless it is the one that was emitted last.
func (s *Source) fail(err error, asked bool, emit func(discovery.Update)) {
	if s.failure == err.Error() && !asked {
		return
	}
	s.failure, s.emitted = err.Error(), true
	emit(discovery.Update{Err: err})
}

// touched lists the files to look at.
func (s *Source) touched(l watch.Look) ([]string, error) {
	if !s.folder {
		return []string{s.path}, nil
	}
	var paths []string
	if l.All {
		entries, err := os.ReadDir(s.path)
		if err != nil {
			return nil, fmt.Errorf("listing the folder %s: %s (see --apps)", s.path, cause(err))
		}
		for _, e := range entries {
			if path := filepath.Join(s.path, e.Name()); declares(path) {
				paths = append(paths, path)
			}
		}
		for path := range s.files { // those that are gone
			paths = append(paths, path)
		}
	} else {
		for _, path := range l.Paths {
			if declares(path) {
				paths = append(paths, path)
			}
		}
		for path := range s.waiting {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths), nil
}

// declares says whether a file of a folder is one to read: *.json, and not what
// an editor or a tool leaves there for itself.
func declares(path string) bool {
	name := filepath.Base(path)
	return strings.HasSuffix(name, ".json") && !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "#")
}

// Unread lists what is in the folder at path and not read: files with another
// ending and folders. What is hidden, or of an editor, is not meant to be. It is
// empty when path is a file.
func Unread(path string) (list []string) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		name := e.Name()
		if at := filepath.Join(path, name); !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "#") &&
			!strings.HasSuffix(name, "~") && (!declares(at) || e.IsDir()) {
			list = append(list, at)
		}
	}
	return list
}

// lookAt brings the states of some files up to date.
func (s *Source) lookAt(paths []string, l watch.Look, now time.Time) (changed bool, again time.Duration) {
	var pacer pace.Pacer
	if s.emitted {
		pacer = pace.New()
	}
	for _, path := range paths {
		pacer.Block()
		st := s.files[path]
		if st == nil {
			st = newState(path)
			s.files[path], s.sorted = st, nil
		}
		r := st.look(now, l.Asked || !l.All)
		changed = changed || r.changed
		delete(s.waiting, path)
		if r.again > 0 {
			s.waiting[path] = true
			if again == 0 || r.again < again {
				again = r.again
			}
		}
		if s.folder && st.absent(now) {
			delete(s.files, path)
			s.sorted = nil
			changed = true
		}
	}
	return changed, again
}

// told says whether the path is one file that is known to be bad.
func (s *Source) told() bool {
	if s.folder {
		return false
	}
	st := s.files[s.path]
	return st != nil && st.told
}

// emit hands on what the files declare.
func (s *Source) emit(emit func(discovery.Update)) {
	s.emitted, s.failure = true, ""
	if s.sorted == nil {
		for _, st := range s.files {
			s.sorted = append(s.sorted, st)
		}
		slices.SortFunc(s.sorted, func(a, b *state) int { return strings.Compare(a.path, b.path) })
	}
	if s.told() {
		st := s.sorted[0]
		s.failure = st.trouble[0].Error()
		emit(discovery.Update{Err: st.trouble[0], Problems: st.trouble})
		return
	}
	u := s.join()
	if !s.delivered {
		s.delivered = true
		u.Apps = slices.Concat(u.Parts...)
	}
	emit(u)
}

// join puts the files of a folder together, in the order of their names. Of two
// applications with one id the first stays.
func (s *Source) join() discovery.Update {
	u := discovery.Update{Parts: [][]app.Application{}}
	for _, st := range s.sorted {
		u.Parts = append(u.Parts, st.doc.parts...)
		u.Problems = append(u.Problems, st.problems()...)
	}
	if len(s.sorted) < 2 {
		return u
	}
	if len(s.twice) > 0 || !sameIDs(s.joined, u.Parts) {
		s.joined = u.Parts
		files := make([]app.File, len(s.sorted))
		for i, st := range s.sorted {
			files[i] = app.File{Name: st.path, Apps: slices.Concat(st.doc.parts...)}
		}
		var unique []app.Application
		if unique, s.twice = app.CheckSet(files); len(s.twice) > 0 {
			u.Parts = cut(unique)
			u.Problems = append(u.Problems, s.twice...)
		}
	}
	return u
}

// sameIDs says whether two sets have the same ids in the same places.
func sameIDs(a, b [][]app.Application) bool {
	return slices.EqualFunc(a, b, func(a, b []app.Application) bool {
		return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] ||
			slices.EqualFunc(a, b, func(a, b app.Application) bool { return a.ID == b.ID }))
	})
}
