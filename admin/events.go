package admin

import (
	"bufio"
	"encoding/json"
	"fmt"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/gateway"
)

const (
	// maxStreams bounds the open event streams of an Admin.
	maxStreams = 64
	// heartbeat is how often a stream without events sends a comment, by which a
	// client that has gone is noticed and idle timeouts on the way are kept off.
	heartbeat = 15 * time.Second
)

// EventsHello begins a stream of /api/v1/events: what is in service.
type EventsHello struct {
	Generation uint64    `json:"generation"`
	AppliedAt  time.Time `json:"applied_at"`
}

// events streams the applied changes as server-sent events: first "hello" with
// the generation in service, then "change" for each change. A client that
// reads too slowly misses changes and is told how many (missed).
func (a *Admin) events(ctx *fasthttp.RequestCtx) {
	if a.streams.Add(1) > maxStreams {
		a.streams.Add(-1)
		ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, "10")
		fail(ctx, fasthttp.StatusServiceUnavailable, "too many event streams are open")
		return
	}
	events, cancel := a.deps.Subscribe()
	s := a.deps.Snapshot()
	hello := EventsHello{Generation: s.Generation, AppliedAt: s.AppliedAt}
	ctx.SetContentType("text/event-stream; charset=utf-8")
	ctx.Response.ImmediateHeaderFlush = true
	ctx.SetBodyStreamWriter(func(w *bufio.Writer) {
		defer a.streams.Add(-1)
		defer cancel()
		if writeEvent(w, "hello", hello) == nil {
			a.stream(w, events)
		}
	})
}

// stream writes events until the client is gone, the events end or the process stops.
func (a *Admin) stream(w *bufio.Writer, events <-chan gateway.Event) {
	idle := time.NewTimer(heartbeat)
	defer idle.Stop()
	for {
		idle.Reset(heartbeat)
		var err error
		select {
		case e, ok := <-events:
			if !ok {
				return
			}
			err = writeEvent(w, "change", e)
		case <-idle.C:
			_, _ = w.WriteString(": nothing new\n\n")
			err = w.Flush()
		case <-a.deps.Stopping:
			return
		}
		if err != nil {
			return
		}
	}
}

func writeEvent(w *bufio.Writer, name string, v any) error {
	data, err := json.Marshal(v) // in one line
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "event: %s\ndata: %s\n\n", name, data)
	return w.Flush()
}
