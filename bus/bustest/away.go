package bustest

import (
	"context"
	"errors"
	"testing"
	"time"

	"edgerouter/bus"
)

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
