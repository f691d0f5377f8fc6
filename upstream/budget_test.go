package upstream

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const second = int64(time.Second)

// spend takes retries until one is refused, at most 1000.
func spend(b *budget, now int64) int {
	for n := range 1000 {
		if !b.tryRetry(now) {
			return n
		}
	}
	return 1000
}

func ask(b *budget, now int64, n int) {
	for range n {
		b.request(now)
	}
}

func TestBudgetShare(t *testing.T) {
	const now = 1e18
	for _, tt := range []struct {
		percent, minimum, requests, want int
	}{
		{20, 3, 0, 30},
		{20, 3, 100, 30},
		{20, 3, 150, 30},
		{20, 3, 151, 30},
		{20, 3, 155, 31},
		{20, 3, 1000, 200},
		{20, 0, 4, 0},
		{20, 0, 5, 1},
		{100, 0, 7, 7},
		{0, 3, 1000, 0},
		{-5, 3, 1000, 0},
		{50, -1, 10, 5},
	} {
		b := newBudget(tt.percent, tt.minimum)
		ask(b, now, tt.requests)
		if got := spend(b, now); got != tt.want {
			t.Errorf("%+v: %d", tt, got)
		}
		if b.tryRetry(now) {
			t.Errorf("%+v: one more after a refusal", tt)
		}
	}
}

// TestBudgetWindow: requests and retries count for ten seconds and not longer.
func TestBudgetWindow(t *testing.T) {
	const now = 1_700_000_000 * second
	b := newBudget(10, 0)
	ask(b, now, 100)
	if got := spend(b, now+9*second); got != 10 {
		t.Errorf("after 9 s: %d", got)
	}
	if got := spend(b, now+10*second); got != 0 {
		t.Errorf("the requests are gone and the retries still count: %d", got)
	}
	ask(b, now+10*second, 200)
	if got := spend(b, now+18*second); got != 10 {
		t.Errorf("20 less the 10 from before: %d", got)
	}
	if got := spend(b, now+19*second); got != 10 {
		t.Errorf("those 10 are past: %d", got)
	}
	if got := spend(b, now+1000*second); got != 0 {
		t.Errorf("long after: %d", got)
	}
}

// TestBudgetSteady: over a long run retries are the share, not more.
func TestBudgetSteady(t *testing.T) {
	b := newBudget(20, 3)
	now := 1_700_000_000 * second
	retries := 0
	for range 100_000 {
		now += second / 500
		b.request(now)
		if b.tryRetry(now) {
			retries++
		}
	}
	if retries < 19000 || retries > 20200 {
		t.Errorf("%d retries for 100000 requests", retries)
	}
}

// TestBudgetIsStrict: racing callers never get more than there is.
func TestBudgetIsStrict(t *testing.T) {
	const now = 1e18
	b := newBudget(20, 0)
	ask(b, now, 1000)
	var got atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if b.tryRetry(now) {
					got.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := got.Load(); n > 200 || n < 100 {
		t.Errorf("%d retries, want at most 200", n)
	}
}

// TestBudgetCountsAll: no request is lost while seconds change under many.
func TestBudgetCountsAll(t *testing.T) {
	b := newBudget(100, 0)
	const start, workers, each = 1_700_000_000 * second, 4, 5000
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range int64(each) {
				b.request(start + i*second*9/each)
			}
		})
	}
	wg.Wait()
	var n int64
	for s := range uint64(9) {
		n += b.seconds[(1_700_000_000+s)%budgetSlots].requests.in(1_700_000_000 + s)
	}
	if n != workers*each {
		t.Errorf("%d of %d", n, workers*each)
	}
}

func TestBudgetDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	b := newBudget(20, 3)
	now := int64(1e18)
	if n := testing.AllocsPerRun(1000, func() {
		now += second / 10
		b.request(now)
		b.tryRetry(now)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
