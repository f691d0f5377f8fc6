package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"edgerouter/app"
	"edgerouter/middleware"
)

// Middlewares are the middleware kinds of this version.
func (d Standard) Middlewares() map[app.MiddlewareKind]MiddlewareBuilder {
	kinds := map[app.MiddlewareKind]MiddlewareBuilder{
		app.MiddlewareClientCertificate: build(d, middleware.NewClientCertificate, func(m *app.Middleware) *app.ClientCertificateOpts { return m.ClientCertificate }),
		app.MiddlewareHeaders:           build(d, middleware.NewHeaders, func(m *app.Middleware) *app.HeadersOpts { return m.Headers }),
		app.MiddlewareStripPrefix:       build(d, middleware.NewStripPrefix, func(m *app.Middleware) *app.StripPrefixOpts { return m.StripPrefix }),
		app.MiddlewareAddPrefix:         build(d, middleware.NewAddPrefix, func(m *app.Middleware) *app.AddPrefixOpts { return m.AddPrefix }),
		app.MiddlewareReplacePath:       build(d, middleware.NewReplacePath, func(m *app.Middleware) *app.ReplacePathOpts { return m.ReplacePath }),
		app.MiddlewareRedirectScheme:    build(d, middleware.NewRedirectScheme, func(m *app.Middleware) *app.RedirectSchemeOpts { return m.RedirectScheme }),
		app.MiddlewareRedirectRegex:     build(d, middleware.NewRedirectRegex, func(m *app.Middleware) *app.RedirectRegexOpts { return m.RedirectRegex }),
		app.MiddlewareBasicAuth:         build(d, middleware.NewBasicAuth, func(m *app.Middleware) *app.BasicAuthOpts { return m.BasicAuth }),
		app.MiddlewareForwardAuth:       build(d, middleware.NewForwardAuth, func(m *app.Middleware) *app.AuthForwardOpts { return m.ForwardAuth }),
		app.MiddlewareAllowedIPs:        build(d, middleware.NewAllowedIPs, func(m *app.Middleware) *app.AllowedIPsOpts { return m.AllowedIPs }),
		app.MiddlewareRateLimit:         build(d, middleware.NewRateLimit, func(m *app.Middleware) *app.RateLimitOpts { return m.RateLimit }),
		app.MiddlewareInFlight:          build(d, middleware.NewInFlight, func(m *app.Middleware) *app.InFlightOpts { return m.InFlight }),
		app.MiddlewareRetry:             build(d, middleware.NewRetry, func(m *app.Middleware) *app.RetryOpts { return m.Retry }),
		app.MiddlewareMaxRequestBody:    build(d, middleware.NewMaxRequestBody, func(m *app.Middleware) *app.MaxRequestBodyOpts { return m.MaxRequestBody }),
		app.MiddlewareCompress: build(d, middleware.NewCompress, func(m *app.Middleware) *app.CompressOpts {
			if m.Compress == nil {
				return &app.CompressOpts{} // its options all have defaults
			}
			return m.Compress
		}),
	}
	for _, kind := range guardKinds {
		kinds[app.MiddlewareKind(kind)] = d.guardMiddleware
	}
	kinds[app.MiddlewareChain] = func(id string, m app.Middleware) (Wrapper, error) {
		if m.Chain == nil || len(m.Chain.Middlewares) == 0 {
			return nil, missing("chain_opts.middlewares")
		}
		links := make([]middleware.Wrapper, len(m.Chain.Middlewares))
		for i, link := range m.Chain.Middlewares {
			w, err := wrapper(kinds, id, link)
			if err != nil {
				return nil, inOptions(fmt.Sprintf("chain_opts.middlewares[%d]", i), link.Kind, err)
			}
			links[i] = w
		}
		return middleware.Chain(links...), nil
	}
	return kinds
}

