package httpcache

import (
	"hash/maphash"
	"time"
)

// mostLately bounds one generation of lately.
const mostLately = 8192

// lately remembers when something happened to a key, for two generations of keys:
// in bounded memory, what happened last is known the longest. Two keys may share a
// hash, so it is only for what does no harm if it is said of another key. The zero
// value is ready; it is not safe for concurrent use.
type lately struct {
	seed       maphash.Seed
	young, old map[uint64]time.Time
}

func (l *lately) put(key string, at time.Time) {
	if l.young == nil {
		l.seed, l.young = maphash.MakeSeed(), map[uint64]time.Time{}
	}
	if len(l.young) >= mostLately {
		l.old, l.young = l.young, make(map[uint64]time.Time, mostLately/8)
	}
	l.young[maphash.String(l.seed, key)] = at
}

func (l *lately) get(key string) (time.Time, bool) {
	if len(l.young)+len(l.old) == 0 {
		return time.Time{}, false
	}
	h := maphash.String(l.seed, key)
	at, ok := l.young[h]
	if !ok {
		at, ok = l.old[h]
	}
	return at, ok
}

// forget drops what is known of a key.
func (l *lately) forget(key string) {
	if len(l.young)+len(l.old) > 0 {
		h := maphash.String(l.seed, key)
		delete(l.young, h)
		delete(l.old, h)
	}
}
