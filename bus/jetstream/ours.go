package jetstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"edgerouter/bus"
)

// A message that was sent twice can be refused because its first copy was stored:
// a leader that was cut off stores it, the next one does not know its id yet. So a
// conflict is final only when the entry in that place is seen to be another's.

// settle turns the conflict of an append into its success when the entry at its
// place has its message id, and into bus.ErrUnavailable while that cannot be
// found out.
func (b *Bus) settle(ctx context.Context, s *session, stream string, id string, conflict error) (bus.Cursor, error) {
	var c *bus.ConflictError
	if !errors.As(conflict, &c) {
		return bus.Cursor{}, conflict
	}
	at := bus.Cursor{Stream: stream, Version: c.After.Version + 1}
	if c.Last >= 0 && c.Last < at.Version {
		return bus.Cursor{}, conflict // the stream is shorter than the writer thought
	}
	found, err := b.messageID(ctx, s, at)
	switch {
	case err != nil:
		return bus.Cursor{}, fmt.Errorf("%w: finding out whether version %d of %s is this append: %w", bus.ErrUnavailable, at.Version, stream, err)
	case found == id:
		b.news.heard(stream, at.Version)
		return at, nil
	}
	return bus.Cursor{}, conflict
}

// messageID asks the leader of a stream for the id of an entry. nats-server's
// $JS.API.STREAM.MSG.GET, unlike a direct get, is answered by the leader alone.
func (b *Bus) messageID(ctx context.Context, s *session, at bus.Cursor) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	question, err := json.Marshal(map[string]int64{"seq": at.Version + 1})
	if err != nil {
		return "", err
	}
	answer, err := s.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+streamName(at.Stream), question)
	if err != nil {
		return "", b.because(s, err)
	}
	var got struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Header []byte `json:"hdrs"`
		} `json:"message"`
	}
	if err := json.Unmarshal(answer.Data, &got); err != nil {
		return "", err
	}
	if got.Error != nil { // also: it is on its way to the leader's store
		return "", got.Error
	}
	header, err := nats.DecodeHeadersMsg(bytes.TrimRight(got.Message.Header, "\x00"))
	if err != nil {
		return "", nil // somebody else's message, without any
	}
	return header.Get(jetstream.MsgIDHeader), nil
}