// CheckedMiddlewares are the same kinds for a set that is looked at and not
// served: their options are checked as far as they refer to no file and no
// environment variable, and the wrappers do nothing.
func CheckedMiddlewares() map[app.MiddlewareKind]MiddlewareBuilder {
	kinds := checking().Middlewares()
	for kind, builder := range kinds {
		kinds[kind] = func(id string, m app.Middleware) (Wrapper, error) {
			if middlewareRefersOutside(&m) || readsUsersFile(&m) {
				return middleware.Chain(), nil
			}
			if _, err := builder(id, m); err != nil {
				return nil, err
			}
			return middleware.Chain(), nil
		}
	}
	return kinds
}

// build makes a builder of a constructor of package middleware and of where its
// options are.
func build[T any](d Standard, construct func(T, middleware.Deps) (middleware.Wrapper, error), options func(*app.Middleware) *T) MiddlewareBuilder {
	return func(id string, m app.Middleware) (Wrapper, error) {
		opts := options(&m)
		if opts == nil {
			return nil, missing(string(m.Kind) + "_opts")
		}
		return construct(*opts, middleware.Deps{App: id, Log: d.Upstream.Log, Resolve: d.Auth.Resolve, Share: d.Share, HTTPSPort: d.HTTPSPort})
	}
}

// wrapper builds one middleware.
func wrapper(kinds map[app.MiddlewareKind]MiddlewareBuilder, id string, m app.Middleware) (Wrapper, error) {
	builder := kinds[m.Kind]
	if builder == nil {
		return nil, &NotAvailable{What: "middleware", Kind: string(m.Kind)}
	}
	return builder(id, m)
}

// wrappers builds the middlewares, the outermost first. Those whose definition
// has not changed are taken over with what they have counted and learned, unless
// refresh says that what a definition refers to may have.
func (g *Gateway) wrappers(a *app.Application, before service, refresh bool) ([]Wrapper, error) {
	out := make([]Wrapper, len(a.Middlewares))
	for i := range a.Middlewares {
		m := &a.Middlewares[i]
		if i < len(before.wrappers) && app.Equal(before.definition.Middlewares[i], *m) && !(refresh && middlewareRefersOutside(m)) {
			out[i] = before.wrappers[i]
			continue
		}
		w, err := wrapper(g.opts.Middlewares, a.ID, *m)
		if err != nil {
			return nil, inOptions(fmt.Sprintf("middlewares[%d]", i), m.Kind, err)
		}
		out[i] = w
	}
	return out, nil
}

// inOptions is inField for an error that begins with a field of the options, as
// those of package middleware do: "rate_limit_opts.per: ...".
func inOptions(at string, kind app.MiddlewareKind, err error) error {
	var missing *NotAvailable
	field, message, ok := strings.Cut(err.Error(), ": ")
	if errors.As(err, &missing) || !ok || !strings.HasPrefix(field, string(kind)+"_opts") {
		return inField(at, err)
	}
	return app.Problem{Field: at + "." + field, Message: message}
}

// middlewareRefersOutside says whether a middleware depends on more than its
// definition. A users_file is none of that: it is looked at again by itself.
func middlewareRefersOutside(m *app.Middleware) bool {
	switch {
	case guardRefersOutside(guardOpts{m.AuthV0, m.AuthSSO, m.AuthForward, m.AuthOIDC}):
		return true
	case m.ForwardAuth != nil:
		return tlsRefersOutside(m.ForwardAuth.TLSConfig)
	case m.BasicAuth != nil:
		return slices.ContainsFunc(m.BasicAuth.Users, app.Secret.IsReference)
	case m.Headers != nil:
		return headersReferOutside(m.Headers.Request) || headersReferOutside(m.Headers.Response)
	case m.Chain != nil:
		return slices.ContainsFunc(m.Chain.Middlewares, func(link app.Middleware) bool { return middlewareRefersOutside(&link) })
	}
	return false
}

func readsUsersFile(m *app.Middleware) bool {
	if m.Chain != nil {
		return slices.ContainsFunc(m.Chain.Middlewares, func(link app.Middleware) bool { return readsUsersFile(&link) })
	}
	return m.BasicAuth != nil && m.BasicAuth.UsersFile != ""
}

func headersReferOutside(headers map[string]string) bool {
	for name, value := range headers {
		if app.SecretHeader(name) && app.Secret(value).IsReference() {
			return true
		}
	}
	return false
}
