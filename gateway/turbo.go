package gateway

import (
	"github.com/valyala/fasthttp"

	"edgerouter/app"
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

// Peers are those of the inner backend.
func (b *turbocharged) Peers() []upstream.PeerStatus {
	if l, ok := b.Backend.(PeerLister); ok {
		return l.Peers()
	}
	return nil
}

// Close ends the takeover and closes the inner backend.
func (b *turbocharged) Close() {
	b.takeover.Close()
	b.Backend.Close()
}
