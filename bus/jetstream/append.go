package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"edgerouter/bus"
)

// Append implements bus.Log.
func (b *Bus) Append(ctx context.Context, stream string, events ...string) (bus.Cursor, error) {
	if b.moving.Load() {
		return bus.Cursor{}, errMoving
	}
	return b.append(ctx, stream, nil, events)
}

// AppendAfter implements bus.Log.
func (b *Bus) AppendAfter(ctx context.Context, after bus.Cursor, events ...string) (bus.Cursor, error) {
	if b.moving.Load() {
		return bus.Cursor{}, errMoving
	}
	return b.append(ctx, after.Stream, &after.Version, events)
}

func (b *Bus) append(ctx context.Context, stream string, after *int64, events []string) (bus.Cursor, error) {
	if err := bus.CheckAppend(stream, events); err != nil {
		return bus.Cursor{}, err
	}
	if b.ctx.Err() != nil {
		return bus.Cursor{}, bus.ErrClosed
	}
	started := time.Now()
	at, err := b.appendEntry(ctx, stream, after, events, nuid.Next())
	b.metrics.observe(time.Since(started), err)
	return at, err
}

// appendEntry makes the stream ready and publishes, under one message id however
// often it is tried. The condition is looked at before a stream is made for it.
func (b *Bus) appendEntry(ctx context.Context, stream string, after *int64, events []string, id string) (bus.Cursor, error) {
	var last error
	for wait := minAgain; ; wait = min(2*wait, maxAgain) {
		at, sent, err := b.attempt(ctx, stream, after, events, id)
		if err == nil || !errors.Is(err, bus.ErrUnavailable) {
			return at, err
		}
		if sent { // from here on the entry may be in the log
			err = fmt.Errorf("%w: %w", bus.ErrUnacknowledged, err)
		} else if errors.Is(last, bus.ErrUnacknowledged) {
			err = last
		}
		last = err
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return bus.Cursor{}, fmt.Errorf("appending to %s: %w", stream, last)
		case <-b.ctx.Done():
			t.Stop()
			if errors.Is(last, bus.ErrUnacknowledged) {
				return bus.Cursor{}, fmt.Errorf("appending to %s: %w: %w", stream, bus.ErrUnacknowledged, bus.ErrClosed)
			}
			return bus.Cursor{}, bus.ErrClosed
		}
	}
}

// An append that found nobody is tried again after a pause that doubles.
const (
	minAgain = 20 * time.Millisecond
	maxAgain = 300 * time.Millisecond
)

// attempt tries once. sent says that the message was handed to the server.
func (b *Bus) attempt(ctx context.Context, stream string, after *int64, events []string, id string) (at bus.Cursor, sent bool, err error) {
	s, err := b.session(ctx)
	if err != nil {
		return bus.Cursor{}, false, err
	}
	if after != nil && *after >= 0 {
		s.mu.Lock()
		ready := s.ready[stream]
		s.mu.Unlock()
		if !ready {
			last, err := b.last(ctx, stream)
			if err != nil {
				return bus.Cursor{}, false, err
			}
			if last.Version < 0 {
				return bus.Cursor{}, false, &bus.ConflictError{After: bus.Cursor{Stream: stream, Version: *after}, Last: -1}
			}
		}
	}
	if after != nil && *after < 0 {
		// The entry 0 that this makes is part of the append: if it is there already,
		// the stream has moved, unless an attempt of this append got that far.
		return b.attemptFirst(ctx, s, stream, events, id)
	}
	if err := b.ensure(ctx, s, stream); err != nil {
		return bus.Cursor{}, false, err
	}
	at, err = b.publish(ctx, s, stream, message(stream, "", events), after, id)
	return at, uncertain(err), err
}

// attemptFirst appends entries 0 and 1 of a stream that must be empty.
func (b *Bus) attemptFirst(ctx context.Context, s *session, stream string, events []string, id string) (bus.Cursor, bool, error) {
	info, err := b.info(ctx, s, stream)
	if err != nil {
		return bus.Cursor{}, false, err
	}
	if info == nil {
		if err := b.create(ctx, s, stream); err != nil {
			return bus.Cursor{}, false, err
		}
	}
	before, zero := int64(-1), int64(0)
	started := message(stream, bus.StreamStarted(time.Now(), stream), nil)
	if _, err := b.publish(ctx, s, stream, started, &before, "0"+id); err != nil {
		return bus.Cursor{}, false, err
	}
	at, err := b.publish(ctx, s, stream, message(stream, "", events), &zero, id)
	return at, uncertain(err), err
}

// ack is what the server answers (JetStream's PubAck).
type ack struct {
	Stream    string              `json:"stream"`
	Seq       uint64              `json:"seq"`
	Duplicate bool                `json:"duplicate"`
	Error     *jetstream.APIError `json:"error"`
}

// publish sends a message once and reads the answer. The same id sent again is
// stored once, and the answer is that of the first time.
func (b *Bus) publish(ctx context.Context, s *session, stream string, m *nats.Msg, after *int64, id string) (bus.Cursor, error) {
	m.Header.Set(jetstream.MsgIDHeader, id)
	m.Header.Set(jetstream.ExpectedStreamHeader, streamName(stream))
	if after != nil {
		m.Header.Set(jetstream.ExpectedLastSeqHeader, strconv.FormatInt(*after+1, 10))
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	answer, err := s.nc.RequestMsgWithContext(ctx, m)
	if err != nil {
		return bus.Cursor{}, b.failed(fmt.Errorf("%w: %w", bus.ErrUnavailable, b.because(s, err)))
	}
	var a ack
	if err := json.Unmarshal(answer.Data, &a); err != nil {
		return bus.Cursor{}, fmt.Errorf("%w: its answer to an append is not JetStream's: %w", bus.ErrUnavailable, err)
	}
	if a.Error != nil {
		err := refusal(stream, after, a.Error)
		if errors.Is(err, bus.ErrConflict) {
			return b.settle(ctx, s, stream, id, err)
		}
		return bus.Cursor{}, err
	}
	at := bus.Cursor{Stream: stream, Version: int64(a.Seq) - 1}
	b.news.heard(stream, at.Version)
	return at, nil
}

// refusal makes a conflict of the one kind of answer that is one; everything else
// may work later.
func refusal(stream string, after *int64, e *jetstream.APIError) error {
	if e.ErrorCode == codeWrongLast && after != nil {
		c := &bus.ConflictError{After: bus.Cursor{Stream: stream, Version: *after}, Last: -1}
		var seq int64
		if _, err := fmt.Sscanf(e.Description, "wrong last sequence: %d", &seq); err == nil && seq > 0 {
			c.Last = seq - 1
		}
		return c
	}
	hint := ""
	switch e.ErrorCode {
	case codeInsufficient, codeStoreFailed, codeMaximumBytes, codeStorageExceeded:
		hint = "; is the disk full?"
	}
	return fmt.Errorf("%w: %w: %s (code %d)%s", bus.ErrUnavailable, errRefused, e.Description, e.ErrorCode, hint)
}

// errRefused: the server answered that it did not store it.
var errRefused = errors.New("the server refused it")

// uncertain says that a message may have been stored although there is an error.
func uncertain(err error) bool {
	return !errors.Is(err, nats.ErrNoResponders) && !errors.Is(err, errRefused)
}

// noAnswer says that there was nobody to answer.
func noAnswer(err error) bool {
	return errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, jetstream.ErrNoStreamResponse)
}
