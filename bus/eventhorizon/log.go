package eventhorizon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"edgerouter/bus"
)

// DefaultPoll is how often a follower looks for what others appended.
const DefaultPoll = 10 * time.Second

// DynamoDB is what is used of *dynamodb.Client.
type DynamoDB interface {
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
}

// Options of a Log.
type Options struct {
	Client DynamoDB
	Table  string
	// Poll is how often followers look; 0 means DefaultPoll.
	Poll time.Duration
}

// Log is the event log in a table. It implements bus.Log.
type Log struct {
	opts Options

	mu      sync.Mutex
	changed chan struct{} // closed at the next append of this process
	closed  chan struct{}
	once    sync.Once
}

// New makes a Log; nothing is asked yet.
func New(opts Options) *Log {
	if opts.Poll == 0 {
		opts.Poll = DefaultPoll
	}
	return &Log{opts: opts, changed: make(chan struct{}), closed: make(chan struct{})}
}

// Append implements bus.Log. Of several writers at once each gets in, one after
// the other.
func (l *Log) Append(ctx context.Context, stream string, events ...string) (bus.Cursor, error) {
	if err := l.check(stream, events); err != nil {
		return bus.Cursor{}, err
	}
	for {
		last, err := l.Last(ctx, stream)
		if err != nil {
			return bus.Cursor{}, fmt.Errorf("appending to %s: %w", stream, err)
		}
		at, err := l.appendAfter(ctx, last, events)
		if !errors.Is(err, bus.ErrConflict) {
			return at, err
		}
		if ctx.Err() != nil {
			return bus.Cursor{}, fmt.Errorf("%w: appending to %s: %w", bus.ErrUnavailable, stream, ctx.Err())
		}
	}
}

// AppendAfter implements bus.Log.
func (l *Log) AppendAfter(ctx context.Context, after bus.Cursor, events ...string) (bus.Cursor, error) {
	if err := l.check(after.Stream, events); err != nil {
		return bus.Cursor{}, err
	}
	// The condition of the put alone would leave a gap after a version that is not
	// there.
	last, err := l.Last(ctx, after.Stream)
	if err != nil {
		return bus.Cursor{}, fmt.Errorf("appending to %s: %w", after.Stream, err)
	}
	if last != after {
		return bus.Cursor{}, &bus.ConflictError{After: after, Last: last.Version}
	}
	return l.appendAfter(ctx, after, events)
}

func (l *Log) check(stream string, events []string) error {
	if l.isClosed() {
		return bus.ErrClosed
	}
	return bus.CheckAppend(stream, events)
}

// appendAfter puts the next version; a stream that is not there is started first.
func (l *Log) appendAfter(ctx context.Context, after bus.Cursor, events []string) (bus.Cursor, error) {
	if after.Version < 0 {
		if err := l.start(ctx, after.Stream); err != nil {
			return bus.Cursor{}, err
		}
		after.Version = 0
	}
	at := bus.Cursor{Stream: after.Stream, Version: after.Version + 1}
	if err := l.put(ctx, bus.Entry{Cursor: at, Events: events}); err != nil {
		return bus.Cursor{}, err
	}
	l.wake()
	return at, nil
}

// start makes a stream: its parent tells of it, and its entry 0 is StreamStarted.
// A process that ends in between leaves a parent that tells of a stream that is
// not there yet, and the next one goes on from that.
func (l *Log) start(ctx context.Context, stream string) error {
	if parent := bus.Parent(stream); parent != "" {
		if err := l.announce(ctx, parent, stream); err != nil {
			return err
		}
	}
	return l.put(ctx, bus.Entry{Cursor: bus.Cursor{Stream: stream}, Meta: bus.StreamStarted(time.Now(), stream)})
}

// announce appends ChildStreamCreated to a parent that does not tell of the stream.
func (l *Log) announce(ctx context.Context, parent, stream string) error {
	for {
		at, known := bus.Start(parent), false
		for {
			entries, err := l.read(ctx, at, pageSize)
			if err != nil {
				return err
			}
			for _, e := range entries {
				at = e.Cursor
				known = known || slices.ContainsFunc(e.Lines(), func(line string) bool { return tellsOf(line, stream) })
			}
			if len(entries) < pageSize {
				break
			}
		}
		if known {
			return nil
		}
		if at.Version < 0 {
			if err := l.start(ctx, parent); err != nil && !errors.Is(err, bus.ErrConflict) {
				return err
			}
			continue
		}
		err := l.put(ctx, bus.Entry{Cursor: bus.Cursor{Stream: parent, Version: at.Version + 1}, Meta: bus.ChildStreamCreated(time.Now(), stream)})
		if !errors.Is(err, bus.ErrConflict) {
			return err
		}
	}
}

// tellsOf says whether a line is the one that announces a stream.
func tellsOf(line, stream string) bool {
	e, err := bus.ParseEvent(line)
	if err != nil || e.Type != bus.TypeChildStreamCreated {
		return false
	}
	told, err := bus.ParseEvent(bus.ChildStreamCreated(e.Time, stream))
	return err == nil && string(told.Data) == string(e.Data)
}

// Read implements bus.Log.
func (l *Log) Read(ctx context.Context, after bus.Cursor, limit int) ([]bus.Entry, error) {
	if l.isClosed() {
		return nil, bus.ErrClosed
	}
	if err := bus.CheckStream(after.Stream); err != nil {
		return nil, err
	}
	return l.read(ctx, after, limit)
}

// Last implements bus.Log.
func (l *Log) Last(ctx context.Context, stream string) (bus.Cursor, error) {
	if l.isClosed() {
		return bus.Cursor{}, bus.ErrClosed
	}
	if err := bus.CheckStream(stream); err != nil {
		return bus.Cursor{}, err
	}
	return l.last(ctx, stream)
}

// Wait implements bus.Log: until the poll interval is over, or this process
// appends something.
func (l *Log) Wait(ctx context.Context, after bus.Cursor) error {
	l.mu.Lock()
	changed := l.changed
	l.mu.Unlock()
	// What was appended before changed was taken is looked for first.
	if entries, err := l.Read(ctx, after, 1); err == nil && len(entries) > 0 {
		return nil
	}
	t := time.NewTimer(l.opts.Poll)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-l.closed:
		return bus.ErrClosed
	}
}

func (l *Log) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
}

// Close implements bus.Log.
func (l *Log) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *Log) isClosed() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}
