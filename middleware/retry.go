package middleware

import (
	"fmt"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/wire"
)

// NewRetry returns the wrapper of kind retry: a request that was answered with
// 502, 503 or 504 is given to next again, up to opts.Attempts times, after a wait
// of opts.InitialInterval that doubles each time, up to a minute. The last answer
// stands. Nothing of an answer has gone to the client while it is judged, also of
// one that is a stream.
//
// Only what can be repeated is: methods that are idempotent (RFC 9110 section
// 9.2.2), with no body or one of known length up to 64 KiB, which is kept for it.
// Handlers inside may change the request; each attempt begins with the one that
// came here. A client that leaves ends the waiting.
//
// A peer_set tries other peers by itself, as its option retries says, before this
// handler sees an answer.
func NewRetry(opts app.RetryOpts, _ Deps) (Wrapper, error) {
	switch {
	case opts.Attempts < 1:
		return nil, fmt.Errorf("retry_opts.attempts: %d is below 1", opts.Attempts)
	case opts.InitialInterval < 0:
		return nil, fmt.Errorf("retry_opts.initial_interval: %v is below 0", opts.InitialInterval)
	}
	r := &retrier{attempts: opts.Attempts, interval: time.Duration(opts.InitialInterval)}
	return func(next fasthttp.RequestHandler) fasthttp.RequestHandler {
		return func(ctx *fasthttp.RequestCtx) { r.serve(ctx, next) }
	}, nil
}

// maxBackoff is the longest wait between two attempts.
const maxBackoff = time.Minute

type retrier struct {
	attempts int // beyond the first
	interval time.Duration
}

// kept are request heads as they came to retry.
var kept = sync.Pool{New: func() any { return new(fasthttp.RequestHeader) }}

func (r *retrier) serve(ctx *fasthttp.RequestCtx, next fasthttp.RequestHandler) {
	if !repeatable(ctx) {
		next(ctx)
		return
	}
	if fits, ok := takeBody(ctx, replayable); !ok {
		return
	} else if !fits {
		next(ctx)
		return
	}
	before := kept.Get().(*fasthttp.RequestHeader)
	defer kept.Put(before)
	ctx.Request.Header.CopyTo(before)

	next(ctx)
	wait := min(r.interval, maxBackoff)
	for left := r.attempts; left > 0 && failed(ctx); left-- {
		ctx.Response.Reset() // closes the answer, if it is a stream
		if wait > 0 && !pause(ctx, wait) {
			return
		}
		wait = min(2*wait, maxBackoff)
		before.CopyTo(&ctx.Request.Header)
		setTarget(ctx, before.RequestURI())
		again(ctx, next)
	}
}

// repeatable tells whether the method may be sent twice, and the body too.
func repeatable(ctx *fasthttp.RequestCtx) bool {
	switch string(ctx.Request.Header.Method()) {
	case "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE":
	default:
		return false
	}
	if !ctx.Request.IsBodyStream() {
		return true
	}
	x := wire.From(ctx)
	return x != nil && !x.Head.Chunked
}

// failed tells whether the answer is one to try again after.
func failed(ctx *fasthttp.RequestCtx) bool {
	if answered(ctx) {
		return false
	}
	switch ctx.Response.StatusCode() {
	case fasthttp.StatusBadGateway, fasthttp.StatusServiceUnavailable, fasthttp.StatusGatewayTimeout:
		return true
	}
	return false
}

// again is next, with the time-outs of a peer_set counted from now instead of
// from when the request came.
func again(ctx *fasthttp.RequestCtx, next fasthttp.RequestHandler) {
	x := wire.From(ctx)
	if x == nil {
		next(ctx)
		return
	}
	began := x.Began
	x.Began = wire.Now()
	next(ctx)
	x.Began = began
}

// statusClientGone is what logs and metrics show for a client that left before it
// had an answer.
const statusClientGone = 499

// pause waits. It tells false when the client has left meanwhile.
func pause(ctx *fasthttp.RequestCtx, d time.Duration) bool {
	x := wire.From(ctx)
	if x == nil {
		time.Sleep(d)
		return true
	}
	l := &leaving{gone: make(chan struct{})}
	l.canceler = l
	x.OnGone(&l.canceler)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.gone:
	}
	if x.Finish(&l.canceler) {
		return true
	}
	x.Status, x.Responded, x.Broken = statusClientGone, true, true
	return false
}

// leaving is told when the client leaves.
type leaving struct {
	gone     chan struct{}
	canceler wire.Canceler
}

// Cancel makes it a wire.Canceler. It is called once at most.
func (l *leaving) Cancel() { close(l.gone) }
