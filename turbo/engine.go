package turbo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/internal/pace"
	"edgerouter/turbo/cache"
	"edgerouter/turbo/content"
	"edgerouter/turbo/store"
)

// Engine is what all sites of a process share: the store, the cache and the
// figures. It is safe for concurrent use.
type Engine struct {
	store store.Store
	cache *cache.Cache
	log   zerolog.Logger
	Stats Stats
	// CheckEvery is the shortest time between two questions to an origin whether
	// its takeover goes on; 5 s. It is set before the first takeover.
	CheckEvery time.Duration
	// WarmUp is how long a version waits at most for the files that were hot in the
	// one before it; 10 minutes. With 0 it waits for none. It is set before the first
	// backend is made.
	WarmUp time.Duration

	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool
	// lines and heritages are what goes on from one backend or takeover of an
	// application to the next.
	lines     map[string]*line
	heritages map[string]*heritage
}

// New makes an engine of a store and a cache, which stay the caller's to close
// after it.
func New(s store.Store, c *cache.Cache, log zerolog.Logger) *Engine {
	e := &Engine{store: s, cache: c, log: log, CheckEvery: checkEvery, WarmUp: DefaultWarmUp, lines: map[string]*line{}, heritages: map[string]*heritage{}}
	e.ctx, e.stop = context.WithCancel(context.Background())
	return e
}

// Cache is the one that the engine was made with.
func (e *Engine) Cache() *cache.Cache { return e.cache }

// Close ends what goes on in the background. Sites can be served on from what is
// in the cache.
func (e *Engine) Close() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.stop()
	e.running.Wait()
}

// run starts something that Close waits for.
func (e *Engine) run(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.running.Go(f)
	}
}

// keptManifest is a manifest that an earlier load kept, or nil.
func (e *Engine) keptManifest(id content.ID, room *pace.Pacer) *content.Manifest {
	data := e.cache.Manifest(id)
	if data == nil {
		return nil
	}
	m, err := content.ParsePaced(data, room)
	if err != nil {
		return nil // it was written by a version that read more; the store's may be newer
	}
	return m
}

// manifestTimeout bounds the reading of one. The next attempt, or the next check,
// must not wait for a store that never answers.
const manifestTimeout = time.Minute

// manifest reads a manifest: what was kept, or the store's. It makes room for
// requests meanwhile.
func (e *Engine) manifest(ctx context.Context, id content.ID) (*content.Manifest, error) {
	room := pace.Brisk()
	if m := e.keptManifest(id, &room); m != nil {
		return m, nil
	}
	ctx, cancel := context.WithTimeout(ctx, manifestTimeout)
	defer cancel()
	m, data, err := store.ManifestPaced(ctx, e.store, id, &room)
	if err != nil {
		return nil, err
	}
	e.cache.KeepManifest(id, data)
	return m, nil
}

// fetcher reads the files of a manifest from the store.
func (e *Engine) fetcher(m *content.Manifest) func(i int) cache.Fetch {
	return func(i int) cache.Fetch {
		return func(ctx context.Context) (io.ReadCloser, error) {
			r, err := e.store.Get(ctx, store.Files, m.FileID(i))
			if errors.Is(err, store.ErrNotFound) {
				err = fmt.Errorf("%s of manifest %s: %w: %w", m.Path(i), m.ID(), err, cache.ErrGone)
			}
			return r, err
		}
	}
}

// manifestSite makes a site of a manifest.
func (e *Engine) manifestSite(m *content.Manifest, opts SiteOptions, previous []*Site) *Site {
	return e.newSite(Version{Name: m.ID().String(), Files: m, Fetch: e.fetcher(m), Previous: previous}, opts)
}
