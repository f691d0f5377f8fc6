package gateway

import (
	"sync/atomic"
	"unsafe"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/router"
)

// runningSet is one source's part of the running set.
type runningSet struct {
	source   string
	given    [][]app.Application // as the source handed them on
	apps     []*running          // in the same order
	problems []app.Problem
	kept     []string

	aligned   bool // apps are those of given, one of each
	unsettled int  // how many of apps have to be tried again each time
}

// running is one application as it runs. A change makes a new one, which takes
// over from the old what is the same.
type running struct {
	declared app.Application // what the source says
	order    int             // of its source
	source   string
	kept     bool // the source says that declared stands in for a broken newer version

	state    State
	problems []app.Problem // ours; those of the source are in warnings
	warnings []app.Problem

	served service // nothing for StateBroken
	view   *App    // what snapshots show
	round  uint64  // the last Apply that saw it

	refresh bool // its backend has to be built again though its options are the same
}

// service is what answers an application's requests.
type service struct {
	definition app.Application
	order      int
	rank       router.Rank // of its source
	backend    Backend     // nil: unavailable, or nothing
	handler    fasthttp.RequestHandler
	direct     bool
	wrappers   []Wrapper  // as definition.Middlewares; nil: unavailable
	slot       *slot      // where the entries find handler
	frontends  []frontend // as definition.Frontends
}

// slot is what the entries of an application have for a handler: the one it
// holds. Another backend behind the same frontends is so in service without a
// new table, at the price of one more load for each request.
type slot struct {
	handler atomic.Pointer[fasthttp.RequestHandler]
}

func newSlot(h fasthttp.RequestHandler) *slot {
	s := &slot{}
	s.handler.Store(&h)
	return s
}

func (s *slot) serve(ctx *fasthttp.RequestCtx) { (*s.handler.Load())(ctx) }

// declares says whether the application is still the one that r was made for.
func (r *running) declares(a *app.Application, order int) bool {
	return r.order == order && same(&r.declared, a)
}

// settled says that building r again would change nothing. What failed is tried
// again at each Apply: a missing file may be there now.
func (r *running) settled() bool {
	return !r.refresh && (r.state == StateRunning || r.state == StateUnavailable)
}

// same is equality of definitions. Sources hand on what has not changed as the
// same value, which costs a few compared pointers instead of a walk.
func same(a, b *app.Application) bool { return identical(a, b) || app.Equal(*a, *b) }

// identical says whether two definitions are the same value.
func identical(a, b *app.Application) bool {
	return a.ID == b.ID && a.Backend == b.Backend && sameSlice(a.Frontends, b.Frontends) && sameSlice(a.Middlewares, b.Middlewares)
}

func sameSlice[T any](a, b []T) bool {
	return len(a) == len(b) && unsafe.SliceData(a) == unsafe.SliceData(b)
}

// show makes the view anew if what it shows has changed, and says whether it did.
func (r *running) show() bool {
	problems := r.warnings
	if len(r.problems) > 0 {
		problems = append(r.warnings[:len(r.warnings):len(r.warnings)], r.problems...)
	}
	state := r.state
	if state == StateRunning && r.kept {
		state = StateKept
	}
	definition := r.served.definition
	if r.state == StateBroken {
		definition = r.declared
	}
	v := r.view
	if v != nil && v.State == state && v.Source == r.source && v.backend == r.served.backend &&
		equalProblems(v.Problems, problems) && same(&v.Definition, &definition) {
		return false
	}
	r.view = &App{Definition: definition, Source: r.source, State: state, Problems: problems, backend: r.served.backend}
	return true
}

// entries are the router entries of what is served.
func (r *running) entries(to []*router.Entry, plain *plainRules) []*router.Entry {
	for i := range r.served.frontends {
		to = r.served.frontends[i].entries(to, plain)
	}
	return to
}
