package gateway

import (
	"fmt"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/auth"
	"edgerouter/httpcache"
	"edgerouter/lambda"
	"edgerouter/middleware"
	"edgerouter/s3site"
	"edgerouter/turbo"
	"edgerouter/upstream"
)

// Standard is what the kinds of this version are built from.
type Standard struct {
	Upstream upstream.Deps
	// Resolve puts secrets in the place of file: and env: references
	// (app.ResolveAll); nil leaves them as they are.
	Resolve func(app.Application) (app.Application, []app.Problem)
	// Auth is shared by all applications; its Realm is replaced by their ids.
	Auth auth.V0Deps
	// Lambda calls functions. Without it aws_lambda is not available.
	Lambda *lambda.Service
	// Admin and Metrics answer for edgerouter_admin and prom_metrics. Without
	// them the kinds are not available.
	Admin, Metrics fasthttp.RequestHandler
	// Turbo serves content of the edge's own. Without it the kinds that need it
	// are not available.
	Turbo *turbo.Engine
	// Sites serve what is in S3; without an engine in it the kind is not available.
	Sites s3site.Deps
	// CacheStats counts for the option caching, which needs Turbo as well.
	CacheStats *httpcache.Stats
}

// Builders are the backend kinds of this version.
func (d Standard) Builders() map[app.BackendKind]Builder {
	kinds := map[app.BackendKind]Builder{
		app.BackendPeerSet:  d.peerSet,
		app.BackendRedirect: redirect,
	}
	kinds[app.BackendAuthV0] = func(id string, b app.Backend) (Backend, error) {
		if b.AuthV0 == nil || b.AuthV0.AuthorizedBackend == nil {
			return nil, missing("auth_v0_opts.authorized_backend")
		}
		return d.authV0(kinds, id, *b.AuthV0)
	}
	if d.Lambda != nil {
		kinds[app.BackendAWSLambda] = d.lambda
	}
	d.addTurbo(kinds)
	d.addSites(kinds)
	if d.Admin != nil {
		kinds[app.BackendAdmin] = fixed(d.Admin)
	}
	if d.Metrics != nil {
		kinds[app.BackendPromMetrics] = fixed(d.Metrics)
	}
	return kinds
}

// missing is for definitions that no decoder has seen.
func missing(field string) error { return fmt.Errorf("%s is missing", field) }

// peerSet is a Backend that can write to the client's connection itself.
type peerSet struct{ *upstream.Set }

// Direct is true.
func (peerSet) Direct() bool { return true }

func (d Standard) peerSet(id string, b app.Backend) (Backend, error) {
	if b.PeerSet == nil {
		return nil, missing("peer_set_opts")
	}
	if d.Resolve != nil {
		resolved, problems := d.Resolve(app.Application{ID: id, Backend: b})
		if len(problems) > 0 {
			return nil, problems[0]
		}
		b = resolved.Backend
	}
	return d.turbocharge(id, b.PeerSet.Turbocharger, func(advertised upstream.Advertised) (Backend, error) {
		deps := d.Upstream
		deps.Advertised = advertised
		set, err := upstream.New(id, *b.PeerSet, deps)
		if err != nil {
			return nil, inField("backend.peer_set_opts", err)
		}
		return d.withCache(id, b.PeerSet.Caching, peerSet{set})
	})
}

// guarded is a backend behind a wrapper.
type guarded struct {
	inner Backend
	wrap  Wrapper
}

func (d Standard) authV0(kinds map[app.BackendKind]Builder, id string, opts app.AuthV0Opts) (Backend, error) {
	wrap, err := d.gate(id, opts)
	if err != nil {
		return nil, err
	}
	build := kinds[opts.AuthorizedBackend.Kind]
	if build == nil {
		return nil, &NotAvailable{What: "backend", Kind: string(opts.AuthorizedBackend.Kind)}
	}
	inner, err := build(id, *opts.AuthorizedBackend)
	if err != nil {
		return nil, err
	}
	return &guarded{inner: inner, wrap: wrap}, nil
}

func (d Standard) gate(id string, opts app.AuthV0Opts) (Wrapper, error) {
	deps := d.Auth
	deps.Realm = id
	wrap, err := auth.NewV0(opts, deps)
	return wrap, err
}

// Handler is the inner backend's behind the wrapper.
func (g *guarded) Handler(bool) fasthttp.RequestHandler { return g.wrap(g.inner.Handler(false)) }

// Close closes the inner backend.
func (g *guarded) Close() { g.inner.Close() }

// Peers are those of the inner backend.
func (g *guarded) Peers() []upstream.PeerStatus {
	if l, ok := g.inner.(PeerLister); ok {
		return l.Peers()
	}
	return nil
}

func redirect(_ string, b app.Backend) (Backend, error) {
	if b.Redirect == nil {
		return nil, missing("redirect_opts")
	}
	h, err := middleware.NewRedirect(*b.Redirect)
	return &handlerBackend{h}, err
}

// handlerBackend is a backend that is no more than a handler.
type handlerBackend struct{ handler fasthttp.RequestHandler }

func fixed(h fasthttp.RequestHandler) Builder {
	return func(string, app.Backend) (Backend, error) { return &handlerBackend{h}, nil }
}

// Handler is the handler.
func (b *handlerBackend) Handler(bool) fasthttp.RequestHandler { return b.handler }

// Close has nothing to do.
func (b *handlerBackend) Close() {}
