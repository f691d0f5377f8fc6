package watch

import (
	"os"
	"path/filepath"
	"sync"

	"github.com/fsnotify/fsnotify"
	"github.com/rs/zerolog"
)

// events collects what the file system says about the paths that matter. One
// goroutine reads; take empties.
type events struct {
	opts Options
	log  zerolog.Logger
	fs   *fsnotify.Watcher // nil: no events on this system
	wake chan struct{}
	done chan struct{}

	added map[string]os.FileInfo // the watched directories; only follow touches it
	deaf  bool                   // some directory could not be watched

	mu      sync.Mutex
	places  places
	all     bool
	changed map[string]struct{}
}

func newEvents(opts Options) *events {
	e := &events{
		opts: opts, log: opts.Log, wake: make(chan struct{}, 1), done: make(chan struct{}),
		added: map[string]os.FileInfo{}, changed: map[string]struct{}{},
	}
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		e.log.Warn().Err(err).Str("path", opts.Path).
			Msg("file system events are not available (see fs.inotify.max_user_instances); looking every second instead")
		close(e.done)
		return e
	}
	e.fs = fs
	go e.read()
	return e
}

func (e *events) blind() bool { return e.fs == nil || e.deaf }

func (e *events) close() {
	if e.fs != nil {
		e.fs.Close() // ends read
	}
	<-e.done
}

func (e *events) read() {
	defer close(e.done)
	for {
		select {
		case event, ok := <-e.fs.Events:
			if !ok {
				return
			}
			if changes(event) {
				// A path relative to the working directory comes as "./name".
				e.note(filepath.Clean(event.Name))
			}
		case _, ok := <-e.fs.Errors: // such as an overflow of the kernel's queue
			if !ok {
				return
			}
			e.note("")
		}
	}
}

// note remembers that a path changed; "" is everything.
func (e *events) note(path string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case path == "" || e.places.links[path]:
		e.all = true
	case e.places.folders[filepath.Dir(path)]:
		e.changed[path] = struct{}{}
	default:
		return // a neighbour that has nothing to do with us
	}
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// take returns what was noted since the last time.
func (e *events) take() (all bool, paths []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for p := range e.changed {
		paths = append(paths, p)
	}
	all = e.all
	e.all = false
	clear(e.changed)
	select {
	case <-e.wake: // of what was just taken
	default:
	}
	return all, paths
}

// follow makes the watched directories those that matter now, and says whether
// that changed any. A directory that was replaced by another of the same name is
// watched anew.
func (e *events) follow() (changed bool) {
	p := find(e.opts.Path, e.opts.Depth)
	e.mu.Lock()
	e.places = p
	e.mu.Unlock()
	if e.fs == nil {
		return false
	}
	watched := map[string]bool{}
	for _, dir := range e.fs.WatchList() {
		watched[dir] = true
	}
	for dir, info := range e.added {
		if now, wanted := p.dirs[dir]; !wanted || !os.SameFile(now, info) || !watched[dir] {
			if watched[dir] {
				_ = e.fs.Remove(dir) // it may be gone by itself in this moment
			}
			delete(e.added, dir)
			changed = true
		}
	}
	deaf := false
	for dir, info := range p.dirs {
		if _, there := e.added[dir]; there {
			continue
		}
		if err := e.fs.Add(dir); err != nil {
			deaf = true
			if !e.deaf {
				e.log.Warn().Err(err).Str("folder", dir).
					Msg("folder cannot be watched (see fs.inotify.max_user_watches); looking every second instead")
			}
			continue
		}
		e.added[dir] = info
		changed = true
	}
	e.deaf = deaf
	return changed
}
