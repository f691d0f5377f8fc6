package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"edgerouter/bus"
	"edgerouter/discovery/stream"
)

// writer appends at a steady rate through one member and remembers what became of it.
type writer struct {
	m             *member
	acked, unsure map[string]bool
	failed        int
	last          atomic.Int64 // version of the last append that was acknowledged
	inARow        atomic.Int64 // appends that were acknowledged without a wait in between
}

func newWriter(m *member) *writer {
	return &writer{m: m, acked: map[string]bool{}, unsure: map[string]bool{}}
}

func (w *writer) run(ctx context.Context, t *testing.T, rate time.Duration) {
	l := w.m.log()
	defer l.Close()
	tick := time.NewTicker(rate)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		to := fmt.Sprintf("/%s-%05d", w.m.name, n)
		asked, cancel := context.WithTimeout(context.WithoutCancel(ctx), 25*time.Second)
		started := time.Now()
		at, err := l.Append(asked, stream.Path("1"), redirectApp(t, "w-"+w.m.name, w.m.name+".example.com", to))
		cancel()
		if w.inARow.Add(1); err != nil || time.Since(started) > time.Second {
			w.inARow.Store(0)
		}
		switch {
		case err == nil:
			w.acked[to] = true
			w.last.Store(at.Version)
		case errors.Is(err, bus.ErrUnacknowledged):
			w.unsure[to] = true
		case errors.Is(err, bus.ErrUnavailable):
			w.failed++
		default:
			t.Errorf("%s: an append failed with %v", w.m.name, err)
		}
	}
}

// checkLog: every acknowledged append is there once, in the order in which its
// writer made them, and every other at most once.
func checkLog(t *testing.T, m *member, entries []bus.Entry, writers []*writer) {
	t.Helper()
	seen := map[string]int{}
	last := map[string]string{}
	acked := map[string]bool{}
	for _, w := range writers {
		maps.Copy(acked, w.acked)
	}
	for i, e := range entries {
		if e.Version != int64(i) {
			t.Fatalf("%s: version %d is at place %d", m.name, e.Version, i)
		}
		for _, line := range e.Events {
			event, err := bus.ParseEvent(line)
			if err != nil {
				t.Fatal(err)
			}
			var p struct {
				Application struct {
					ID      string
					Backend struct {
						Redirect struct{ To string } `json:"redirect_opts"`
					}
				}
			}
			if err := json.Unmarshal(event.Data, &p); err != nil {
				t.Fatal(err)
			}
			to := p.Application.Backend.Redirect.To
			seen[to]++
			if !acked[to] {
				continue // one that was given up on may get there late
			}
			if id := p.Application.ID; to <= last[id] {
				t.Errorf("%s: %s comes after %s", m.name, to, last[id])
			}
			last[p.Application.ID] = to
		}
	}
	known := map[string]bool{"/steady": true}
	for _, w := range writers {
		for to := range w.acked {
			known[to] = true
			if seen[to] != 1 {
				t.Errorf("%s: the acknowledged append %s is there %d times", m.name, to, seen[to])
			}
		}
		for to := range w.unsure {
			known[to] = true
			if seen[to] > 1 {
				t.Errorf("%s: the append %s is there %d times", m.name, to, seen[to])
			}
		}
	}
	var strange []string
	for to := range seen {
		if !known[to] {
			strange = append(strange, to)
		}
	}
	slices.Sort(strange)
	if len(strange) > 0 {
		t.Errorf("%s: appends that were refused are there: %v", m.name, strange)
	}
}
