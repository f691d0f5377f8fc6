package middleware

import (
	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/middleware/share"
	"edgerouter/wire"
)

// Wrapper puts a handler around another one. It may be used for any number of
// handlers, which then share what it keeps.
type Wrapper = func(next fasthttp.RequestHandler) fasthttp.RequestHandler

// Deps is what the constructors need from their surroundings. The zero value
// will do for all but secrets that are references.
type Deps struct {
	// App is the id of the application, for the log.
	App string
	// Log gets what the operator should know and the client should not.
	Log zerolog.Logger
	// Resolve turns a secret into its value (app.Resolve). Nil: as it is written.
	Resolve func(app.Secret) (string, error)
	// Now is the clock, in nanoseconds as wire.Now counts them. Nil: wire.Now.
	Now func() int64
	// Share makes limits count together with those of the other nodes. Nil: each
	// node counts for itself.
	Share *share.Exchange
	// HTTPSPort is the port of https that clients know. 0: the standard one.
	HTTPSPort int
}

func (d Deps) clock() func() int64 {
	if d.Now != nil {
		return d.Now
	}
	return wire.Now
}

func (d Deps) resolve(s app.Secret) (string, error) {
	if d.Resolve != nil {
		return d.Resolve(s)
	}
	return string(s), nil
}

// Chain makes one Wrapper of several, the first one outermost. Without any it
// changes nothing.
func Chain(wrappers ...Wrapper) Wrapper {
	return func(next fasthttp.RequestHandler) fasthttp.RequestHandler {
		for i := len(wrappers) - 1; i >= 0; i-- {
			next = wrappers[i](next)
		}
		return next
	}
}

// answered tells whether the client has its answer already, or is gone:
// ctx.Response then means nothing.
func answered(ctx *fasthttp.RequestCtx) bool {
	x := wire.From(ctx)
	return x != nil && x.Responded
}
