package upstream

import (
	"sync/atomic"
	"time"
)

// budget bounds retries to a share of the recent requests, so that a set in
// trouble is not given a multiple of its load. With little traffic a minimum
// applies instead of the share: what share of two requests is a retry?
//
// Time is cut into seconds. A second's counters are one word each, the second
// and the count, so that a count never lands in the wrong second: no lock, no
// allocation, one atomic addition for a request.
type budget struct {
	percent int64
	minimum int64 // retries per window that are always allowed
	seconds [budgetSlots]budgetSecond
}

type budgetSecond struct{ requests, retries tally }

const (
	budgetWindow    = 10 // seconds, the running one included
	budgetSlots     = 16 // a power of two above budgetWindow
	budgetMinimum   = 3  // retries per second, averaged over the window
	defaultPercent  = 20
	tallyBits       = 40
	tallyCount      = 1<<tallyBits - 1
	tallySecondMask = 1<<(64-tallyBits) - 1
)

// newBudget allows percent of the requests of the last ten seconds, or
// minPerSecond*10 if that is more. Zero percent or less allows no retry at all.
func newBudget(percent int, minPerSecond int) *budget {
	b := &budget{percent: int64(max(percent, 0))}
	if percent > 0 {
		b.minimum = int64(max(minPerSecond, 0)) * budgetWindow
	}
	return b
}

// request counts one request of a client; its retries are not counted again.
// now is unix nanoseconds.
func (b *budget) request(now int64) {
	s := uint64(now) / uint64(time.Second)
	b.seconds[s%budgetSlots].requests.add(s)
}

// tryRetry takes one retry from the budget; false when it is used up. Racing
// callers may be refused one that would just have fitted, and are never
// allowed more.
func (b *budget) tryRetry(now int64) bool {
	s := uint64(now) / uint64(time.Second)
	slot := &b.seconds[s%budgetSlots]
	slot.retries.add(s)
	var requests, retries int64
	for i := range uint64(budgetWindow) {
		t := s - i
		requests += b.seconds[t%budgetSlots].requests.in(t)
		retries += b.seconds[t%budgetSlots].retries.in(t)
	}
	if retries <= max(b.minimum, requests*b.percent/100) {
		return true
	}
	slot.retries.takeBack(s)
	return false
}

// tally counts within one second: the low 24 bits of the second's number above
// the count. Numbers repeat after 194 days; a slot left alone for exactly that
// long shows old counts for a second.
type tally struct{ v atomic.Uint64 }

func (t *tally) add(second uint64) {
	second &= tallySecondMask
	for {
		old := t.v.Load()
		if old>>tallyBits == second {
			// If the slot moves on in between, this counts there: a request
			// more in a later second, not a lost one.
			t.v.Add(1)
			return
		}
		if t.v.CompareAndSwap(old, second<<tallyBits|1) {
			return
		}
	}
}

func (t *tally) takeBack(second uint64) {
	second &= tallySecondMask
	for {
		old := t.v.Load()
		if old>>tallyBits != second || old&tallyCount == 0 || t.v.CompareAndSwap(old, old-1) {
			return
		}
	}
}

func (t *tally) in(second uint64) int64 {
	v := t.v.Load()
	if v>>tallyBits != second&tallySecondMask {
		return 0
	}
	return int64(v & tallyCount)
}
