package bus

import (
	"errors"
	"fmt"
)

// What a Log's errors can be; told by errors.Is.
var (
	// ErrConflict: AppendAfter found that the stream has moved. The error is a
	// *ConflictError.
	ErrConflict = errors.New("the stream has moved")
	// ErrUnavailable: the log cannot be reached, or has no quorum.
	ErrUnavailable = errors.New("the event bus cannot be reached")
	// ErrUnacknowledged: an append was sent and no answer came: the entry may be
	// in the stream or may yet get there. It comes together with ErrUnavailable.
	ErrUnacknowledged = errors.New("the append was not acknowledged and may be in the log nevertheless")
	// ErrInvalid: the stream's path or an event line is malformed, or there is none.
	ErrInvalid = errors.New("cannot be appended")
	// ErrTooLarge: the lines of one entry are more than MaxEntry.
	ErrTooLarge = errors.New("too large for one entry")
	// ErrDamaged: what the log holds cannot be read as entries, or some are missing.
	ErrDamaged = errors.New("the event log is damaged")
	// ErrClosed: the Log was closed.
	ErrClosed = errors.New("the event log is closed")
)

// ConflictError tells a conflict.
type ConflictError struct {
	After Cursor // what the writer had seen
	Last  int64  // what the stream's last version is now; -1 when that is not known
}

// Error tells both positions.
func (e *ConflictError) Error() string {
	if e.Last < 0 {
		return fmt.Sprintf("%s: %s after version %d", e.After.Stream, ErrConflict, e.After.Version)
	}
	return fmt.Sprintf("%s: %s: it ends with version %d, not %d", e.After.Stream, ErrConflict, e.Last, e.After.Version)
}

// Is makes a ConflictError an ErrConflict.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

func badStream(stream string) error {
	return fmt.Errorf("stream %q %w: a path is one to four segments of letters, digits and \"-\", such as /t-1/loadbalancer", stream, ErrInvalid)
}

func badEvents(stream, why string) error {
	return fmt.Errorf("an entry of %s %w: %s", stream, ErrInvalid, why)
}

func tooLarge(stream string, size int) error {
	return fmt.Errorf("an entry of %s has %d bytes, %w: %d is the limit; append it in parts", stream, size, ErrTooLarge, MaxEntry)
}
