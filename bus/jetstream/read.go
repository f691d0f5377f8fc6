package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"

	"edgerouter/bus"
)

// maxBatch bounds the bytes of one batch of messages, which the client holds.
const maxBatch = 4 << 20

// Read implements bus.Log. In a cluster this node's copy answers, or the nearest.
func (b *Bus) Read(ctx context.Context, after bus.Cursor, limit int) ([]bus.Entry, error) {
	if b.moving.Load() {
		return nil, errMoving
	}
	return b.read(ctx, after, limit)
}

func (b *Bus) read(ctx context.Context, after bus.Cursor, limit int) ([]bus.Entry, error) {
	if err := bus.CheckStream(after.Stream); err != nil {
		return nil, err
	}
	s, err := b.session(ctx)
	if err != nil {
		return nil, err
	}
	var entries []bus.Entry
	at := bus.Cursor{Stream: after.Stream, Version: max(after.Version, -1)}
	for len(entries) < limit {
		some, more, err := b.batch(ctx, s, at, limit-len(entries))
		if err != nil {
			return nil, b.failed(err)
		}
		entries = append(entries, some...)
		if !more || len(some) == 0 {
			break
		}
		at = some[len(some)-1].Cursor
	}
	return entries, nil
}

// batch asks for the messages after a position (JetStream's batched direct get,
// ADR-31). more says that there are further ones.
func (b *Bus) batch(ctx context.Context, s *session, after bus.Cursor, limit int) (entries []bus.Entry, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	name := streamName(after.Stream)
	inbox := s.nc.NewInbox()
	sub, err := s.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, false, fmt.Errorf("%w: %w", bus.ErrUnavailable, err)
	}
	defer sub.Unsubscribe()
	// What comes is bounded by maxBatch and one message.
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return nil, false, fmt.Errorf("%w: %w", bus.ErrUnavailable, err)
	}
	question, err := json.Marshal(map[string]int64{"seq": after.Version + 2, "batch": int64(limit), "max_bytes": maxBatch})
	if err != nil {
		return nil, false, err
	}
	if err := s.nc.PublishRequest("$JS.API.DIRECT.GET."+name, inbox, question); err != nil {
		return nil, false, fmt.Errorf("%w: %w", bus.ErrUnavailable, err)
	}
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if errors.Is(err, nats.ErrNoResponders) {
			return nil, false, b.nobody(ctx, s, after)
		}
		if err != nil {
			return nil, false, fmt.Errorf("%w: reading %s after version %d: %w", bus.ErrUnavailable, after.Stream, after.Version, err)
		}
		switch status := m.Header.Get("Status"); status {
		case "":
			seq, err := strconv.ParseInt(m.Header.Get("Nats-Sequence"), 10, 64)
			if err != nil || m.Header.Get("Nats-Stream") != name {
				return nil, false, fmt.Errorf("%w: a message of %s has no sequence", bus.ErrDamaged, after.Stream)
			}
			entries = append(entries, entry(bus.Cursor{Stream: after.Stream, Version: seq - 1}, m.Header, m.Data))
		case "204": // end of batch
			pending, _ := strconv.ParseInt(m.Header.Get("Nats-Num-Pending"), 10, 64)
			return entries, pending > 0, nil
		case "404": // nothing at or after this sequence
			return entries, false, nil
		case "503":
			return nil, false, b.nobody(ctx, s, after)
		default:
			return nil, false, fmt.Errorf("%w: reading %s: %s %s", bus.ErrUnavailable, after.Stream, status, m.Header.Get("Description"))
		}
	}
}

// nobody finds out why nobody answers for a stream: it is not there, which is as
// good as empty, or it cannot be read at the moment.
func (b *Bus) nobody(ctx context.Context, s *session, after bus.Cursor) error {
	info, err := b.info(ctx, s, after.Stream)
	if err != nil {
		return err
	}
	if info == nil || int64(info.State.LastSeq)-1 <= after.Version {
		return nil
	}
	return fmt.Errorf("%w: no copy of %s can be read at the moment", bus.ErrUnavailable, after.Stream)
}
