package upstream

import (
	"fmt"
	"sync"
	"time"

	"edgerouter/app"
)

// ejector is passive health: it watches how real requests end. So many failures
// in a row within a window, or so many that are a share of the requests in the
// window, eject the peer for a while, twice as long each time it happens again, up
// to a bound. The number by itself says nothing: 5 failures in 10 s are 0.01 % of
// what a busy peer serves. A peer comes back by itself when its time
// is over; each window in which it then serves well halves what the next
// ejection would last. Never more than half of the peers that could serve are
// out at once, rounded down, so a single peer never is, and of two one may be.
//
// Successful requests of a peer without a past only look whether the window is
// over; failures take a lock, the peer's own.
type ejector struct {
	failures int
	window   time.Duration
	share    int64 // percent
	least    int64 // requests before share counts
	eject    time.Duration
	maxEject time.Duration
	peers    func() []*peer
	// onEject, when set before the first request, is told of each ejection.
	// It is called with a lock held: it must be quick and must not call back.
	onEject func(p *peer, d time.Duration, reason string)
	// onReturn is the same for the end of an ejection.
	onReturn func(p *peer)

	mu sync.Mutex // one ejection at a time, so that the half is counted right
}

// failureRecord is what the ejector remembers of a peer.
type failureRecord struct {
	mu    sync.Mutex
	times []int64 // a ring of the latest failures, unix nanoseconds
	next  int
	n     int
	level int // past ejections that are not forgiven
	// What had ended when the window began, and in its middle. Its end moves by half
	// of its length at a time (peer.windowEnd), so that it covers half of window at
	// least, and all of it at most.
	begin, middle endings
}

// endings are how many requests have ended, and failed.
type endings struct{ ended, failed int64 }

// endings counts requests that ended without the client's doing.
func (p *peer) endings() endings {
	return endings{int64(p.requests.Load()-p.canceled.Load()) - p.inFlight.Load(), int64(p.failures.Load())}
}

// roll moves the window of p on, before a request that ends at now is counted.
func (e *ejector) roll(p *peer, now int64) {
	r := &p.record
	r.mu.Lock()
	defer r.mu.Unlock()
	end, half := p.windowEnd.Load(), int64(e.window/2)
	if now < end {
		return // another request was first
	}
	t := p.endings()
	if r.begin = r.middle; now-end >= half {
		r.begin = t // nothing for a long time, or the first
	}
	r.middle = t
	p.windowEnd.Store(now + half)
}

// The defaults of passive_health, and the most failures that are remembered.
const (
	defaultFailures = 5
	defaultShare    = 20
	defaultLeast    = 20
	defaultWindow   = 10 * time.Second
	defaultEject    = 5 * time.Second
	defaultMaxEject = 5 * time.Minute
	maxFailures     = 10000
)

// newEjector takes nil for the defaults; peers are all of the set.
func newEjector(opts *app.PassiveHealth, peers func() []*peer) *ejector {
	if opts == nil {
		opts = &app.PassiveHealth{}
	}
	e := &ejector{
		failures: min(positive(opts.Failures, defaultFailures), maxFailures),
		window:   positive(time.Duration(opts.Window), defaultWindow),
		share:    int64(min(positive(opts.Share, defaultShare), 100)),
		least:    int64(positive(opts.MinRequests, defaultLeast)),
		eject:    positive(time.Duration(opts.Eject), defaultEject),
		maxEject: positive(time.Duration(opts.MaxEject), defaultMaxEject),
		peers:    peers,
	}
	e.maxEject = max(e.maxEject, e.eject)
	return e
}

// positive is v, or the default where v is not above zero.
func positive[T int | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

// failed notes a failure of p at now and ejects it when it is one too many.
func (e *ejector) failed(p *peer, now int64) {
	r := &p.record
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.ejected(now) {
		r.begin, r.middle = p.endings(), p.endings()
		return // sent before it was ejected, or let in because all were out
	}
	if p.failing.Swap(1) == 0 {
		r.n = 0 // it served well since the last failure
	}
	if r.times == nil {
		r.times = make([]int64, e.failures)
	}
	r.times[r.next] = now
	r.next = (r.next + 1) % len(r.times)
	r.n = min(r.n+1, len(r.times))
	reason := ""
	t := p.endings()
	ended, failed := t.ended-r.begin.ended, t.failed-r.begin.failed
	switch {
	case r.n == len(r.times) && now-r.times[r.next] <= int64(e.window): // the ring is full: next is the oldest
		reason = fmt.Sprintf("%d failed requests in a row within %s", e.failures, e.window)
	case ended >= e.least && failed >= int64(e.failures) && failed*100 >= e.share*ended:
		reason = fmt.Sprintf("%d of %d requests failed within %s", failed, ended, e.window)
	default:
		return
	}
	// Whether it is ejected or the half forbids it, counting starts afresh.
	r.n, r.begin, r.middle = 0, t, t
	d := e.duration(r.level)
	if !e.admit(p, now, d, reason) {
		return
	}
	if e.duration(r.level) < e.maxEject {
		r.level++
	}
	p.probation.Store(now + int64(d) + int64(e.window))
}

// duration of an ejection after level others.
func (e *ejector) duration(level int) time.Duration {
	d := e.eject
	for range level {
		if d *= 2; d >= e.maxEject || d <= 0 {
			return e.maxEject
		}
	}
	return min(d, e.maxEject)
}

// admit ejects p unless half of the peers that could serve are out already.
func (e *ejector) admit(p *peer, now int64, d time.Duration, reason string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	able, out := 0, 0
	for _, q := range e.peers() {
		if q.flags.Load() != 0 || q.weight.Load() <= 0 {
			continue
		}
		able++
		if q != p && q.ejected(now) {
			out++
		}
	}
	if (out+1)*2 > able {
		return false
	}
	p.reason.Store(&reason)
	until := now + int64(d)
	p.ejectedUntil.Store(until)
	p.ejections.Add(1)
	// A peer comes back also when nobody asks for it.
	time.AfterFunc(d, func() { p.comeBack(until) })
	if e.onEject != nil {
		e.onEject(p, d, reason)
	}
	return true
}

// succeeded forgives one past ejection of p. It is called for the first
// success of each window while there is something to forgive.
func (e *ejector) succeeded(p *peer, now int64) {
	p.record.mu.Lock()
	defer p.record.mu.Unlock()
	if t := p.probation.Load(); t == 0 || now < t {
		return // another request was first
	}
	if p.record.level--; p.record.level <= 0 {
		p.record.level = 0
		p.probation.Store(0)
		return
	}
	p.probation.Store(now + int64(e.window))
}

// pardon forgives everything at once.
func (e *ejector) pardon(p *peer) {
	p.record.mu.Lock()
	defer p.record.mu.Unlock()
	p.record.n, p.record.level = 0, 0
	p.probation.Store(0)
	p.comeBack(p.ejectedUntil.Load())
}

// comeBack ends the ejection that lasts until then, if it is not over already.
func (p *peer) comeBack(until int64) {
	if until == 0 || !p.ejectedUntil.CompareAndSwap(until, 0) {
		return
	}
	p.returns.Add(1)
	if e := p.ejector; e != nil && e.onReturn != nil && p.flags.Load()&flagDraining == 0 {
		e.onReturn(p)
	}
}
