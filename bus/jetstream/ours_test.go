package jetstream

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"edgerouter/bus"
	"edgerouter/bus/bustest"
)

// An append whose answer got lost, and which is sent again when the server does not
// remember its message id any more, is the entry that it made and not a conflict.
func TestAppendStoredBefore(t *testing.T) {
	b, _ := start(t, Options{Embedded: Embedded{Folder: t.TempDir()}})
	const stream = "/t-9/ours"
	ctx := deadline(t)
	if _, err := b.Last(ctx, stream); err != nil {
		t.Fatal(err)
	}
	s := b.current.Load()
	forgetful := config(stream, 1)
	forgetful.Duplicates = 100 * time.Millisecond
	if _, err := s.js.CreateStream(ctx, forgetful); err != nil {
		t.Fatal(err)
	}
	for _, first := range []int64{-1, 1} { // a new stream, and one that has entries
		id := "id" + string(rune('b'+first))
		want, err := b.appendEntry(ctx, stream, &first, []string{bustest.Event(1)}, id)
		if err != nil {
			t.Fatal(err)
		}
		foreign := want.Version - 1
		until(t, "the server has forgotten the message's id", func() bool {
			_, err := b.publish(ctx, s, stream, message(stream, "", []string{bustest.Event(1)}), &foreign, "probe")
			var c *bus.ConflictError
			return errors.As(err, &c) && !s.remembers(t, stream, id)
		})
		for range 2 {
			got, err := b.appendEntry(ctx, stream, &first, []string{bustest.Event(1)}, id)
			if err != nil || got != want {
				t.Errorf("after %d again: %v, %v; it is %v", first, got, err, want)
			}
			_, err = b.appendEntry(ctx, stream, &first, []string{bustest.Event(1)}, "another's")
			if !errors.Is(err, bus.ErrConflict) || errors.Is(err, bus.ErrUnacknowledged) {
				t.Errorf("another's append after %d: %v", first, err)
			}
		}
		if last, err := b.Last(ctx, stream); err != nil || last != want {
			t.Errorf("the stream ends with %v, %v", last, err)
		}
	}
}

// remembers reports whether the server answers a message by its id alone: what it
// remembers is a duplicate, whatever condition it has.
func (s *session) remembers(t *testing.T, stream, id string) bool {
	t.Helper()
	m := message(stream, "", []string{bustest.Event(1)})
	m.Header.Set("Nats-Msg-Id", id)
	m.Header.Set("Nats-Expected-Last-Sequence", "0")
	answer, err := s.nc.RequestMsgWithContext(deadline(t), m)
	if err != nil {
		t.Fatal(err)
	}
	var a ack
	if err := json.Unmarshal(answer.Data, &a); err != nil {
		t.Fatal(err)
	}
	return a.Duplicate
}
