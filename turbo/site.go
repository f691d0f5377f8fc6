// Package turbo serves static sites from the edge: a URL subtree that an
// immutable manifest describes, so that every file of the version is known here.
//
// Into it go manifests and files of a store (turbo/store) through a cache
// (turbo/cache); out come handlers: a Backend that serves a manifest as an
// application, and a Takeover that serves the subtree of an application that
// names one in its responses (the header "turbocharger"). Versions change
// atomically, once the files that were hot in the old version are here.
//
// What it never does: ask an origin for a path that the manifest does not have,
// send a part of a file for the whole, or mix two versions.
package turbo

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/turbo/cache"
	"edgerouter/turbo/content"
)

// loadTimeout is how long a request waits for a file that is on its way from the
// store.
const loadTimeout = 30 * time.Second

// SiteOptions say what answers for paths that a site does not have.
type SiteOptions struct {
	NotFound  string   // sent with 404; "" for a plain text
	Fallback  string   // sent with 200 instead; "" for none
	Immutable []string // patterns (content.Glob) of files that never change, beside those with a hash in the name
	Index     string   // what a folder's path stands for; index.html by default
}

// Files is a version of a site: paths and what they are.
type Files interface {
	// Find looks a path up; it does not allocate.
	Find(path []byte) (i int, ok bool)
	Len() int
	Path(i int) string
	FileID(i int) content.ID
	KindOfFile(i int) content.Kind
	// CacheControl overrides what the kind says; "" when it does not.
	CacheControl(path []byte) string
}

// Resolving is a version whose files become known as they are asked for. Find may
// take long. Len and the numbers below it are those that are known.
type Resolving interface {
	Files
	// Object is the content of a file; nil when it cannot be had now.
	Object(i int) *cache.Object
}

// Site is one version that is served. It is immutable, except for which of its
// files are here.
type Site struct {
	files Files
	fetch func(i int) cache.Fetch
	cache *cache.Cache
	opts  SiteOptions
	stats *Stats
	log   zerolog.Logger
	name  string
	slots []atomic.Pointer[cache.Object]
	// resolving is files, if it is of that kind; there are no slots then.
	resolving Resolving
	previous  []*Site // searched for what files lacks
	notFound  int     // in files; -1: none
	fallback  int

	sorted sync.Once
	ids    []content.ID // of all files, sorted; made when a dictionary is first asked for
}

// Version is what a Site is made of.
type Version struct {
	Name  string // the manifest's id, for logs
	Files Files
	// Fetch reads a file by its number; an error that has cache.ErrGone in its chain
	// says that it is not there.
	Fetch func(i int) cache.Fetch
	// Previous are earlier versions, the newest first.
	Previous []*Site
}

// newSite makes a site that serves a version.
func (e *Engine) newSite(v Version, opts SiteOptions) *Site {
	if opts.Index == "" {
		opts.Index = "index.html"
	}
	s := &Site{
		files: v.Files, fetch: v.Fetch, cache: e.cache, opts: opts, stats: &e.Stats, log: e.log, name: v.Name, previous: v.Previous,
		notFound: -1, fallback: -1,
	}
	if r, ok := v.Files.(Resolving); ok {
		s.resolving = r
		return s
	}
	s.slots = make([]atomic.Pointer[cache.Object], v.Files.Len())
	find := func(path string) int {
		if path == "" {
			return -1
		}
		if path[0] != '/' {
			path = "/" + path
		}
		if i, ok := v.Files.Find([]byte(path)); ok {
			return i
		}
		return -1
	}
	s.notFound, s.fallback = find(opts.NotFound), find(opts.Fallback)
	return s
}

// file is one file of one version.
type file struct {
	site *Site
	i    int
}

func (f file) id() content.ID { return f.site.files.FileID(f.i) }

// object is the file's content, which may not be here yet.
func (f file) object() *cache.Object {
	if f.site.resolving != nil {
		return f.site.resolving.Object(f.i)
	}
	slot := &f.site.slots[f.i]
	o := slot.Load()
	if o == nil {
		o = f.site.cache.Object(f.id())
		slot.Store(o)
	}
	return o
}

// load sees to it that the identity copy is here.
func (f file) load(ctx context.Context) (*cache.Copy, error) {
	o := f.object()
	if o == nil {
		return nil, errUnavailable
	}
	if c := o.Copy(cache.Identity); c != nil {
		return c, nil
	}
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	return o.Load(ctx, f.site.fetch(f.i))
}

var errUnavailable = errors.New("it cannot be had now")

// find looks a path up, in this version and then in the earlier ones.
func (s *Site) find(path []byte) (file, bool) {
	if i, ok := s.files.Find(path); ok {
		return file{s, i}, true
	}
	return file{}, false
}

func (s *Site) findEarlier(path []byte) (file, bool) {
	for _, p := range s.previous {
		if i, ok := p.files.Find(path); ok {
			return file{p, i}, true
		}
	}
	return file{}, false
}

// has says whether a file of this version or an earlier one has that content.
func (s *Site) has(id content.ID) bool {
	s.sorted.Do(func() {
		s.ids = make([]content.ID, s.files.Len())
		for i := range s.ids {
			s.ids[i] = s.files.FileID(i)
		}
		slices.SortFunc(s.ids, compareIDs)
	})
	if _, ok := slices.BinarySearchFunc(s.ids, id, compareIDs); ok {
		return true
	}
	return slices.ContainsFunc(s.previous, func(p *Site) bool { return p.has(id) })
}

func compareIDs(a, b content.ID) int { return slices.Compare(a[:], b[:]) }

// hot lists what was sent and is here still, by path.
func (s *Site) hot() (paths []string, objects []*cache.Object) {
	n := len(s.slots)
	if s.resolving != nil {
		n = s.resolving.Len()
	}
	for i := range n {
		var o *cache.Object
		if s.resolving != nil {
			o = s.resolving.Object(i)
		} else {
			o = s.slots[i].Load()
		}
		if o != nil && o.Copy(cache.Identity) != nil {
			paths, objects = append(paths, s.files.Path(i)), append(objects, o)
		}
	}
	return paths, objects
}

// alone is the version without those before it: what later versions keep of it.
func (s *Site) alone() *Site {
	return &Site{
		files: s.files, fetch: s.fetch, cache: s.cache, opts: s.opts, stats: s.stats, log: s.log, name: s.name,
		slots: s.slots, resolving: s.resolving, notFound: -1, fallback: -1,
	}
}

// asPrevious is what the version called next, which comes after this one, has for
// its earlier ones.
func (s *Site) asPrevious(next string) []*Site {
	l := line{site: s, past: withoutName(s.previous, s.name)}
	return l.before(&Site{name: next})
}
