package middleware

import (
	"encoding/json"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/middleware/share"
	"edgerouter/wire"
)

// NewRateLimit returns the wrapper of kind rate_limit: opts.Average requests in
// each opts.Period, opts.Burst of them at once, for each client, value of a
// header field, or for the application. One that is beyond it is answered with
// 429 and Retry-After; it is not counted and not held up.
//
// With deps.Share the tokens that other nodes gave for the same limit of the same
// application are taken out of the buckets as well, some 200 ms later.
//
// It remembers some 65,000 clients or values (5 MiB at most); beyond that, those
// that have not come for longest are forgotten. It allocates nothing for clients
// that it knows.
func NewRateLimit(opts app.RateLimitOpts, deps Deps) (Wrapper, error) {
	by, err := parsePer(opts.Per, deps.Share)
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
	l := &rateLimit{
		per: by, now: deps.clock(), clients: times{told: deps.Share != nil},
		rate: newRate(opts.Average, int64(opts.Period.Or(time.Second)), int64(opts.Burst)),
	}
	if deps.Share != nil {
		l.member = deps.Share.Join(share.Rate, limitID(deps, "rate_limit", opts), l.tell, l.charge)
	}
	return func(next fasthttp.RequestHandler) fasthttp.RequestHandler {
		return func(ctx *fasthttp.RequestCtx) {
			if wait := l.take(ctx); wait > 0 {
				tooMany(ctx, "too many requests", wait)
				return
			}
			next(ctx)
		}
	}, nil
}

// rateLimit holds the buckets: that of the application, or those of the clients.
type rateLimit struct {
	per     per
	rate    rate
	now     func() int64
	member  *share.Limit // nil: alone
	clients times
	all     atomic.Int64 // when the application's bucket is full
	taken   atomic.Int64 // of the application's bucket; not told yet
}

func (l *rateLimit) take(ctx *fasthttp.RequestCtx) (wait int64) {
	if l.per.by != perApplication {
		return l.clients.take(l.per.key(ctx), l.rate, l.now())
	}
	if wait = takeShared(&l.all, l.rate, l.now()); wait == 0 && l.member != nil {
		l.taken.Add(1)
	}
	return wait
}

// tell and charge are the functions of share.Limit.
func (l *rateLimit) tell(add func(key uint64, n int64)) {
	if n := l.taken.Swap(0); n > 0 {
		add(0, n)
	}
	l.clients.tell(add)
}

func (l *rateLimit) charge(key uint64, n int64) {
	if l.per.by != perApplication {
		l.clients.charge(key, l.rate, l.now(), n)
		return
	}
	for {
		before := l.all.Load()
		if l.all.CompareAndSwap(before, l.rate.charge(before, l.now(), n)) {
			return
		}
	}
}

// limitID tells which limits of other nodes are the same as this one: those with
// the same options of an application with the same id.
func limitID(deps Deps, kind string, opts any) uint64 {
	text, _ := json.Marshal(opts) // numbers and text
	return deps.Share.Key().Sum(fmt.Appendf(nil, "%s\x00%s\x00%s", deps.App, kind, text))
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
