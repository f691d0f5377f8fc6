package gateway

import (
	"fmt"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/auth"
	"edgerouter/httpcache"
	"edgerouter/lambda"
	"edgerouter/middleware"
	"edgerouter/middleware/share"
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
	// SignIn is what the kinds auth_sso and auth_oidc have in common; what is of an
	// application is filled in.
	SignIn auth.SignInDeps
	// IDServerURL is that of auth_sso_opts that name none.
	IDServerURL string
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
	// HTTPSPort is the port of https that clients know, for redirect_scheme. 0: 443.
	HTTPSPort int
	// Share makes limits count together with those of the other nodes; nil: each
	// node counts for itself.
	Share *share.Exchange
}

// Builders are the backend kinds of this version.
func (d Standard) Builders() map[app.BackendKind]Builder {
	kinds := map[app.BackendKind]Builder{
		app.BackendPeerSet:  d.peerSet,
		app.BackendRedirect: redirect,
	}
	for _, kind := range guardKinds {
		kinds[kind] = d.guardedKind(kinds)
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
