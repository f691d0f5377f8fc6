// Package admin is what operators look at: health, metrics, the API under
// /api/v1 and the web page, as one fasthttp.RequestHandler.
//
// It is given functions that tell the state of the process and writes it out; what
// it keeps itself are the figures of the last minutes, for the page's charts. All paths and links are relative, so that
// the same handler serves the admin listener and, behind a stripped prefix, the
// backend edgerouter_admin. Secrets of definitions are shown redacted.
package admin

import (
	"context"
	"encoding/json"
	"io"
	"net/http/pprof"
	"sync/atomic"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"

	"edgerouter/auth"
	"edgerouter/bus"
	"edgerouter/certs"
	"edgerouter/discovery"
	"edgerouter/gateway"
	"edgerouter/metrics"
)

// Deps is what an Admin tells of. Functions are called for each request, from
// many goroutines at once.
type Deps struct {
	Version string
	// Snapshot is the running set (gateway.Gateway.Snapshot).
	Snapshot func() *gateway.Snapshot
	// Subscribe gives the changes from now on (gateway.Gateway.Subscribe).
	Subscribe func() (events <-chan gateway.Event, cancel func())
	// Certs lists the certificates (certs.Store.List); nil: there is no TLS.
	Certs func() []certs.Status
	// CertProblems are what the sources of certificates found wrong
	// (certs.Store.Problems); nil: there is no TLS.
	CertProblems func() map[string][]certs.Problem
	// Sources lists the sources (discovery.Merge.Statuses).
	Sources func() []discovery.Status
	// Origin says where an application of a source comes from
	// (discovery.Merge.Origin); nil: nothing is known of that.
	Origin func(source, id string) (discovery.Origin, bool)
	// Ready tells why the process should not get traffic; empty: it should.
	Ready func() (reasons []string)
	// WriteMetrics writes all series in Prometheus text format.
	WriteMetrics func(io.Writer)
	// Notes tell what is worth knowing and no reason to keep traffic away, such as
	// an event bus that cannot be reached; nil: there are none.
	Notes func() []string
	// Cluster tells how the event bus and its nodes are; nil: there is no bus.
	Cluster func() Cluster
	// Requests gives each application's counts to each, unless that is nil, and
	// returns their sum (metrics.Set.ReadRequests); nil: the page has no figures.
	Requests func(each func(app string, c *metrics.Counts)) metrics.Counts
	// History lists an application's changes in the event log, newest first, and
	// Rollback sets one to what it was after a version, and returns the version of
	// that change. Both are nil without a log. See ErrUnknown.
	History  func(ctx context.Context, app string) ([]HistoryRow, error)
	Rollback func(ctx context.Context, app string, version int64) (int64, error)
	// Log is the event log, which /api/v1/log reads and appends to; nil: none.
	Log bus.Log
	// Stopping is closed when the process begins to stop; event streams end then.
	// nil: never.
	Stopping <-chan struct{}
	// IPRules tells of the IP rules; nil: there can be none.
	IPRules func() IPRules
	// Gate knows the admin token.
	Gate *auth.Gate
}

// Exposure says how one handler of an Admin is reached.
type Exposure struct {
	Access Access
	// PProf serves /debug/pprof/, which shows the memory of the process and lets
	// the caller keep it busy.
	PProf bool
}

// Admin makes handlers that tell of one process.
type Admin struct {
	deps    Deps
	page    *page
	live    *live
	openAPI []byte
	streams atomic.Int64 // open event streams
}

// New returns an Admin. Every function of deps that is not said to be nil must be
// set.
func New(deps Deps) *Admin {
	a := &Admin{deps: deps, page: newPage()}
	a.live = newLive(a)
	a.openAPI = describeAPI(deps.Version, a.routes())
	return a
}

