package remote

import (
	"errors"

	"edgerouter/bus"
)

// What /api/v1/log takes and answers, as JSON.
type (
	// Append is the body of POST: events to append, on a condition if After is set.
	Append struct {
		Stream string   `json:"stream"`
		After  *int64   `json:"after,omitempty"`
		Events []string `json:"events"`
	}
	// Position is the answer to POST and to last.
	Position struct {
		Version int64 `json:"version"`
	}
	// Entries is the answer to GET. More says that there may be further ones.
	Entries struct {
		Entries []bus.Entry `json:"entries"`
		More    bool        `json:"more"`
	}
	// Failure is the answer when something went wrong.
	Failure struct {
		Text string `json:"error"`
		Kind Kind   `json:"kind,omitempty"`
		Last *int64 `json:"last,omitempty"` // of a conflict
	}
)

// Kind names an error of bus on the wire.
type Kind string

// The kinds of errors.
const (
	KindConflict       Kind = "conflict"
	KindInvalid        Kind = "invalid"
	KindTooLarge       Kind = "too_large"
	KindUnavailable    Kind = "unavailable"
	KindUnacknowledged Kind = "unacknowledged"
	KindDamaged        Kind = "damaged"
)

// errors are those of bus that the kind stands for.
func (k Kind) errors() []error {
	switch k {
	case KindConflict:
		return []error{bus.ErrConflict}
	case KindInvalid:
		return []error{bus.ErrInvalid}
	case KindTooLarge:
		return []error{bus.ErrTooLarge}
	case KindUnavailable:
		return []error{bus.ErrUnavailable}
	case KindUnacknowledged:
		return []error{bus.ErrUnacknowledged, bus.ErrUnavailable}
	case KindDamaged:
		return []error{bus.ErrDamaged}
	}
	return nil
}

// Tell makes the answer to an error of a bus.Log, and its HTTP status.
func Tell(err error) (code int, f Failure) {
	f.Text = err.Error()
	var c *bus.ConflictError
	if errors.As(err, &c) && c.Last >= 0 {
		f.Last = &c.Last
	}
	for _, k := range []struct {
		err  error
		kind Kind
		code int
	}{
		{bus.ErrUnacknowledged, KindUnacknowledged, 504},
		{bus.ErrConflict, KindConflict, 409},
		{bus.ErrInvalid, KindInvalid, 400},
		{bus.ErrTooLarge, KindTooLarge, 413},
		{bus.ErrDamaged, KindDamaged, 500},
		{bus.ErrUnavailable, KindUnavailable, 503},
		{bus.ErrClosed, KindUnavailable, 503},
	} {
		if errors.Is(err, k.err) {
			f.Kind = k.kind
			return k.code, f
		}
	}
	return 503, f
}
