package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// ErrDiverged says that two logs of one stream have different events at the same
// version.
var ErrDiverged = errors.New("the two logs have different events")

// Copied tells what Copy did.
type Copied struct {
	Stream string `json:"stream"`
	// There is how many entries the destination had already, and Appended how many
	// were added, entry 0 aside.
	There    int64 `json:"there"`
	Appended int64 `json:"appended"`
}

// Copy appends to a stream of one log what another has beyond it, entry by entry,
// so that every event has the same version in both. What is there already is
// compared, and a copy that was broken off goes on where it was. Bookkeeping
// entries but the first are copied as events. ErrDiverged when the destination is
// not a beginning of the source. told, if not nil, is called after each entry.
func Copy(ctx context.Context, from, to Log, stream string, told func(Copied)) (Copied, error) {
	c := Copied{Stream: stream}
	at, there := Start(stream), Start(stream)
	for {
		entries, err := from.Read(ctx, at, page)
		if err != nil {
			return c, fmt.Errorf("reading %s: %w", stream, err)
		}
		if len(entries) == 0 {
			return c, destinationEnds(ctx, to, at)
		}
		known, err := to.Read(ctx, at, len(entries))
		if err != nil {
			return c, fmt.Errorf("reading %s of the destination: %w", stream, err)
		}
		for i, e := range entries {
			if e.Version != at.Version+1 {
				return c, fmt.Errorf("%w: %s has version %d after %d", ErrDamaged, stream, e.Version, at.Version)
			}
			at = e.Cursor
			switch {
			case i < len(known) && !sameEvents(e, known[i]):
				return c, fmt.Errorf("%s: %w at version %d; nothing of it was copied beyond that", stream, ErrDiverged, e.Version)
			case i < len(known):
				there = at
				c.There += min(e.Version, 1)
				continue
			case e.Version == 0: // the destination makes its own
				continue
			}
			if there, err = to.AppendAfter(ctx, there, e.Lines()...); err != nil {
				return c, fmt.Errorf("copying version %d of %s: %w", e.Version, stream, err)
			}
			if there != at {
				return c, fmt.Errorf("%s: %w: version %d became %d", stream, ErrDiverged, at.Version, there.Version)
			}
			c.Appended++
			if told != nil {
				told(c)
			}
		}
	}
}

// destinationEnds makes sure that the destination has nothing beyond.
func destinationEnds(ctx context.Context, to Log, at Cursor) error {
	beyond, err := to.Read(ctx, at, 1)
	if err == nil && len(beyond) > 0 {
		err = fmt.Errorf("%s: %w: the destination goes on after version %d, with which the source ends", at.Stream, ErrDiverged, at.Version)
	}
	return err
}

// sameEvents says whether two entries tell the same, whatever each log's own
// bookkeeping says about when its stream was started.
func sameEvents(a, b Entry) bool {
	if a.Version == 0 && b.Version == 0 && a.Meta != "" && b.Meta != "" {
		return true
	}
	return a.Version == b.Version && slices.Equal(a.Lines(), b.Lines())
}
