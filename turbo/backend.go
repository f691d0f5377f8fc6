package turbo

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/internal/pace"
	"edgerouter/turbo/content"
)

// Backend serves versions of a site as an application. A Backend that takes the
// place of another one of the same application goes on with its version until its
// own is here and warm.
type Backend struct {
	engine *Engine
	app    string
	log    zerolog.Logger
	site   atomic.Pointer[Site]
	ready  chan struct{} // closed when there is a site
	stop   context.CancelFunc
	failed atomic.Pointer[error] // of the last attempt to load
}

const (
	// retryFirst and retryMost are the pauses between attempts to load a version.
	retryFirst = time.Second
	retryMost  = 30 * time.Second
)

// loader makes the version that a Backend is for. It is called again after an
// error.
type loader func(ctx context.Context) (*Site, error)

// NewBackend makes the backend of kind turbocharger. What is kept on disk is in
// service at once, the rest as soon as the store has delivered it.
func (e *Engine) NewBackend(id string, opts app.TurbochargerOpts) (*Backend, error) {
	manifest, err := content.ParseID(opts.Manifest)
	if err != nil {
		return nil, fmt.Errorf("manifest: %q: %w", opts.Manifest, err)
	}
	var previous []content.ID
	for i, text := range opts.PreviousManifests {
		p, err := content.ParseID(text)
		if err != nil {
			return nil, fmt.Errorf("previous_manifests[%d]: %q: %w", i, text, err)
		}
		previous = append(previous, p)
	}
	site := SiteOptions{NotFound: opts.NotFoundPage, Fallback: opts.SPAFallback, Immutable: opts.Immutable}
	if site.NotFound == "" {
		site.NotFound = "/404.html"
	}
	now := func() *Site {
		var start pace.Pacer // nothing is served yet
		m := e.keptManifest(manifest, &start)
		if m == nil {
			return nil
		}
		var earlier []*Site
		for _, p := range previous {
			pm := e.keptManifest(p, &start)
			if pm == nil {
				return nil
			}
			earlier = append(earlier, e.manifestSite(pm, SiteOptions{}, nil))
		}
		return e.manifestSite(m, site, earlier)
	}
	load := func(ctx context.Context) (*Site, error) {
		m, err := e.manifest(ctx, manifest)
		if err != nil {
			return nil, err
		}
		var earlier []*Site
		for _, p := range previous {
			pm, err := e.manifest(ctx, p)
			if err != nil {
				// Pages that were loaded long ago must not keep this version back.
				e.log.Warn().Err(err).Str("app", id).Msg("a manifest of previous_manifests cannot be had; its files are not found")
				continue
			}
			earlier = append(earlier, e.manifestSite(pm, SiteOptions{}, nil))
		}
		return e.manifestSite(m, site, earlier), nil
	}
	return e.newBackend(id, opts.Manifest, now, load), nil
}

// NewVersionBackend makes a backend of any kind of version: load makes it, and is
// called again after an error. name tells it from others in logs.
func (e *Engine) NewVersionBackend(id, name string, opts SiteOptions, load func(ctx context.Context) (Version, error)) *Backend {
	return e.newBackend(id, name, func() *Site { return nil }, func(ctx context.Context) (*Site, error) {
		v, err := load(ctx)
		if err != nil {
			return nil, err
		}
		return e.newSite(v, opts), nil
	})
}

// newBackend starts a backend. now makes the version without asking anyone, or
// returns nil.
func (e *Engine) newBackend(id, version string, now func() *Site, load loader) *Backend {
	b := &Backend{engine: e, app: id, ready: make(chan struct{}), log: e.log.With().Str("app", id).Str("version", version).Logger()}
	ctx, stop := context.WithCancel(e.ctx)
	b.stop = stop
	old := e.join(b)
	if old == nil {
		if s := now(); s != nil {
			e.arrive(b, s)
			return b
		}
	}
	e.run(func() { b.load(ctx, old, load) })
	return b
}

// load brings the version here and puts it in service.
func (b *Backend) load(ctx context.Context, old *Site, load loader) {
	pause := retryFirst
	for {
		s, err := load(ctx)
		if err == nil {
			b.change(ctx, old, s)
			return
		}
		if ctx.Err() != nil {
			return
		}
		b.failed.Store(&err)
		b.log.Error().Err(err).Dur("again_in", pause).Msg("a version of a site cannot be had")
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		pause = min(2*pause, retryMost)
	}
}

// change warms the version and switches to it.
func (b *Backend) change(ctx context.Context, old, s *Site) {
	began := time.Now()
	w := newWarmUp(s, old)
	if limit := b.engine.WarmUp; limit > 0 {
		warming, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		err := w.run(warming, func(dealt, all int) {
			b.log.Info().Int("files", dealt).Int("of", all).Dur("took", time.Since(began)).Dur("at_most", limit).Msg("a version of a site is warming up; the one before it is in service")
		})
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			b.log.Warn().Err(err).Int("files", w.files()).Int("of", len(w.paths)).Dur("at_most", limit).Msg("not all files that were hot are here; the version is served nevertheless (--turbocharger-warm-up)")
		}
	}
	b.failed.Store(nil)
	b.engine.arrive(b, s)
	b.engine.Stats.Switches.Add(1)
	b.log.Info().Int("warm", w.files()).Int("files", s.files.Len()).Dur("took", time.Since(began)).Msg("a version of a site is in service")
}

// show answers with a version from now on. The engine's lock is held.
func (b *Backend) show(s *Site) {
	if b.site.Swap(s) == nil {
		close(b.ready)
	}
}

// Direct is true: it writes to the wire itself where nothing stands before it.
func (b *Backend) Direct() bool { return true }

// Handler answers requests.
func (b *Backend) Handler(direct bool) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		r, known := begin(ctx, direct)
		defer r.end()
		s := b.site.Load()
		if s == nil {
			if s = b.wait(); s == nil {
				r.fail(503, "the site is not available yet")
				return
			}
		}
		if !s.handle(r, known) {
			r.fail(503, "the file is not available at the moment")
		}
	}
}

// firstLoad is how long a request waits for the first version.
const firstLoad = 10 * time.Second

// wait waits for the first version, unless the store has failed already.
func (b *Backend) wait() *Site {
	if b.failed.Load() != nil {
		return b.site.Load()
	}
	timer := time.NewTimer(firstLoad)
	defer timer.Stop()
	select {
	case <-b.ready:
	case <-timer.C:
	case <-b.engine.ctx.Done():
	}
	return b.site.Load()
}

// Close ends what goes on in the background. Requests are answered on.
func (b *Backend) Close() {
	b.stop()
	b.engine.leave(b)
}
