package upstream

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestGateWithoutLimit(t *testing.T) {
	g := newGate(0, 5, time.Second)
	if g != nil {
		t.Fatal("a gate without a limit")
	}
	for range 100 {
		if err := g.enter(nil); err != nil {
			t.Fatal(err)
		}
	}
	g.leave()
}

func TestGateFull(t *testing.T) {
	g := newGate(2, 0, time.Second)
	for range 2 {
		if err := g.enter(nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.enter(nil); err != errQueueFull {
		t.Errorf("%v", err)
	}
	g.leave()
	if err := g.enter(nil); err != nil {
		t.Errorf("after one left: %v", err)
	}
	if g.inside() != 2 || g.waiting() != 0 {
		t.Errorf("%d inside, %d waiting", g.inside(), g.waiting())
	}
}

func TestGateQueueIsFIFO(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 3, time.Minute)
		if err := g.enter(nil); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var order []int
		for i := range 3 {
			go func() {
				if err := g.enter(nil); err != nil {
					t.Error(err)
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
			}()
			synctest.Wait()
		}
		if g.waiting() != 3 {
			t.Fatalf("%d waiting", g.waiting())
		}
		if err := g.enter(nil); err != errQueueFull {
			t.Errorf("the fourth: %v", err)
		}
		for i := range 3 {
			g.leave()
			synctest.Wait()
			if fmt.Sprint(order) != fmt.Sprint([]int{0, 1, 2}[:i+1]) {
				t.Fatalf("%v", order)
			}
			if g.inside() != 1 {
				t.Errorf("%d inside", g.inside())
			}
		}
		g.leave()
		if g.state.Load() != 0 {
			t.Errorf("state %x", g.state.Load())
		}
	})
}

func TestGateTimeout(t *testing.T) {
	for timeout, want := range map[time.Duration]time.Duration{0: defaultPendingTimeout, 3 * time.Second: 3 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			g := newGate(1, 2, timeout)
			_ = g.enter(nil)
			begin := time.Now()
			err := g.enter(nil)
			if err != errQueueTimeout || time.Since(begin) != want {
				t.Errorf("%v after %s", err, time.Since(begin))
			}
			if g.waiting() != 0 || g.inside() != 1 {
				t.Errorf("%d waiting, %d inside", g.waiting(), g.inside())
			}
			g.leave()
			if err := g.enter(nil); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

func TestGateGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 2, time.Minute)
		_ = g.enter(nil)
		done := make(chan struct{})
		results := make(chan error, 2)
		go func() { results <- g.enter(done) }()
		synctest.Wait()
		go func() { results <- g.enter(nil) }()
		synctest.Wait()
		close(done)
		if err := <-results; err != errGone {
			t.Errorf("%v", err)
		}
		g.leave() // the one behind takes the place
		if err := <-results; err != nil {
			t.Errorf("the one behind: %v", err)
		}
		if g.inside() != 1 || g.waiting() != 0 {
			t.Errorf("%d inside, %d waiting", g.inside(), g.waiting())
		}
	})
}

// TestGateStress: never more inside than allowed, and all places free in the
// end, with time-outs and clients that go away mixed in.
func TestGateStress(t *testing.T) {
	const limit = 3
	g := newGate(limit, 4, 50*time.Microsecond)
	var inside, entered, refused atomic.Int64
	var wg sync.WaitGroup
	for w := range 12 {
		wg.Go(func() {
			for i := range 400 {
				var done chan struct{}
				if (i+w)%3 == 0 {
					done = make(chan struct{})
					go close(done)
				}
				err := g.enter(done)
				switch {
				case err == nil:
					if n := inside.Add(1); n > limit {
						t.Errorf("%d inside", n)
					}
					entered.Add(1)
					inside.Add(-1)
					g.leave()
				case errors.Is(err, errQueueFull), errors.Is(err, errQueueTimeout), errors.Is(err, errGone):
					refused.Add(1)
				default:
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if s := g.state.Load(); s != 0 || g.queue.Len() != 0 {
		t.Errorf("state %x, %d in the queue", s, g.queue.Len())
	}
	if entered.Load()+refused.Load() != 12*400 {
		t.Errorf("%d entered, %d refused", entered.Load(), refused.Load())
	}
}

func TestGateDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	g := newGate(2, 2, time.Second)
	if n := testing.AllocsPerRun(1000, func() {
		if g.enter(nil) == nil {
			g.leave()
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
