package gateway

import (
	"errors"
	"fmt"
	"strings"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/auth"
	"edgerouter/middleware"
	"edgerouter/upstream"
)

// guardOpts are the options of a kind that decides who may enter; a backend and a
// middleware have them under the same names.
type guardOpts struct {
	v0      *app.AuthV0Opts
	sso     *app.AuthSSOOpts
	forward *app.AuthForwardOpts
	oidc    *app.AuthOIDCOpts
}

// guardKinds are the kinds that decide who may enter.
var guardKinds = [...]app.BackendKind{app.BackendAuthV0, app.BackendAuthSSO, app.BackendAuthForward, app.BackendAuthOIDC}

// guard makes the wrapper of a kind that decides who may enter.
func (d Standard) guard(id, kind string, o guardOpts) (Wrapper, error) {
	switch app.BackendKind(kind) {
	case app.BackendAuthV0:
		if o.v0 != nil {
			deps := d.Auth
			deps.Realm = id
			return auth.NewV0(*o.v0, deps)
		}
	case app.BackendAuthSSO:
		if o.sso != nil {
			opts := *o.sso
			if opts.IDServerURL == "" {
				opts.IDServerURL = d.IDServerURL
			}
			return auth.NewSSO(opts, d.signIn(id))
		}
	case app.BackendAuthForward:
		if o.forward != nil {
			w, err := middleware.NewForwardAuth(*o.forward, middleware.Deps{App: id, Log: d.Upstream.Log, Resolve: d.Auth.Resolve})
			return w, asAuthForward(err)
		}
	case app.BackendAuthOIDC:
		if o.oidc != nil {
			return auth.NewOIDC(*o.oidc, d.signIn(id))
		}
	}
	return nil, missing(kind + "_opts")
}

func (d Standard) signIn(id string) auth.SignInDeps {
	deps := d.SignIn
	deps.App, deps.Log, deps.Resolve = id, d.Upstream.Log, d.Auth.Resolve
	return deps
}

// asAuthForward names the field of an error as the kind auth_forward has it.
func asAuthForward(err error) error {
	if err == nil {
		return nil
	}
	if rest, ok := strings.CutPrefix(err.Error(), "forward_auth_opts"); ok {
		return errors.New("auth_forward_opts" + rest)
	}
	return err
}

// guardedKind builds a backend of a kind that decides who may enter, with the
// backend that it protects.
func (d Standard) guardedKind(kinds map[app.BackendKind]Builder) Builder {
	return func(id string, b app.Backend) (Backend, error) {
		outer, inside := split(b)
		if inside == nil {
			return nil, missing(string(b.Kind) + "_opts.authorized_backend")
		}
		wrap, err := d.guard(id, string(b.Kind), guardOpts{outer.AuthV0, outer.AuthSSO, outer.AuthForward, outer.AuthOIDC})
		if err != nil {
			return nil, err
		}
		build := kinds[inside.Kind]
		if build == nil {
			return nil, &NotAvailable{What: "backend", Kind: string(inside.Kind)}
		}
		inner, err := build(id, *inside)
		if err != nil {
			return nil, fmt.Errorf("%s_opts.authorized_backend: %w", b.Kind, err)
		}
		return &guarded{inner: inner, wrap: wrap}, nil
	}
}

// guardMiddleware builds a middleware of such a kind; it protects what follows it.
func (d Standard) guardMiddleware(id string, m app.Middleware) (Wrapper, error) {
	return d.guard(id, string(m.Kind), guardOpts{m.AuthV0, m.AuthSSO, m.AuthForward, m.AuthOIDC})
}

// split takes the protected backend out of a definition; inside is nil when it
// has none. b is left as it is.
func split(b app.Backend) (outer app.Backend, inside *app.Backend) {
	switch {
	case b.Kind == app.BackendAuthV0 && b.AuthV0 != nil:
		o := *b.AuthV0
		inside, o.AuthorizedBackend, b.AuthV0 = o.AuthorizedBackend, nil, &o
	case b.Kind == app.BackendAuthSSO && b.AuthSSO != nil:
		o := *b.AuthSSO
		inside, o.AuthorizedBackend, b.AuthSSO = o.AuthorizedBackend, nil, &o
	case b.Kind == app.BackendAuthForward && b.AuthForward != nil:
		o := *b.AuthForward
		inside, o.AuthorizedBackend, b.AuthForward = o.AuthorizedBackend, nil, &o
	case b.Kind == app.BackendAuthOIDC && b.AuthOIDC != nil:
		o := *b.AuthOIDC
		inside, o.AuthorizedBackend, b.AuthOIDC = o.AuthorizedBackend, nil, &o
	}
	return b, inside
}

// guarded is a backend behind a wrapper.
type guarded struct {
	inner Backend
	wrap  Wrapper
}

// Handler is the inner backend's behind the wrapper.
func (g *guarded) Handler(bool) fasthttp.RequestHandler { return g.wrap(g.inner.Handler(false)) }

// Close closes the inner backend.
func (g *guarded) Close() { g.inner.Close() }

// Inside is the backend that is protected.
func (g *guarded) Inside() Backend { return g.inner }

// Updatable asks the inner backend if nothing else has changed.
func (g *guarded) Updatable(from, to app.Backend) bool {
	u, ok := g.inner.(Updater)
	from, inside := split(from)
	to, wanted := split(to)
	return ok && inside != nil && wanted != nil && app.Equal(from, to) && u.Updatable(*inside, *wanted)
}

// Update changes the inner backend.
func (g *guarded) Update(to app.Backend) error {
	_, wanted := split(to)
	return g.inner.(Updater).Update(*wanted)
}

// guardRefersOutside says whether a kind that decides who may enter depends on
// more than its definition.
func guardRefersOutside(o guardOpts) bool {
	switch {
	case o.v0 != nil:
		return o.v0.BearerToken.IsReference()
	case o.forward != nil:
		return tlsRefersOutside(o.forward.TLSConfig)
	case o.oidc != nil:
		return o.oidc.ClientSecretFile != "" || o.oidc.ClientSecret.IsReference()
	}
	return false
}

// elsewhere stands in for what the node that serves a definition has and the one
// that only checks it need not have.
const elsewhere = "https://id.invalid"

// checking is a Standard whose wrappers are made to see whether they can be.
func checking() Standard {
	d := Standard{Upstream: upstream.Deps{Log: zerolog.Nop()}, IDServerURL: elsewhere, SignIn: auth.SignInDeps{SessionKey: make([]byte, 32)}}
	d.Auth.Resolve = func(s app.Secret) (string, error) { return string(s), nil }
	return d
}

// CheckGuard checks the options of a backend that decides who may enter, for a
// set that is looked at and not served, as CheckedMiddlewares does. Any other
// backend has nothing to check; inside is the one that it protects, if any.
func CheckGuard(id string, b app.Backend) (inside *app.Backend, err error) {
	outer, inside := split(b)
	o := guardOpts{outer.AuthV0, outer.AuthSSO, outer.AuthForward, outer.AuthOIDC}
	if inside != nil && !guardRefersOutside(o) {
		_, err = checking().guard(id, string(b.Kind), o)
	}
	return inside, err
}
