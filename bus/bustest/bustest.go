// Package bustest is the contract of bus.Log as tests: every implementation runs
// them against the real thing it stands on.
package bustest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"edgerouter/bus"
)

// Bed is what an implementation gives to be tested on.
type Bed struct {
	// Open returns another Log on the same storage; the test closes it.
	Open func(t *testing.T) bus.Log
	// Interrupt takes what the logs stand on away and brings it back with what it
	// had stored; nil: that cannot be done.
	Interrupt func(t *testing.T)
	// Large is how many entries the test of a large stream appends; 0 means 2,000.
	Large int
}

// patience is how long something that must happen may take.
const patience = 30 * time.Second

// Run runs the contract. Streams of the test are below /t-9, each new.
func Run(t *testing.T, bed Bed) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, bed Bed, stream string)
	}{
		{"empty", empty}, {"append", appends}, {"atomic", atomic}, {"conflict", conflict}, {"writers", writers},
		{"read", read}, {"wait", wait}, {"follow", follow}, {"redelivery", redelivery}, {"separate", separate}, {"refused", refused},
		{"large-entry", largeEntry}, {"large-stream", largeStream}, {"reconnect", reconnect}, {"closed", closed},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, bed, "/t-9/"+c.name) })
	}
}

func open(t *testing.T, bed Bed) bus.Log {
	t.Helper()
	l := bed.Open(t)
	t.Cleanup(func() { l.Close() })
	return l
}

// Event is an event line whose payload tells n.
func Event(n int) string {
	return fmt.Sprintf(`2026-11-01T12:00:00.000Z Test    {"N":%d}`, n)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func limit(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// all reads a stream until it has n entries besides entry 0.
func all(t *testing.T, l bus.Log, stream string, n int) []bus.Entry {
	t.Helper()
	ctx := limit(t)
	var entries []bus.Entry
	at := bus.Start(stream)
	for len(entries) < n+1 {
		some, err := l.Read(ctx, at, 1000)
		if errors.Is(err, bus.ErrUnavailable) && ctx.Err() == nil {
			continue // such as a cluster that elects a leader
		}
		must(t, err)
		for _, e := range some {
			if e.Version != at.Version+1 || e.Stream != stream {
				t.Fatalf("entry %s %d follows %d", e.Stream, e.Version, at.Version)
			}
			at = e.Cursor
		}
		if entries = append(entries, some...); len(some) == 0 {
			must(t, l.Wait(ctx, at))
		}
	}
	if len(entries) != n+1 {
		t.Fatalf("%d entries, want entry 0 and %d", len(entries), n)
	}
	return entries
}
