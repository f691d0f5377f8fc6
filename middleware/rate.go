package middleware

import "sync"

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

// times holds a point in time for each of many keys. It is bounded: in each of
// 16 parts there are two generations of at most generation keys; a key that is
// used moves to the young one, and when that is full the old one is forgotten. So
// what is forgotten first has not been used for longest, and only once there were
// more than 16*generation others since.
type times struct {
	parts [16]timesPart
}

const generation = 4096

type timesPart struct {
	mu         sync.Mutex
	young, old map[uint64]int64
	_          [40]byte // the next part is on another cache line
}

func (t *times) part(key uint64) *timesPart { return &t.parts[key&15] }

// take takes a token of the key's bucket.
func (t *times) take(key uint64, r rate, now int64) (wait int64) {
	p := t.part(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	next, wait := r.take(p.get(key), now)
	p.put(key, next)
	return wait
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
	return p.get(key)
}

// put sets the time of a key.
func (t *times) put(key uint64, at int64) {
	p := t.part(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.put(key, at)
}

func (p *timesPart) get(key uint64) int64 {
	at, ok := p.young[key]
	if !ok {
		at = p.old[key]
	}
	return at
}

func (p *timesPart) put(key uint64, at int64) {
	if p.young == nil {
		p.young = map[uint64]int64{}
	}
	if len(p.young) >= generation {
		if _, known := p.young[key]; !known {
			if p.old == nil {
				p.old = map[uint64]int64{}
			}
			p.young, p.old = p.old, p.young
			clear(p.young)
		}
	}
	p.young[key] = at
}
