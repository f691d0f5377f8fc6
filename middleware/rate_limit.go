package middleware

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/wire"
)

// NewRateLimit returns the wrapper of kind rate_limit: opts.Average requests in
// each opts.Period, opts.Burst of them at once, for each client, value of a
// header field, or for the application. One that is beyond it is answered with
// 429 and Retry-After; it is not counted and not held up.
//
// It remembers some 65,000 clients or values (2.5 MiB at most); beyond that, those
// that have not come for longest are forgotten. It allocates nothing for clients
// that it knows.
func NewRateLimit(opts app.RateLimitOpts, deps Deps) (Wrapper, error) {
	by, err := parsePer(opts.Per)
	switch {
	case err != nil:
		return nil, fmt.Errorf("rate_limit_opts.per: %w", err)
	case !(opts.Average > 0):
		return nil, fmt.Errorf("rate_limit_opts.average: %v is not above 0", opts.Average)
	case opts.Period < 0:
		return nil, fmt.Errorf("rate_limit_opts.period: %v is below 0", opts.Period)
	case opts.Burst < 0:
		return nil, fmt.Errorf("rate_limit_opts.burst: %d is below 0", opts.Burst)
	}
	r := newRate(opts.Average, int64(opts.Period.Or(time.Second)), int64(opts.Burst))
	now := deps.clock()
	take := func(*fasthttp.RequestCtx) int64 { return 0 }
	if by.by == perApplication {
		var full atomic.Int64
		take = func(*fasthttp.RequestCtx) int64 { return takeShared(&full, r, now()) }
	} else {
		clients := &times{}
		take = func(ctx *fasthttp.RequestCtx) int64 { return clients.take(by.key(ctx), r, now()) }
	}
	return func(next fasthttp.RequestHandler) fasthttp.RequestHandler {
		return func(ctx *fasthttp.RequestCtx) {
			if wait := take(ctx); wait > 0 {
				tooMany(ctx, "too many requests", wait)
				return
			}
			next(ctx)
		}
	}, nil
}

// takeShared takes a token of a bucket that all requests share.
func takeShared(full *atomic.Int64, r rate, now int64) (wait int64) {
	for {
		before := full.Load()
		next, wait := r.take(before, now)
		if wait > 0 || full.CompareAndSwap(before, next) {
			return wait
		}
	}
}

// tooMany answers with 429. wait, in nanoseconds, is told in whole seconds.
func tooMany(ctx *fasthttp.RequestCtx, reason string, wait int64) {
	wire.Fail(ctx, fasthttp.StatusTooManyRequests, reason)
	seconds := (wait + int64(time.Second) - 1) / int64(time.Second)
	ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, strconv.FormatInt(max(1, seconds), 10))
	ctx.Response.Header.Set(fasthttp.HeaderCacheControl, "no-store")
}
