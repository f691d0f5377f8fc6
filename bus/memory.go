package bus

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Memory is a Log in the memory of the process: for tests, and for what was read
// from a file. Its zero value is ready for use.
type Memory struct {
	mu      sync.Mutex
	streams map[string][]Entry
	moved   chan struct{} // closed at the next append
	closed  bool
}

// NewMemory makes a Memory that has entries of streams already, each stream's in
// the order of their versions from 0.
func NewMemory(entries []Entry) (*Memory, error) {
	m := &Memory{streams: map[string][]Entry{}}
	for _, e := range entries {
		if have := int64(len(m.streams[e.Stream])); e.Version != have {
			return nil, fmt.Errorf("%w: %s has version %d where %d should follow", ErrDamaged, e.Stream, e.Version, have)
		}
		m.streams[e.Stream] = append(m.streams[e.Stream], e)
	}
	return m, nil
}

// Append implements Log.
func (m *Memory) Append(ctx context.Context, stream string, events ...string) (Cursor, error) {
	return m.append(ctx, stream, nil, events)
}

// AppendAfter implements Log.
func (m *Memory) AppendAfter(ctx context.Context, after Cursor, events ...string) (Cursor, error) {
	return m.append(ctx, after.Stream, &after, events)
}

func (m *Memory) append(ctx context.Context, stream string, after *Cursor, events []string) (Cursor, error) {
	if err := CheckAppend(stream, events); err != nil {
		return Cursor{}, err
	}
	if err := ctx.Err(); err != nil {
		return Cursor{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return Cursor{}, ErrClosed
	}
	entries := m.streams[stream]
	if last := int64(len(entries)) - 1; after != nil && after.Version != last {
		return Cursor{}, &ConflictError{After: *after, Last: last}
	}
	if len(entries) == 0 {
		entries = append(entries, Entry{Cursor: Cursor{Stream: stream}, Meta: StreamStarted(time.Now(), stream)})
	}
	at := Cursor{stream, int64(len(entries))}
	if m.streams == nil {
		m.streams = map[string][]Entry{}
	}
	m.streams[stream] = append(entries, Entry{Cursor: at, Events: slices.Clone(events)})
	if m.moved != nil {
		close(m.moved)
		m.moved = nil
	}
	return at, nil
}

// Read implements Log.
func (m *Memory) Read(ctx context.Context, after Cursor, limit int) ([]Entry, error) {
	if err := CheckStream(after.Stream); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ErrClosed
	}
	entries := m.streams[after.Stream]
	from := min(max(after.Version+1, 0), int64(len(entries)))
	entries = entries[from:]
	return slices.Clone(entries[:min(limit, len(entries))]), ctx.Err()
}

// Last implements Log.
func (m *Memory) Last(ctx context.Context, stream string) (Cursor, error) {
	if err := CheckStream(stream); err != nil {
		return Cursor{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return Cursor{}, ErrClosed
	}
	return Cursor{stream, int64(len(m.streams[stream])) - 1}, ctx.Err()
}

// Wait implements Log.
func (m *Memory) Wait(ctx context.Context, after Cursor) error {
	for {
		m.mu.Lock()
		if m.closed {
			m.mu.Unlock()
			return ErrClosed
		}
		if int64(len(m.streams[after.Stream]))-1 > after.Version {
			m.mu.Unlock()
			return nil
		}
		if m.moved == nil {
			m.moved = make(chan struct{})
		}
		moved := m.moved
		m.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Close implements Log.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	if m.moved != nil {
		close(m.moved)
		m.moved = nil
	}
	return nil
}
