package bustest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"edgerouter/bus"
)

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
