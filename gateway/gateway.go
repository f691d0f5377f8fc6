// Package gateway is the running set: the applications of all sources go in
// (Apply), backends are built for them, and one immutable Snapshot with the
// router.Table comes out behind one atomic pointer.
//
// Its promises:
//   - A set that is equal to the running one is a no-op.
//   - A backend whose options are unchanged is kept, with its connections and
//     health; so are the router entries of an application that is unchanged.
//   - One broken application never holds back the others. Its previous good
//     version stays in service, and the problem is logged, counted
//     (er_app_problems) and shown in the Snapshot.
//   - No request is lost or waits because of a change: the pointer is swapped
//     once, and what fell out is closed after a grace time in which requests
//     that had already found it get inside.
//
// The package opens no listener and reads no file.
package gateway

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/metrics"
	"edgerouter/router"
)

// DefaultGrace is how long a backend that fell out of service stays open.
const DefaultGrace = 5 * time.Second

// SourceSet is what one source declares. The order of the sets given to Apply is
// source order: of two claims to one host and prefix, the earlier source wins.
type SourceSet struct {
	Source string
	// Apps have been decoded and validated; ids are unique over all sets. Neither
	// the slice nor what its elements point to may change afterwards.
	Apps []app.Application
	// Parts is the same in pieces, in place of Apps when it is not nil. A piece
	// that is the same slice as before is not looked into.
	Parts [][]app.Application
	// Problems are what the source found wrong. They show with the application
	// they name.
	Problems []app.Problem
	// Kept are the ids in Apps that stand in for a newer version that is broken.
	Kept []string
}

// parts are the applications in pieces, however they were given.
func (s *SourceSet) parts() [][]app.Application {
	if s.Parts == nil && len(s.Apps) > 0 {
		return [][]app.Application{s.Apps}
	}
	return s.Parts
}

// Backend answers the requests of an application.
type Backend interface {
	// Handler is asked for when entries are built. direct says that nothing
	// stands between the pipeline and the backend (router.Entry.Direct); it is
	// never set for a Backend that is no DirectBackend.
	Handler(direct bool) fasthttp.RequestHandler
	// Close lets requests in flight end by themselves and frees the rest. A
	// request that still comes after it must be answered.
	Close()
}

// DirectBackend is a Backend whose handler can read and write the wire itself
// when nothing stands before it. One without the method cannot.
type DirectBackend interface {
	Direct() bool
}

// Builder makes the backend of an application from its options. Errors name the
// field they are about, best as an app.Problem.
type Builder func(id string, b app.Backend) (Backend, error)

// Wrapper puts a handler around another one.
type Wrapper func(next fasthttp.RequestHandler) fasthttp.RequestHandler

// MiddlewareBuilder makes the wrapper of one middleware of an application.
type MiddlewareBuilder func(id string, m app.Middleware) (Wrapper, error)

// Options say what a Gateway builds with. Builders and Middlewares hold the
// kinds that this version can do; Standard fills them.
type Options struct {
	Builders    map[app.BackendKind]Builder
	Middlewares map[app.MiddlewareKind]MiddlewareBuilder
	Metrics     *metrics.Set
	Log         zerolog.Logger
	// Grace is how long a backend stays open after it fell out of service; 0
	// means DefaultGrace.
	Grace time.Duration
}

// Gateway holds the running set. Lookup and Snapshot may be called from any
// goroutine and take no lock.
type Gateway struct {
	opts    Options
	current atomic.Pointer[Snapshot]
	events  broadcaster

	mu      sync.Mutex  // one Apply at a time; guards what follows
	last    []SourceSet // what was applied last
	sets    []runningSet
	byID    map[string]*running
	round   uint64 // counts calls of Apply
	retired retirement
	closed  bool
}

// New makes a Gateway that serves nothing yet: its first Snapshot has generation
// 0 and matches nothing.
func New(opts Options) *Gateway {
	if opts.Grace == 0 {
		opts.Grace = DefaultGrace
	}
	g := &Gateway{opts: opts, byID: map[string]*running{}}
	table, _ := router.Build(nil, nil)
	g.current.Store(&Snapshot{Table: table, AppliedAt: time.Now()})
	g.exportMetrics()
	return g
}

// Snapshot is the running set as it is now; never nil.
func (g *Gateway) Snapshot() *Snapshot { return g.current.Load() }

// Lookup finds the entry that takes a request; nil when nothing does. It is what
// the server is given. 0 allocations.
func (g *Gateway) Lookup(host, path []byte, a router.Attributes) *router.Entry {
	return g.current.Load().Table.Match(host, path, a)
}
