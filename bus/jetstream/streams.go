package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"edgerouter/bus"
)

// Codes of the JetStream API that mean something here; see errors.json of
// nats-server.
const (
	codeReplicasAlone   = 10074 // more than one replica on a server that has no cluster
	codeStreamExists    = 10058 // with another configuration
	codeWrongLast       = 10071
	codeInsufficient    = 10023 // no room
	codeStoreFailed     = 10077
	codeNoPeers         = 10005 // not enough nodes for the replicas
	codeMaximumBytes    = 10122
	codeStorageExceeded = 10047
)

// config is the JetStream stream of an event stream. Nothing may be deleted from
// it.
func config(stream string, replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: streamName(stream), Subjects: []string{logSubject(stream)},
		Description: "edgerouter's event stream " + stream,
		Storage:     jetstream.FileStorage, Replicas: replicas, Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew,
		DenyDelete: true, DenyPurge: true, AllowDirect: true, Duplicates: duplicates,
		MaxMsgSize: 2 * bus.MaxEntry,
		RePublish:  &jetstream.RePublish{Source: logSubject(stream), Destination: appendedSubject(stream), HeadersOnly: true},
	}
}

// Last implements bus.Log. It asks the leader of the stream.
func (b *Bus) Last(ctx context.Context, stream string) (bus.Cursor, error) {
	if b.moving.Load() {
		return bus.Cursor{}, errMoving
	}
	return b.last(ctx, stream)
}

func (b *Bus) last(ctx context.Context, stream string) (bus.Cursor, error) {
	if err := bus.CheckStream(stream); err != nil {
		return bus.Cursor{}, err
	}
	s, err := b.session(ctx)
	if err != nil {
		return bus.Cursor{}, err
	}
	info, err := b.info(ctx, s, stream)
	if err != nil {
		return bus.Cursor{}, err
	}
	if info == nil {
		return bus.Start(stream), nil
	}
	b.news.heard(stream, int64(info.State.LastSeq)-1)
	return bus.Cursor{Stream: stream, Version: int64(info.State.LastSeq) - 1}, nil
}

// info is nil when there is no such stream.
func (b *Bus) info(ctx context.Context, s *session, stream string) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	handle, err := s.js.Stream(ctx, streamName(stream)) // this asks for the stream's state
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		b.nodes.sawStream(stream, nil)
		return nil, nil
	}
	if err != nil {
		return nil, b.failed(fmt.Errorf("%w: asking for the end of %s: %w", bus.ErrUnavailable, stream, b.because(s, err)))
	}
	info := handle.CachedInfo()
	b.nodes.sawStream(stream, info)
	return info, nil
}

// because makes an error say what it means in a cluster, or what to look at.
func (b *Bus) because(s *session, err error) error {
	if s.srv == nil {
		return b.explained(err)
	}
	if b.opts.clustered() && (errors.Is(err, context.DeadlineExceeded) || noAnswer(err)) {
		return fmt.Errorf("there is no leader: fewer than %d of the %d nodes are connected, or they are electing one (%w)",
			b.opts.nodes()/2+1, b.opts.nodes(), err)
	}
	return err
}

// ensure makes the stream with its entry 0 if it is not there.
func (b *Bus) ensure(ctx context.Context, s *session, stream string) error {
	s.mu.Lock()
	ready := s.ready[stream]
	s.mu.Unlock()
	if ready {
		return nil
	}
	info, err := b.info(ctx, s, stream)
	if err != nil {
		return err
	}
	if info == nil {
		if err := b.create(ctx, s, stream); err != nil {
			return err
		}
	}
	if info == nil || info.State.LastSeq == 0 {
		started := message(stream, bus.StreamStarted(time.Now(), stream), nil)
		zero := int64(-1)
		if _, err := b.publish(ctx, s, stream, started, &zero, "started"+stream); err != nil && !errors.Is(err, bus.ErrConflict) {
			return err
		}
	}
	s.mu.Lock()
	s.ready[stream] = true
	s.mu.Unlock()
	return nil
}

// createTurn is how long a node that does not lead the cluster leaves it to the
// others to make a stream.
const createTurn = time.Second

// create makes a stream. Of several that do so at once in a cluster, the server
// may end up with two groups of one stream, which then takes seconds to have a
// leader: so one of a process does it, and the cluster's leader goes first.
func (b *Bus) create(ctx context.Context, s *session, stream string) error {
	s.creating.Lock()
	defer s.creating.Unlock()
	turn := time.Now().Add(createTurn)
	for {
		info, err := b.info(ctx, s, stream)
		if err != nil || info != nil {
			return err
		}
		if s.srv == nil || !b.opts.clustered() || s.srv.JetStreamIsLeader() || time.Now().After(turn) {
			return b.createNow(ctx, s, stream)
		}
		t := time.NewTimer(createTurn / 10)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return fmt.Errorf("%w: making the stream %s: %w", bus.ErrUnavailable, stream, ctx.Err())
		}
	}
}

func (b *Bus) createNow(ctx context.Context, s *session, stream string) error {
	replicas := 1
	if b.opts.clustered() || b.opts.external() {
		replicas = 3
	}
	for {
		attempt, cancel := context.WithTimeout(ctx, 2*askTimeout)
		_, err := s.js.CreateStream(attempt, config(stream, replicas))
		cancel()
		var api *jetstream.APIError
		switch {
		case err == nil:
			b.log.Info().Str("stream", stream).Int("replicas", replicas).Msg("event stream was made")
			return nil
		case errors.As(err, &api) && api.ErrorCode == codeReplicasAlone && b.opts.external():
			replicas = 1
			continue
		case errors.As(err, &api) && api.ErrorCode == codeStreamExists:
			return nil // another node made it
		case errors.As(err, &api) && api.ErrorCode == codeNoPeers:
			err = fmt.Errorf("a new stream is made when %d nodes are connected (%w)", replicas, err)
		}
		return b.failed(fmt.Errorf("%w: making the stream %s: %w", bus.ErrUnavailable, stream, b.because(s, err)))
	}
}
