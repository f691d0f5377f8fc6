package middleware

import (
	"sync"
	"time"
)

// rate is a token bucket, told by one point in time: when the bucket will be full
// again (the generic cell rate algorithm). Times are in nanoseconds.
type rate struct {
	interval int64 // of one token
	burst    int64 // of all tokens that the bucket holds
}

// longest bounds intervals and bursts so that sums with the time of day do not
// overflow: 36 years.
const longest = int64(1) << 60

// newRate makes the bucket of average tokens in each period.
func newRate(average float64, period, burst int64) rate {
	interval := min(float64(period)/average, float64(longest))
	r := rate{interval: max(1, int64(interval))}
	r.burst = r.interval
	if burst > 1 {
		r.burst = int64(min(float64(r.interval)*float64(burst), float64(longest)))
	}
	return r
}

// take takes a token out of the bucket that is full at that time. When there is
// none, wait tells when there will be, and the time stays.
func (r rate) take(full, now int64) (next, wait int64) {
	next = max(full, now) + r.interval
	if wait = next - now - r.burst; wait > 0 {
		return full, wait
	}
	return next, 0
}

// Nodes that each let in a burst before they hear of one another make up for it
// afterwards: so many buckets may be taken out of one ahead of time, and so much
// time's worth at least. More would be a fault of theirs.
const (
	aheadBursts = 8
	aheadTime   = int64(2 * time.Second)
)

// charge takes n tokens that others were given already out of the bucket that is
// full at that time, whether it has them or not.
func (r rate) charge(full, now, n int64) int64 {
	ahead := min(r.burst, longest/aheadBursts)*aheadBursts + aheadTime
	if n < ahead/r.interval {
		ahead = min(ahead, max(full-now, 0)+n*r.interval)
	}
	return max(full, now+ahead)
}

// times holds a point in time for each of many keys. It is bounded: in each of
// 16 parts there are two generations of at most generation keys; a key that is
// used moves to the young one, and when that is full the old one is forgotten. So
// what is forgotten first has not been used for longest, and only once there were
// more than 16*generation others since.
//
// When told is set, the tokens that are taken are counted until tell is called.
type times struct {
	told  bool
	parts [16]timesPart
}

// slot is what is known of a key.
type slot struct {
	at    int64
	taken int64 // tokens that were not told yet
}

const generation = 4096

type timesPart struct {
	mu         sync.Mutex
	young, old map[uint64]slot
	untold     []uint64 // keys whose taken is above 0
	_          [16]byte // the next part is on another cache line
}

func (t *times) part(key uint64) *timesPart { return &t.parts[key&15] }

// take takes a token of the key's bucket.
func (t *times) take(key uint64, r rate, now int64) (wait int64) {
	p := t.part(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.get(key)
	if s.at, wait = r.take(s.at, now); wait == 0 && t.told {
		p.count(key, &s)
	}
	p.put(key, s)
	return wait
}

// charge takes tokens of the key's bucket that others were given.
func (t *times) charge(key uint64, r rate, now, n int64) {
	p := t.part(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.get(key)
	s.at = r.charge(s.at, now, n)
	p.put(key, s)
}

// wait tells how long it is until the key's bucket has a token.
func (t *times) wait(key uint64, r rate, now int64) int64 {
	_, wait := r.take(t.get(key), now)
	return wait
}

// get returns the time of a key, 0 when it is not known.
func (t *times) get(key uint64) int64 {
	p := t.part(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.get(key).at
}

// put sets the time of a key.
func (t *times) put(key uint64, at int64) {
	p := t.part(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.put(key, slot{at: at})
}

// tell calls add with the tokens of each key that were taken since the last time.
func (t *times) tell(add func(key uint64, n int64)) {
	for i := range t.parts {
		t.parts[i].tell(add)
	}
}

// maxUntold bounds the list of what is to be told; maxKept what of it is kept for
// the next time.
const (
	maxUntold = 2 * generation
	maxKept   = 256
)

func (p *timesPart) count(key uint64, s *slot) {
	if s.taken == 0 {
		if len(p.untold) >= maxUntold {
			return
		}
		p.untold = append(p.untold, key)
	}
	s.taken++
}

func (p *timesPart) tell(add func(key uint64, n int64)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, key := range p.untold {
		in := p.young
		s, ok := in[key]
		if !ok {
			in = p.old
			s = in[key]
		}
		if s.taken > 0 {
			add(key, s.taken)
			s.taken = 0
			in[key] = s
		}
	}
	if p.untold = p.untold[:0]; cap(p.untold) > maxKept {
		p.untold = nil
	}
}

func (p *timesPart) get(key uint64) slot {
	s, ok := p.young[key]
	if !ok {
		s = p.old[key]
	}
	return s
}

func (p *timesPart) put(key uint64, s slot) {
	if p.young == nil {
		p.young = map[uint64]slot{}
	}
	if len(p.young) >= generation {
		if _, known := p.young[key]; !known {
			if p.old == nil {
				p.old = map[uint64]slot{}
			}
			p.young, p.old = p.old, p.young
			clear(p.young)
		}
	}
	p.young[key] = s
}
