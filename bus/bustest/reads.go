package bustest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"edgerouter/bus"
	"edgerouter/metrics"
)

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

// redelivery: whatever position a reader comes back to, it gets the same entries
// again, and a follower that is handed them again and again applies each once.
func redelivery(t *testing.T, bed Bed, stream string) {
	const n = 20
	l, ctx := open(t, bed), limit(t)
	for i := range n {
		_, err := l.Append(ctx, stream, Event(i))
		must(t, err)
	}
	whole := all(t, l, stream, n)
	state := &applied{}
	reached := make(chan struct{}, 1)
	f := bus.NewFollower(bus.FollowerOptions{
		Log: again{l}, Stream: stream, State: state, CheckEvery: -1, Metrics: metrics.NewSet(), Logger: zerolog.Nop(),
		Changed: func(at bus.Cursor) {
			if at.Version == n+1 {
				reached <- struct{}{}
			}
		},
	})
	following, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- f.Run(following) }()
	defer func() { stop(); must(t, <-ended) }()
	<-f.CaughtUp()
	if bed.Interrupt != nil {
		bed.Interrupt(t)
	}
	retried(t, ctx, func() error {
		last, err := l.Last(ctx, stream)
		if err == nil && last.Version == n {
			if _, err = l.AppendAfter(ctx, last, Event(n)); errors.Is(err, bus.ErrUnacknowledged) {
				err = errors.New("it may be there or not: look again")
			}
		}
		return err
	})
	select {
	case <-reached:
	case <-ctx.Done():
		t.Fatalf("the follower did not come to the end: %+v", f.Status())
	}
	if len(state.entries) != n+2 {
		t.Errorf("%d entries were applied, want %d", len(state.entries), n+2)
	}
	for i, e := range state.entries[:min(len(whole), len(state.entries))] {
		if !e.Equal(whole[i]) {
			t.Errorf("entry %d was applied as %+v, want %+v", i, e, whole[i])
		}
	}
}

// again is a Log that delivers what a reader has had already once more.
type again struct{ bus.Log }

func (a again) Read(ctx context.Context, after bus.Cursor, limit int) ([]bus.Entry, error) {
	after.Version = max(after.Version-7, -1)
	return a.Log.Read(ctx, after, limit)
}

// applied is a state that is the list of what was applied.
type applied struct{ entries []bus.Entry }

func (a *applied) Restore([]byte) error      { a.entries = nil; return nil }
func (a *applied) Apply(e bus.Entry)         { a.entries = append(a.entries, e) }
func (a *applied) Snapshot() ([]byte, error) { return nil, nil }