// Handler returns the handler of all endpoints for one way in.
func (a *Admin) Handler(e Exposure) fasthttp.RequestHandler {
	r := router.New()
	// Redirects of the router are absolute and would leave a prefix.
	r.RedirectTrailingSlash = false
	r.RedirectFixedPath = false
	r.HandleOPTIONS = false
	r.NotFound = func(ctx *fasthttp.RequestCtx) {
		fail(ctx, fasthttp.StatusNotFound, "there is nothing at this path of the admin interface")
	}
	r.MethodNotAllowed = func(ctx *fasthttp.RequestCtx) {
		fail(ctx, fasthttp.StatusMethodNotAllowed, "this path cannot be asked with this method; reading (GET) is possible on nearly all of them")
	}
	get := func(path string, h fasthttp.RequestHandler) {
		r.GET(path, h)
		r.HEAD(path, h)
	}
	get("/", a.servePage)
	for _, one := range a.routes() {
		if one.method == fasthttp.MethodGet && !one.stream {
			get(one.path, one.handler)
			continue
		}
		r.Handle(one.method, one.path, one.handler)
	}
	if e.PProf {
		profiles(get)
	} else {
		get("/debug/pprof/{name:*}", func(ctx *fasthttp.RequestCtx) {
			fail(ctx, fasthttp.StatusNotFound, "profiles are off; they are served with --dev or when --admin is a loopback address")
		})
	}
	return withHeaders(guard(e.Access, a.deps.Gate, r.Handler))
}

// profiles serves what net/http/pprof does, and what go tool pprof asks for. The
// command line is not told: flags such as --bus may have secrets in them.
func profiles(get func(path string, h fasthttp.RequestHandler)) {
	get("/debug/pprof/cmdline", func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("edgerouter") })
	get("/debug/pprof/profile", fasthttpadaptor.NewFastHTTPHandlerFunc(pprof.Profile))
	get("/debug/pprof/symbol", fasthttpadaptor.NewFastHTTPHandlerFunc(pprof.Symbol))
	get("/debug/pprof/trace", fasthttpadaptor.NewFastHTTPHandlerFunc(pprof.Trace))
	get("/debug/pprof/{name:*}", fasthttpadaptor.NewFastHTTPHandlerFunc(pprof.Index))
}

// withHeaders sets what keeps a browser from doing anything with an answer but
// showing it. The page sets a policy of its own.
func withHeaders(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		next(ctx)
		h := &ctx.Response.Header
		h.Set(fasthttp.HeaderCacheControl, "no-store")
		h.Set(fasthttp.HeaderXContentTypeOptions, "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set(fasthttp.HeaderXFrameOptions, "DENY")
	}
}

// Readiness is the answer of /readyz.
type Readiness struct {
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons"`
	Notes   []string `json:"notes,omitempty"`
}

func (a *Admin) healthz(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("ok\n") }

func (a *Admin) readyz(ctx *fasthttp.RequestCtx) {
	reasons := a.deps.Ready()
	writeJSON(ctx, Readiness{len(reasons) == 0, list(reasons), a.notes()})
	if len(reasons) > 0 {
		ctx.SetStatusCode(fasthttp.StatusServiceUnavailable)
	}
}

func (a *Admin) notes() []string {
	if a.deps.Notes == nil {
		return nil
	}
	return a.deps.Notes()
}

// Metrics writes all series without asking who wants them: it is the backend
// prom_metrics and what METRICS_ENDPOINT serves.
func (a *Admin) Metrics(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType("text/plain; version=0.0.4; charset=utf-8")
	a.deps.WriteMetrics(ctx)
}

func writeJSON(ctx *fasthttp.RequestCtx, v any) {
	ctx.SetContentType("application/json; charset=utf-8")
	enc := json.NewEncoder(ctx)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		fail(ctx, fasthttp.StatusInternalServerError, "the answer could not be encoded")
	}
}

// fail answers with {"error": ...}.
func fail(ctx *fasthttp.RequestCtx, code int, text string) {
	ctx.Response.ResetBody()
	ctx.SetStatusCode(code)
	writeJSON(ctx, errorBody{Error: text, RequestID: string(ctx.Request.Header.Peek("X-Request-Id"))})
}

type errorBody struct {
	Error     string `json:"error"`
	RequestID string `json:"request_id,omitempty"`
}

// list makes nil an empty list, which JSON tells apart.
func list[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}
