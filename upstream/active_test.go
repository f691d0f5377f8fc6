package upstream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"edgerouter/app"
)

// checked runs health checks in a bubble of fake time, with answers that the
// test sets.
type checked struct {
	mu      sync.Mutex
	peers   []*peer
	changed chan struct{}
	failing map[*peer]error
	counts  map[*peer]int
	events  []string
	stop    func()
}

func runChecked(t *testing.T, n int, opts app.HealthCheck, failing ...int) *checked {
	t.Helper()
	k := &checked{peers: testPeers(t, n), changed: make(chan struct{}), failing: map[*peer]error{}, counts: map[*peer]int{}}
	for _, i := range failing {
		k.failing[k.peers[i]] = errors.New("refused")
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		runHealthChecks(ctx, func() []*peer {
			k.mu.Lock()
			defer k.mu.Unlock()
			return k.peers
		}, k.changed, opts, func(_ context.Context, p *peer) error {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.counts[p]++
			return k.failing[p]
		}, func(p *peer, up bool, reason string) {
			k.mu.Lock()
			defer k.mu.Unlock()
			if up == (p.flags.Load()&flagDown != 0) {
				t.Errorf("told up=%v before the state was set", up)
			}
			k.events = append(k.events, fmt.Sprintf("%d %v %s", index(k.peers, p), up, reason))
		})
	}()
	k.stop = func() { cancel(); <-ended }
	return k
}

func (k *checked) fail(i int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.failing[k.peers[i]] = err
}

func (k *checked) count(i int) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.counts[k.peers[i]]
}

func (k *checked) down(i int) bool { return k.peers[i].flags.Load()&flagDown != 0 }

func TestChecksAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := runChecked(t, 3, app.HealthCheck{}, 1)
		synctest.Wait() // no time has passed
		if k.down(0) || !k.down(1) || k.down(2) {
			t.Errorf("%v %v %v", k.down(0), k.down(1), k.down(2))
		}
		if len(k.events) != 1 || k.events[0] != "1 false health check failed (1 in a row): refused" {
			t.Errorf("%q", k.events)
		}
		if s := k.peers[1].status(time.Now()); s.State != stateDown || !strings.Contains(s.Reason, "refused") {
			t.Errorf("%+v", s)
		}
		k.stop()
	})
}

func TestThresholds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := runChecked(t, 1, app.HealthCheck{Interval: app.Duration(10 * time.Second), Healthy: 2, Unhealthy: 3})
		defer k.stop()
		p := k.peers[0]
		// round waits until so many checks have been made in all.
		round := func(n int) {
			for {
				synctest.Wait()
				k.mu.Lock()
				done := k.counts[p] >= n
				k.mu.Unlock()
				if done {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		}
		down := func(n int, want bool) {
			t.Helper()
			round(n)
			if k.down(0) != want {
				t.Fatalf("after check %d: down=%v", n, !want)
			}
		}
		down(1, false)
		k.fail(0, errors.New("x"))
		down(2, false)
		down(3, false)
		k.fail(0, nil) // a success in between starts the count again
		down(4, false)
		k.fail(0, errors.New("y"))
		down(6, false)
		down(7, true)
		k.fail(0, errors.New("z"))
		down(8, true)
		if s := p.status(time.Now()); !strings.HasSuffix(s.Reason, "z") {
			t.Errorf("not the latest reason: %s", s.Reason)
		}
		k.fail(0, nil)
		down(9, true)
		down(10, false)
		if len(k.events) != 2 || k.events[1] != "0 true health check succeeded (2 in a row)" {
			t.Errorf("%q", k.events)
		}
	})
}

// TestFirstSuccessBringsUp: a peer that was down when its checks begin (they
// are taken over from an older set) needs one success.
func TestFirstSuccessBringsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPeers(t, 1)
		p[0].setDown("from before")
		ctx, cancel := context.WithCancel(t.Context())
		go runHealthChecks(ctx, func() []*peer { return p }, nil, app.HealthCheck{}, func(context.Context, *peer) error { return nil }, nil)
		synctest.Wait()
		if p[0].flags.Load() != 0 {
			t.Error("still down")
		}
		cancel()
	})
}

func TestIntervalAndJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var at []time.Time
		p := testPeers(t, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 1000*time.Second)
		defer cancel()
		runHealthChecks(ctx, func() []*peer { return p }, nil, app.HealthCheck{Interval: app.Duration(10 * time.Second)},
			func(context.Context, *peer) error {
				mu.Lock()
				defer mu.Unlock()
				at = append(at, time.Now())
				return nil
			}, nil)
		if len(at) < 95 || len(at) > 106 {
			t.Errorf("%d checks in 1000 s", len(at))
		}
		gaps := map[time.Duration]bool{}
		for i := range at[1:] {
			gap := at[i+1].Sub(at[i])
			if gap < 9*time.Second || gap > 11*time.Second {
				t.Errorf("%s between two checks", gap)
			}
			gaps[gap] = true
		}
		if len(gaps) < 10 {
			t.Errorf("only %d different gaps", len(gaps))
		}
	})
}

func TestChecksTimeOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPeers(t, 2)
		ctx, cancel := context.WithCancel(t.Context())
		var ended atomic.Int64
		go func() {
			runHealthChecks(ctx, func() []*peer { return p }, nil, app.HealthCheck{Timeout: app.Duration(3 * time.Second)},
				func(ctx context.Context, q *peer) error {
					if q == p[1] {
						return nil
					}
					<-ctx.Done()
					return ctx.Err()
				}, nil)
			ended.Store(1)
		}()
		time.Sleep(2999 * time.Millisecond)
		synctest.Wait()
		if p[0].flags.Load() != 0 {
			t.Error("down before the time-out")
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if p[0].flags.Load()&flagDown == 0 || p[1].flags.Load() != 0 {
			t.Error("a peer that hangs is down, and holds up no other")
		}
		time.Sleep(10500 * time.Millisecond) // the next check is under way
		cancel()
		synctest.Wait()
		if ended.Load() == 0 {
			t.Error("did not end with its context")
		}
	})
}

func TestPeersComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := runChecked(t, 2, app.HealthCheck{}, 1)
		synctest.Wait()
		k.mu.Lock()
		gone, stays := k.peers[1], k.peers[0]
		fresh := testPeers(t, 3)[2]
		k.failing[fresh] = errors.New("refused")
		k.peers = []*peer{stays, fresh}
		k.mu.Unlock()
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if fresh.flags.Load()&flagDown == 0 {
			t.Error("the new peer was not checked within an interval")
		}
		k.mu.Lock()
		before := k.counts[gone]
		k.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		k.mu.Lock()
		if k.counts[gone] != before || before > 2 {
			t.Errorf("the one that left is still checked: %d, %d", before, k.counts[gone])
		}
		k.mu.Unlock()
		k.stop()
	})
}

// TestManyPeers: all of a large set are checked at once, not more than
// maxChecks at the same time, and in their interval.
func TestManyPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPeers(t, 200)
		var running, most, total atomic.Int64
		ctx, cancel := context.WithTimeout(t.Context(), 95*time.Second)
		defer cancel()
		runHealthChecks(ctx, func() []*peer { return p }, nil, app.HealthCheck{},
			func(context.Context, *peer) error {
				if n := running.Add(1); n > most.Load() {
					most.Store(n)
				}
				time.Sleep(100 * time.Millisecond)
				running.Add(-1)
				total.Add(1)
				return nil
			}, nil)
		if most.Load() != maxChecks {
			t.Errorf("%d at the same time", most.Load())
		}
		if n := total.Load(); n < 200*8 || n > 200*11 {
			t.Errorf("%d checks of 200 peers in 95 s", n)
		}
	})
}
