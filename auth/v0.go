package auth

import (
	"fmt"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/wire"
)

// V0Deps is what NewV0 needs from its surroundings.
type V0Deps struct {
	// Resolve turns bearer_token into the secret itself (app.Resolve).
	Resolve func(app.Secret) (string, error)
	// Realm is what browsers show; the id of the application.
	Realm string
	// Failures is shared by all applications; nil: a table of its own.
	Failures *Failures
}

// NewV0 returns the wrapper of kind auth_v0, which stands before the authorized
// backend or among the middlewares: only requests that carry the bearer token
// (see Gate.Admit) reach next, and they reach it without Authorization.
//
// The error names the field to look at: a secret that cannot be read, an empty
// one, or one that is too long.
func NewV0(opts app.AuthV0Opts, deps V0Deps) (func(next fasthttp.RequestHandler) fasthttp.RequestHandler, error) {
	secret, err := deps.Resolve(opts.BearerToken)
	if err != nil {
		return nil, fmt.Errorf("auth_v0_opts.bearer_token: %w", err)
	}
	token, err := NewToken([]byte(secret))
	if err != nil {
		return nil, fmt.Errorf("auth_v0_opts.bearer_token: %w", err)
	}
	failures := deps.Failures
	if failures == nil {
		failures = NewFailures()
	}
	gate := NewGate(token, deps.Realm, failures)
	return func(next fasthttp.RequestHandler) fasthttp.RequestHandler {
		return func(ctx *fasthttp.RequestCtx) {
			if gate.Admit(ctx) {
				wire.Own(ctx, fasthttp.HeaderAuthorization)
				wire.Authorize(ctx)
				// The context lives on with the connection, the mark must not.
				ctx.SetUserValue(admitted{}, true)
				defer ctx.RemoveUserValue(admitted{})
				next(ctx)
			}
		}
	}, nil
}

// admitted is the key of the mark that Authenticated looks for.
type admitted struct{}

// Authenticated reports whether a handler of this package has let the request
// in. Handlers that protect themselves when nothing else does ask for it.
func Authenticated(ctx *fasthttp.RequestCtx) bool {
	return ctx.UserValue(admitted{}) != nil
}
