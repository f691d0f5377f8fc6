// Package bustest is the contract of bus.Log as tests: every implementation runs
// them against the real thing it stands on.
package bustest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
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
		{"read", read}, {"wait", wait}, {"follow", follow}, {"separate", separate}, {"refused", refused},
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

func empty(t *testing.T, bed Bed, stream string) {
	l, ctx := open(t, bed), limit(t)
	last, err := l.Last(ctx, stream)
	must(t, err)
	if last != bus.Start(stream) {
		t.Errorf("the last entry of a stream that is not there is %v", last)
	}
	for _, after := range []int64{-1, 0, 7} {
		entries, err := l.Read(ctx, bus.Cursor{Stream: stream, Version: after}, 10)
		if err != nil || len(entries) > 0 {
			t.Errorf("after %d: %v, %v", after, entries, err)
		}
	}
}

func appends(t *testing.T, bed Bed, stream string) {
	l, ctx := open(t, bed), limit(t)
	before := time.Now().Add(-time.Minute)
	for i := 1; i <= 3; i++ {
		at, err := l.Append(ctx, stream, Event(i))
		must(t, err)
		if at != (bus.Cursor{Stream: stream, Version: int64(i)}) {
			t.Fatalf("append %d is at %v", i, at)
		}
		last, err := l.Last(ctx, stream)
		if err != nil || last != at {
			t.Fatalf("after append %d the last is %v, %v", i, last, err)
		}
	}
	entries := all(t, open(t, bed), stream, 3)
	started, err := bus.ParseEvent(entries[0].Meta)
	must(t, err)
	if started.Type != bus.TypeStreamStarted || string(started.Data) != `{"Parent":"/t-9"}` || started.Time.Before(before) || len(entries[0].Events) > 0 {
		t.Errorf("entry 0 is %+v", entries[0])
	}
	for i, e := range entries[1:] {
		if e.Meta != "" || !slices.Equal(e.Events, []string{Event(i + 1)}) {
			t.Errorf("entry %d is %+v", i+1, e)
		}
	}
}

func atomic(t *testing.T, bed Bed, stream string) {
	l, ctx := open(t, bed), limit(t)
	lines := []string{
		Event(1),
		`2026-11-01T12:00:00.000Z Test 2 1 2026-10-01T00:00:00.000Z {"Text":"naïve \" \\n  two  spaces <&>"}`,
		`2026-11-01T12:00:00.000Z SomethingNobodyKnows    {}`,
	}
	at, err := l.Append(ctx, stream, lines...)
	must(t, err)
	if e := all(t, l, stream, 1)[1]; e.Cursor != at || !slices.Equal(e.Events, lines) {
		t.Errorf("%+v", e)
	}
}

func conflict(t *testing.T, bed Bed, stream string) {
	a, b, ctx := open(t, bed), open(t, bed), limit(t)
	start := bus.Start(stream)
	first, err := a.AppendAfter(ctx, start, Event(1))
	must(t, err)
	if first.Version != 1 {
		t.Errorf("the first entry is %v", first)
	}
	second, err := b.AppendAfter(ctx, first, Event(2))
	must(t, err)
	for _, after := range []bus.Cursor{start, {Stream: stream, Version: 0}, first, {Stream: stream, Version: 3}, {Stream: stream, Version: 99}} {
		_, err := a.AppendAfter(ctx, after, Event(3))
		var c *bus.ConflictError
		if !errors.Is(err, bus.ErrConflict) || !errors.As(err, &c) || c.After != after || c.Last != 2 && c.Last != -1 {
			t.Errorf("after %d: %v", after.Version, err)
		}
		if errors.Is(err, bus.ErrUnavailable) || errors.Is(err, bus.ErrUnacknowledged) {
			t.Errorf("after %d: a conflict is an answer: %v", after.Version, err)
		}
	}
	_, err = a.AppendAfter(ctx, second, Event(3))
	must(t, err)
	all(t, a, stream, 3)
}

