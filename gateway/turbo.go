package gateway

import (
	"context"
	"errors"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/httpcache"
	"edgerouter/s3site"
	"edgerouter/turbo"
	"edgerouter/upstream"
)

// addTurbo adds the kinds that serve content of the edge's own.
func (d Standard) addTurbo(kinds map[app.BackendKind]Builder) {
	if d.Turbo == nil {
		return
	}
	kinds[app.BackendTurbocharger] = func(id string, b app.Backend) (Backend, error) {
		if b.Turbocharger == nil {
			return nil, missing("turbocharger_opts")
		}
		backend, err := d.Turbo.NewBackend(id, *b.Turbocharger)
		if err != nil {
			return nil, inField("backend.turbocharger_opts", err)
		}
		return backend, nil
	}
}

// addSites adds the kind of sites in S3.
func (d Standard) addSites(kinds map[app.BackendKind]Builder) {
	if d.Sites.Engine == nil {
		return
	}
	kinds[app.BackendS3StaticWebsite] = func(id string, b app.Backend) (Backend, error) {
		if b.S3StaticWebsite == nil {
			return nil, missing("s3_static_website_opts")
		}
		return s3site.New(id, *b.S3StaticWebsite, d.Sites)
	}
}

// turbocharged is a backend whose advertised subtrees are served here.
type turbocharged struct {
	Backend
	takeover *turbo.Takeover
}

// turbocharge puts a takeover before a backend that may advertise subtrees,
// unless option (the application's turbocharger) is off. build makes the backend
// and is given whom to tell of advertisements; nil: nobody.
func (d Standard) turbocharge(id, option string, build func(upstream.Advertised) (Backend, error)) (Backend, error) {
	if d.Turbo == nil || option == "off" {
		return build(nil)
	}
	t := d.Turbo.NewTakeover(id)
	inner, err := build(t.Advertised)
	if err != nil {
		t.Close()
		return nil, err
	}
	origin, ok := inner.(turbo.Origin)
	if !ok {
		t.Close()
		return inner, nil
	}
	t.SetOrigin(origin)
	return &turbocharged{inner, t}, nil
}

// Handler is the takeover's before the inner backend's.
func (b *turbocharged) Handler(direct bool) fasthttp.RequestHandler {
	return b.takeover.Handler(direct, b.Backend.Handler(direct))
}

// Direct is the inner backend's.
func (b *turbocharged) Direct() bool {
	inner, ok := b.Backend.(DirectBackend)
	return ok && inner.Direct()
}

// Inside is the backend that may advertise.
func (b *turbocharged) Inside() Backend { return b.Backend }

// Close ends the takeover and closes the inner backend.
func (b *turbocharged) Close() {
	b.takeover.Close()
	b.Backend.Close()
}

// cached is a backend behind a cache.
type cached struct {
	Backend
	cache *httpcache.Cache
}

// withCache puts a cache before a backend where the options say so.
func (d Standard) withCache(id string, opts *app.Caching, inner Backend) (Backend, error) {
	if opts == nil || !opts.Enabled {
		return inner, nil
	}
	if d.Turbo == nil || d.CacheStats == nil {
		inner.Close()
		return nil, &NotAvailable{What: "backend", Kind: "peer_set with caching"}
	}
	return &cached{inner, httpcache.New(id, *opts, d.Turbo.Cache(), d.CacheStats, d.Upstream.Log)}, nil
}

// Handler is the cache's before the inner backend's, which leaves its responses
// for it.
func (b *cached) Handler(bool) fasthttp.RequestHandler {
	return b.cache.Handler(b.Backend.Handler(false))
}

// Purge drops stored responses, see httpcache.Cache.Purge.
func (b *cached) Purge(host, prefix string) int { return b.cache.Purge(host, prefix) }

// Advertisement is the inner backend's.
func (b *cached) Advertisement(ctx context.Context, host, path string, secure bool) (int, string, error) {
	origin, ok := b.Backend.(turbo.Origin)
	if !ok {
		return 0, "", errors.New("the backend cannot be asked")
	}
	return origin.Advertisement(ctx, host, path, secure)
}

// Inside is the backend whose answers are stored.
func (b *cached) Inside() Backend { return b.Backend }

// Close closes the cache and the inner backend.
func (b *cached) Close() {
	b.cache.Close()
	b.Backend.Close()
}

// Updatable asks the inner backend.
func (b *turbocharged) Updatable(from, to app.Backend) bool {
	u, ok := b.Backend.(Updater)
	return ok && u.Updatable(from, to)
}

// Update changes the inner backend.
func (b *turbocharged) Update(to app.Backend) error { return b.Backend.(Updater).Update(to) }

// Updatable asks the inner backend.
func (b *cached) Updatable(from, to app.Backend) bool {
	u, ok := b.Backend.(Updater)
	return ok && u.Updatable(from, to)
}

// Update changes the inner backend.
func (b *cached) Update(to app.Backend) error { return b.Backend.(Updater).Update(to) }
