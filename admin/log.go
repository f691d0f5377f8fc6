package admin

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/bus"
	"edgerouter/bus/remote"
)

const (
	// maxEntries bounds the entries of one answer, and maxEntriesBytes about the
	// bytes of their lines.
	maxEntries      = 1000
	maxEntriesBytes = 8 << 20
	// logTimeout bounds an operation on the log; an election takes up to ten seconds.
	logTimeout = 20 * time.Second
	// waitTimeout is how long a follower is kept waiting.
	waitTimeout = 20 * time.Second
)

// withToken lets a call pass that shows the admin token, wherever it comes from:
// what the log holds has the secrets of definitions in it.
func (a *Admin) withToken(next func(*fasthttp.RequestCtx, bus.Log)) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		if !a.deps.Gate.Admit(ctx) {
			return
		}
		if a.deps.Log == nil {
			fail(ctx, fasthttp.StatusNotFound, "this node has no event bus (--bus off)")
			return
		}
		next(ctx, a.deps.Log)
	}
}

// cursor reads ?stream=S&after=V.
func cursor(ctx *fasthttp.RequestCtx) (bus.Cursor, bool) {
	args := ctx.QueryArgs()
	at := bus.Start(string(args.Peek("stream")))
	if text := string(args.Peek("after")); text != "" {
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil || v < -1 {
			fail(ctx, fasthttp.StatusBadRequest, "after: want a version, such as 17, or -1 for the beginning")
			return at, false
		}
		at.Version = v
	}
	if err := bus.CheckStream(at.Stream); err != nil {
		fail(ctx, fasthttp.StatusBadRequest, err.Error())
		return at, false
	}
	return at, true
}

func (a *Admin) logRead(ctx *fasthttp.RequestCtx, log bus.Log) {
	at, ok := cursor(ctx)
	if !ok {
		return
	}
	limit := maxEntries
	if text := string(ctx.QueryArgs().Peek("limit")); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			fail(ctx, fasthttp.StatusBadRequest, "limit: want a number above 0")
			return
		}
		limit = min(n, maxEntries)
	}
	asked, cancel := a.logContext(logTimeout)
	defer cancel()
	entries, err := log.Read(asked, at, limit)
	if err != nil {
		tellLogError(ctx, err)
		return
	}
	answer := remote.Entries{Entries: list(entries), More: len(entries) == limit}
	size := 0
	for i, e := range entries {
		for _, line := range e.Lines() {
			size += len(line)
		}
		if size > maxEntriesBytes && i > 0 {
			answer.Entries, answer.More = entries[:i], true
			break
		}
	}
	writeJSON(ctx, answer)
}

func (a *Admin) logLast(ctx *fasthttp.RequestCtx, log bus.Log) {
	at, ok := cursor(ctx)
	if !ok {
		return
	}
	asked, cancel := a.logContext(logTimeout)
	defer cancel()
	last, err := log.Last(asked, at.Stream)
	if err != nil {
		tellLogError(ctx, err)
		return
	}
	writeJSON(ctx, remote.Position{Version: last.Version})
}

func (a *Admin) logWait(ctx *fasthttp.RequestCtx, log bus.Log) {
	at, ok := cursor(ctx)
	if !ok {
		return
	}
	asked, cancel := a.logContext(waitTimeout)
	defer cancel()
	if err := log.Wait(asked, at); err != nil && asked.Err() == nil {
		tellLogError(ctx, err)
		return
	}
	writeJSON(ctx, struct{}{})
}

func (a *Admin) logAppend(ctx *fasthttp.RequestCtx, log bus.Log) {
	var body remote.Append
	if err := json.Unmarshal(ctx.PostBody(), &body); err != nil {
		fail(ctx, fasthttp.StatusBadRequest, "the body is not {\"stream\": ..., \"events\": [...]}: "+err.Error())
		return
	}
	asked, cancel := a.logContext(logTimeout)
	defer cancel()
	var at bus.Cursor
	var err error
	if body.After != nil {
		at, err = log.AppendAfter(asked, bus.Cursor{Stream: body.Stream, Version: *body.After}, body.Events...)
	} else {
		at, err = log.Append(asked, body.Stream, body.Events...)
	}
	if err != nil {
		tellLogError(ctx, err)
		return
	}
	writeJSON(ctx, remote.Position{Version: at.Version})
}

// logContext ends with the time that an operation has, or when the process stops.
func (a *Admin) logContext(timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	if a.deps.Stopping == nil {
		return ctx, cancel
	}
	go func() {
		select {
		case <-a.deps.Stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

func tellLogError(ctx *fasthttp.RequestCtx, err error) {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		err = errors.Join(bus.ErrUnavailable, err)
	}
	code, failure := remote.Tell(err)
	ctx.Response.ResetBody()
	writeJSON(ctx, failure)
	ctx.SetStatusCode(code)
}
