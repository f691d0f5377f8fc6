package admin

import (
	"bufio"
	"math"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/auth"
)

// serveLive streams what the page shows, as server-sent events: hello, overview
// and rows with everything there is, then what is different: rows, overview,
// change for each applied change, and beat with figures every two seconds. A
// client that reads too slowly is cut off and starts anew.
func (a *Admin) serveLive(ctx *fasthttp.RequestCtx) {
	if a.streams.Add(1) > maxStreams {
		a.streams.Add(-1)
		ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, "10")
		fail(ctx, fasthttp.StatusServiceUnavailable, "too many event streams are open")
		return
	}
	now := time.Now()
	first, viewer := a.live.join(now, LiveHello{
		Version: a.deps.Version, Now: now, BeatSeconds: beat.Seconds(), History: a.deps.History != nil,
		// What another authentication lets in by Authorization is not the admin token.
		NeedsToken: len(ctx.Request.Header.Peek(fasthttp.HeaderAuthorization)) == 0 || auth.Authenticated(ctx),
	})
	ctx.SetContentType("text/event-stream; charset=utf-8")
	ctx.Response.ImmediateHeaderFlush = true
	ctx.SetBodyStreamWriter(func(w *bufio.Writer) {
		defer a.streams.Add(-1)
		defer a.live.leave(viewer)
		for _, f := range first {
			if _, err := w.Write(f); err != nil {
				return
			}
		}
		first = nil
		if w.Flush() == nil {
			a.follow(w, viewer)
		}
	})
}

// follow writes frames until the client is gone, is too slow, or the process stops.
func (a *Admin) follow(w *bufio.Writer, viewer <-chan []byte) {
	idle := time.NewTimer(heartbeat)
	defer idle.Stop()
	for {
		idle.Reset(heartbeat)
		select {
		case f, ok := <-viewer:
			if !ok {
				return
			}
			_, _ = w.Write(f)
		case <-idle.C:
			_, _ = w.WriteString(": nothing new\n\n")
		case <-a.deps.Stopping:
			return
		}
		if w.Flush() != nil {
			return
		}
	}
}

// round keeps three digits, which is what is shown; more would only make figures
// differ that look the same.
func round(v float64) float64 {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	scale := math.Pow(10, 2-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}

func milliseconds(d time.Duration) float64 { return round(float64(d) / float64(time.Millisecond)) }
