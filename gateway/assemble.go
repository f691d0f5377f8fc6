package gateway

import (
	"errors"
	"fmt"
	"slices"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/router"
	"edgerouter/wire"
)

// NotAvailable is the error of a Builder or MiddlewareBuilder for a kind that is
// a valid definition but cannot be served by this version. The application's
// frontends then answer 503 and say so.
type NotAvailable struct {
	What string // "backend" or "middleware"
	Kind string
}

// Error says what is not available.
func (e *NotAvailable) Error() string {
	return fmt.Sprintf("%s kind %s is not available in this version", e.What, e.Kind)
}

// assemble makes what answers an application's requests, out of the parts of
// the previous service that are the same. A nil service means that the
// application is broken; what was built for it is closed again then. A service
// without a backend is one whose kind is not available. refresh builds backend
// and middlewares even if their options are the same.
func (g *Gateway) assemble(a *app.Application, order int, rank router.Rank, before service, refresh bool) (*service, []app.Problem) {
	s := &service{definition: *a, order: order, rank: rank}
	unchanged := !refresh && before.backend != nil && app.Equal(before.definition.Backend, a.Backend)
	kept := unchanged || !refresh && updatable(before, a.Backend)
	var notes []app.Problem

	err := g.assembleHandler(a, s, before, kept, refresh)
	var missing *NotAvailable
	switch {
	case errors.As(err, &missing):
		s.backend, s.wrappers, s.direct, s.handler = nil, nil, false, unavailable(missing)
		notes = append(notes, app.Problem{
			App: a.ID, Field: missing.What + "s.kind", Value: missing.Kind, Message: missing.Error(),
			Suggestion: "its frontends answer 503",
		})
		if missing.What == "backend" {
			notes[0].Field = "backend.kind"
		}
	case err != nil:
		return nil, []app.Problem{asProblem(a.ID, "", err)}
	}

	// An entry says whether its handler is direct, so that cannot change under it.
	if s.slot = before.slot; s.slot == nil || s.direct != before.direct {
		s.slot = newSlot(s.handler)
	}
	frontends, problems := g.assembleFrontends(a, s, before)
	if len(problems) > 0 {
		if s.backend != nil && !kept {
			s.backend.Close()
		}
		return nil, problems
	}
	s.frontends = frontends
	if kept && !unchanged && s.backend != nil {
		if err := update(s.backend, a.Backend); err != nil {
			return nil, []app.Problem{asProblem(a.ID, "", err)}
		}
	}
	return s, notes
}

// assembleHandler fills in backend, handler and direct. On an error nothing that
// it built is left open.
func (g *Gateway) assembleHandler(a *app.Application, s *service, before service, kept, refresh bool) error {
	if kept && app.Equal(before.definition.Middlewares, a.Middlewares) {
		s.backend, s.handler, s.direct, s.wrappers = before.backend, before.handler, before.direct, before.wrappers
		return nil
	}
	wrappers, err := g.wrappers(a, before, refresh)
	if err != nil {
		return err
	}
	s.wrappers = wrappers
	if s.backend = before.backend; !kept {
		if s.backend, err = g.buildBackend(a); err != nil {
			return err
		}
	}
	if own, ok := s.backend.(DirectBackend); ok && len(wrappers) == 0 {
		s.direct = own.Direct()
	}
	s.handler = s.backend.Handler(s.direct)
	for _, wrap := range slices.Backward(wrappers) {
		s.handler = wrap(s.handler)
	}
	return nil
}

func (g *Gateway) buildBackend(a *app.Application) (Backend, error) {
	build := g.opts.Builders[a.Backend.Kind]
	if build == nil {
		return nil, &NotAvailable{What: "backend", Kind: string(a.Backend.Kind)}
	}
	b, err := build(a.ID, a.Backend)
	if err != nil {
		return nil, inField("backend", err)
	}
	return b, nil
}

// unavailable answers for an application whose backend or middleware is not in
// this version.
func unavailable(e *NotAvailable) fasthttp.RequestHandler {
	text := e.Error()
	return func(ctx *fasthttp.RequestCtx) { wire.Fail(ctx, fasthttp.StatusServiceUnavailable, text) }
}

// inField makes an error a problem of a field, unless it already says which, or
// is NotAvailable.
func inField(field string, err error) error {
	var missing *NotAvailable
	if errors.As(err, &missing) {
		return missing
	}
	return asProblem("", field, err)
}

// asProblem tells an error as a problem of an application.
func asProblem(id, field string, err error) app.Problem {
	var p app.Problem
	if !errors.As(err, &p) {
		p = app.Problem{Field: field, Message: err.Error()}
	}
	if p.Field == "" {
		p.Field = field
	}
	p.App = id
	return p
}
