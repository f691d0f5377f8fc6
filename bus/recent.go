package bus

import (
	"crypto/sha256"
	"encoding/hex"
)

// What a node remembers of the last entries that it applied: enough to put them
// back into a log that lost its end.
const (
	maxRecent      = 128
	maxRecentBytes = 1 << 20
)

// recent are the last entries that were applied, oldest first, without gaps.
type recent struct {
	entries []Entry
	bytes   int
}

func (r *recent) add(e Entry) {
	r.entries = append(r.entries, e)
	r.bytes += entryBytes(e)
	for len(r.entries) > 1 && (len(r.entries) > maxRecent || r.bytes > maxRecentBytes) {
		r.bytes -= entryBytes(r.entries[0])
		r.entries = r.entries[1:]
	}
}

func (r *recent) set(entries []Entry) {
	*r = recent{}
	for _, e := range entries {
		r.add(e)
	}
}

// at is the entry with a version, if it is remembered.
func (r *recent) at(version int64) (Entry, bool) {
	if len(r.entries) == 0 {
		return Entry{}, false
	}
	i := version - r.entries[0].Version
	if i < 0 || i >= int64(len(r.entries)) {
		return Entry{}, false
	}
	return r.entries[i], true
}

// after are the entries that follow a version.
func (r *recent) after(version int64) []Entry {
	if len(r.entries) == 0 {
		return nil
	}
	i := min(max(version+1-r.entries[0].Version, 0), int64(len(r.entries)))
	return r.entries[i:]
}

func entryBytes(e Entry) int {
	n := len(e.Meta)
	for _, line := range e.Events {
		n += len(line)
	}
	return n
}

// digest is the digest of a log after one more entry: that of two nodes is the
// same when they applied the same events in the same order, and only then. A log
// that was copied has the same; bookkeeping does not count.
func digest(before string, e Entry) string {
	if len(e.Events) == 0 {
		return before
	}
	h := sha256.New()
	h.Write([]byte(before))
	for _, line := range e.Events {
		h.Write([]byte{'\n'})
		h.Write([]byte(line))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