// writers: each append goes in once, in the writer's order, whoever else appends.
func writers(t *testing.T, bed Bed, stream string) {
	const each = 15
	ctx := limit(t)
	var wg sync.WaitGroup
	for w := range 4 {
		l := open(t, bed)
		wg.Go(func() {
			at := bus.Start(stream)
			for i := 0; i < each; {
				var err error
				if w%2 == 0 {
					_, err = l.Append(ctx, stream, Event(w*1000+i))
				} else {
					var next bus.Cursor
					if next, err = l.AppendAfter(ctx, at, Event(w*1000+i)); err == nil {
						at = next
					}
				}
				switch {
				case err == nil:
					i++
				case errors.Is(err, bus.ErrConflict):
					last, err := l.Last(ctx, stream)
					if err != nil {
						t.Error(err)
						return
					}
					at = last
				default:
					t.Errorf("writer %d: %v", w, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	next := map[int]int{}
	for _, e := range all(t, open(t, bed), stream, 4*each)[1:] {
		var n int
		if _, err := fmt.Sscanf(e.Events[0], `2026-11-01T12:00:00.000Z Test    {"N":%d}`, &n); err != nil {
			t.Fatal(e.Events[0], err)
		}
		if w := n / 1000; n%1000 != next[w] {
			t.Errorf("version %d has event %d of writer %d, want %d", e.Version, n%1000, w, next[w])
		}
		next[n/1000]++
	}
}

func read(t *testing.T, bed Bed, stream string) {
	l, ctx := open(t, bed), limit(t)
	for i := 1; i <= 9; i++ {
		_, err := l.Append(ctx, stream, Event(i))
		must(t, err)
	}
	whole := all(t, l, stream, 9)
	for after := int64(-1); after < 12; after++ {
		for _, limit := range []int{1, 3, 100} {
			got, err := l.Read(ctx, bus.Cursor{Stream: stream, Version: after}, limit)
			must(t, err)
			want := whole[min(after+1, int64(len(whole))):]
			want = want[:min(limit, len(want))]
			if !slices.EqualFunc(got, want, bus.Entry.Equal) {
				t.Errorf("after %d, %d at most: %v, want %v", after, limit, got, want)
			}
		}
	}
}

func wait(t *testing.T, bed Bed, stream string) {
	a, b, ctx := open(t, bed), open(t, bed), limit(t)
	at, err := a.Append(ctx, stream, Event(1))
	must(t, err)
	must(t, a.Wait(ctx, bus.Start(stream))) // there is something already
	all(t, b, stream, 1)

	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := b.Wait(ended, at); !errors.Is(err, context.Canceled) {
		t.Errorf("a wait that was ended says %v", err)
	}
	seen := make(chan error, 1)
	go func() {
		for {
			if err := b.Wait(ctx, at); err != nil {
				seen <- err
				return
			}
			if entries, err := b.Read(ctx, at, 1); err != nil || len(entries) > 0 {
				seen <- err
				return
			}
		}
	}()
	_, err = a.Append(ctx, stream, Event(2))
	must(t, err)
	must(t, <-seen)
}

// follow: a follower that starts in the middle of things sees all of it once.
func follow(t *testing.T, bed Bed, stream string) {
	const n = 40
	a, b, ctx := open(t, bed), open(t, bed), limit(t)
	var wg sync.WaitGroup
	defer wg.Wait()
	for w, l := range []bus.Log{a, b} {
		wg.Go(func() {
			for i := range n / 2 {
				if _, err := l.Append(ctx, stream, Event(w*1000+i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	c := open(t, bed)
	seen := map[string]int{}
	for _, e := range all(t, c, stream, n)[1:] {
		seen[e.Events[0]]++
	}
	wg.Wait()
	for line, times := range seen {
		if times != 1 {
			t.Errorf("%s was seen %d times", line, times)
		}
	}
	if len(seen) != n {
		t.Errorf("%d events, want %d", len(seen), n)
	}
}

func separate(t *testing.T, bed Bed, stream string) {
	l, ctx := open(t, bed), limit(t)
	other := stream + "-2"
	_, err := l.Append(ctx, stream, Event(1))
	must(t, err)
	at, err := l.Append(ctx, other, Event(2))
	must(t, err)
	if at.Version != 1 {
		t.Errorf("the other stream begins at %d", at.Version)
	}
	all(t, l, stream, 1)
	if e := all(t, l, other, 1)[1]; e.Events[0] != Event(2) {
		t.Errorf("%+v", e)
	}
}

func refused(t *testing.T, bed Bed, stream string) {
	l, ctx := open(t, bed), limit(t)
	for name, c := range map[string]struct {
		stream string
		lines  []string
	}{
		"no event":    {stream, nil},
		"no line":     {stream, []string{""}},
		"two lines":   {stream, []string{Event(1) + "\n" + Event(2)}},
		"no time":     {stream, []string{`yesterday Test    {}`}},
		"no JSON":     {stream, []string{`2026-11-01T12:00:00.000Z Test    {"a":`}},
		"one is bad":  {stream, []string{Event(1), `2026-11-01T12:00:00.000Z Test {}`}},
		"no stream":   {"", []string{Event(1)}},
		"no slash":    {"t-9", []string{Event(1)}},
		"empty part":  {"/t-9//x", []string{Event(1)}},
		"dots":        {"/t-9/..", []string{Event(1)}},
		"wildcard":    {"/t-9/>", []string{Event(1)}},
		"white space": {"/t-9/a b", []string{Event(1)}},
	} {
		if at, err := l.Append(ctx, c.stream, c.lines...); !errors.Is(err, bus.ErrInvalid) {
			t.Errorf("%s: %v, %v", name, at, err)
		}
	}
	if last, err := l.Last(ctx, stream); err != nil || last.Version != -1 {
		t.Errorf("something was appended: %v, %v", last, err)
	}
}

func largeEntry(t *testing.T, bed Bed, stream string) {
	l, ctx := open(t, bed), limit(t)
	line := func(bytes int) string {
		const frame = `2026-11-01T12:00:00.000Z Test    {"Text":""}`
		return strings.Replace(frame, `""`, `"`+strings.Repeat("x", bytes-len(frame))+`"`, 1)
	}
	half := line(bus.MaxEntry / 2)
	_, err := l.Append(ctx, stream, half, half)
	must(t, err)
	if e := all(t, l, stream, 1)[1]; !slices.Equal(e.Events, []string{half, half}) {
		t.Error("a large entry came back changed")
	}
	if _, err := l.Append(ctx, stream, half, half+" "); !errors.Is(err, bus.ErrTooLarge) {
		t.Errorf("an entry beyond the limit: %v", err)
	}
	all(t, l, stream, 1)
}

func largeStream(t *testing.T, bed Bed, stream string) {
	n := bed.Large
	if n == 0 {
		n = 2000
	}
	l, ctx := open(t, bed), limit(t)
	var wg sync.WaitGroup
	const at = 8 // appends on their way at once
	for w := range at {
		wg.Go(func() {
			for i := w; i < n; i += at {
				if _, err := l.Append(ctx, stream, Event(i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	seen := map[string]bool{}
	for _, e := range all(t, open(t, bed), stream, n)[1:] {
		seen[e.Events[0]] = true
	}
	if len(seen) != n {
		t.Errorf("%d different events, want %d", len(seen), n)
	}
}

// reconnect: what was acknowledged is there after the log was away, and those who
// were following go on without missing or repeating anything.
func reconnect(t *testing.T, bed Bed, stream string) {
	if bed.Interrupt == nil {
		t.Skip("what this log stands on cannot be interrupted")
	}
	l, ctx := open(t, bed), limit(t)
	_, err := l.Append(ctx, stream, Event(1))
	must(t, err)
	seen := all(t, l, stream, 1)
	at := seen[1].Cursor
	bed.Interrupt(t)
	retried(t, ctx, func() error { _, err := l.Append(ctx, stream, Event(2)); return err })
	retried(t, ctx, func() error {
		entries, err := l.Read(ctx, at, 10)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Version != at.Version+1 {
				t.Fatalf("version %d follows %d", e.Version, at.Version)
			}
			at = e.Cursor
		}
		if at.Version < 2 {
			return errors.New("not there yet")
		}
		return nil
	})
	all(t, open(t, bed), stream, int(at.Version))
}

// retried calls f until it works; bus.ErrUnacknowledged counts as having worked.
func retried(t *testing.T, ctx context.Context, f func() error) {
	t.Helper()
	for {
		err := f()
		if err == nil || errors.Is(err, bus.ErrUnacknowledged) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("it did not come back: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func closed(t *testing.T, bed Bed, stream string) {
	l, ctx := open(t, bed), limit(t)
	_, err := l.Append(ctx, stream, Event(1))
	must(t, err)
	waiting := make(chan error, 1)
	go func() {
		for { // Wait may return early
			if err := l.Wait(ctx, bus.Cursor{Stream: stream, Version: 1}); err != nil {
				waiting <- err
				return
			}
		}
	}()
	must(t, l.Close())
	if err := <-waiting; !errors.Is(err, bus.ErrClosed) {
		t.Errorf("a wait ended with %v", err)
	}
	_, appending := l.Append(ctx, stream, Event(2))
	_, reading := l.Read(ctx, bus.Start(stream), 1)
	_, asking := l.Last(ctx, stream)
	for what, err := range map[string]error{"append": appending, "read": reading, "last": asking} {
		if !errors.Is(err, bus.ErrClosed) {
			t.Errorf("%s after Close: %v", what, err)
		}
	}
}
