package bus

import (
	"context"
	"slices"
	"strings"
)

// MaxEntry bounds the bytes of all lines of an entry. It is what the smallest
// implementation can hold (a DynamoDB item has 400 KB with its names), so that a
// log can be copied to any other.
const MaxEntry = 380 << 10

// Log is an event log. Its methods may be called from many goroutines. What
// fails because the log cannot be reached wraps ErrUnavailable; nothing else
// says anything about whether trying again helps.
type Log interface {
	// Append adds one entry of at least one event line to the end of a stream,
	// all of it or nothing, and returns its position. A stream that is not there
	// is made: its entry 0 is the line StreamStarted, and the events are entry 1.
	//
	// After an error the entry is not in the stream and never will be, unless the
	// error is ErrUnacknowledged.
	Append(ctx context.Context, stream string, events ...string) (Cursor, error)
	// AppendAfter is Append on the condition that the last entry of the stream is
	// still the one at the cursor, and fails with ErrConflict otherwise.
	AppendAfter(ctx context.Context, after Cursor, events ...string) (Cursor, error)
	// Read returns up to limit entries that follow the cursor, oldest first. Fewer
	// than limit means that there are no more at the moment. In a cluster it may
	// be what one node has: a prefix of the stream, which catches up.
	Read(ctx context.Context, after Cursor, limit int) ([]Entry, error)
	// Last tells the last entry of a stream as those who accept appends know it;
	// Start(stream) when there is none.
	Last(ctx context.Context, stream string) (Cursor, error)
	// Wait returns when there may be entries after the cursor: at once when they
	// are known, as they come where the log tells its followers, and after the
	// implementation's poll interval in any case. It fails when ctx ends or the
	// log is closed.
	Wait(ctx context.Context, after Cursor) error
	// Close frees the log; what waits in it ends with ErrClosed.
	Close() error
}

// Cursor is a position in a stream: that of the last entry that was seen.
type Cursor struct {
	Stream string `json:"stream"`
	// Version counts the entries of the stream from 0; -1 is before the first.
	Version int64 `json:"version"`
}

// Start is the cursor before the first entry of a stream.
func Start(stream string) Cursor { return Cursor{Stream: stream, Version: -1} }

// Entry is what one append added.
type Entry struct {
	Cursor
	// Meta is the bookkeeping line of an entry that has one; empty otherwise.
	Meta string `json:"meta,omitempty"`
	// Events are the event lines.
	Events []string `json:"events,omitempty"`
}

// Lines are all lines of the entry.
func (e Entry) Lines() []string {
	if e.Meta == "" {
		return e.Events
	}
	return append([]string{e.Meta}, e.Events...)
}

// Equal says whether two entries have the same position and lines.
func (e Entry) Equal(other Entry) bool {
	return e.Cursor == other.Cursor && e.Meta == other.Meta && slices.Equal(e.Events, other.Events)
}

// StreamPath is the path of a tenant's stream: StreamPath("1", "loadbalancer")
// is /t-1/loadbalancer.
func StreamPath(tenant, name string) string { return "/t-" + tenant + "/" + name }

// Parent is the stream above a stream, and empty for the root stream "/".
func Parent(stream string) string {
	if stream == "/" {
		return ""
	}
	return "/" + strings.TrimPrefix(stream[:strings.LastIndexByte(stream, '/')], "/")
}

// CheckStream says what is wrong with the path of a stream. A path is made of
// one to four segments of letters, digits and "-".
func CheckStream(stream string) error {
	segments := strings.Split(strings.TrimPrefix(stream, "/"), "/")
	if !strings.HasPrefix(stream, "/") || len(segments) > 4 || len(stream) > 128 {
		return badStream(stream)
	}
	for _, s := range segments {
		if s == "" {
			return badStream(stream)
		}
		for i := 0; i < len(s); i++ {
			if c := s[i]; c|0x20-'a' >= 26 && c-'0' > 9 && c != '-' {
				return badStream(stream)
			}
		}
	}
	return nil
}

// CheckAppend says what is wrong with what is to be appended; every Log asks it
// first.
func CheckAppend(stream string, events []string) error {
	if err := CheckStream(stream); err != nil {
		return err
	}
	if len(events) == 0 {
		return badEvents(stream, "there is no event in it")
	}
	size := 0
	for _, line := range events {
		if _, err := ParseEvent(line); err != nil {
			return badEvents(stream, err.Error())
		}
		size += len(line)
	}
	if size > MaxEntry {
		return tooLarge(stream, size)
	}
	return nil
}
