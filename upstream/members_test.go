package upstream

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/app"
)

func newTestSet(t *testing.T, opts app.PeerSetOpts) *Set {
	t.Helper()
	s, err := New("test", opts, Deps{Log: zerolog.Nop(), Stats: &Stats{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func (s *Set) mustUpdate(t *testing.T, addrs ...string) {
	t.Helper()
	if err := s.Update(addrs, nil); err != nil {
		t.Fatal(err)
	}
	s.known()
}

// known makes all peers of the set ones that have been found well.
func (s *Set) known() {
	for _, p := range s.balancer.peers() {
		p.setJoining(false)
	}
}

// TestHashMovesOnlyWhatItMust: when a peer leaves its keys move, when one joins
// only to it, and when the first comes back its keys come back with it.
func TestHashMovesOnlyWhatItMust(t *testing.T) {
	var addrs []string
	for i := range 6 {
		addrs = append(addrs, testAddr(i))
	}
	s := newTestSet(t, app.PeerSetOpts{Addrs: addrs[:5], Policy: app.PolicyHash})
	homes := func() map[uint64]string {
		m := map[uint64]string{}
		for i := range 5000 {
			c := choice{Hash: hashBytes(fmt.Append(nil, i)), HasHash: true}
			m[c.Hash] = s.balancer.pick(&c).addr.Raw
		}
		return m
	}
	first := homes()
	s.mustUpdate(t, addrs[1], addrs[2], addrs[3], addrs[4]) // 0 leaves
	second := homes()
	s.mustUpdate(t, addrs[5], addrs[4], addrs[3], addrs[2], addrs[1]) // 5 joins
	third := homes()
	s.mustUpdate(t, addrs[:5]...) // 0 comes back and 5 leaves
	moved, joined := 0, 0
	for key, home := range homes() {
		if home != first[key] {
			t.Fatalf("a key of %s is at %s", first[key], home)
		}
		if second[key] != first[key] {
			moved++
			if first[key] != addrs[0] {
				t.Fatalf("a key moved from %s, which stayed", first[key])
			}
		}
		if third[key] != second[key] {
			joined++
			if third[key] != addrs[5] {
				t.Fatalf("a key moved from %s to %s", second[key], third[key])
			}
		}
	}
	for _, n := range []int{moved, joined} {
		if n < 850 || n > 1150 {
			t.Errorf("%d of 5000 keys moved, want 1000", n)
		}
	}
}

// TestSharesAfterUpdates: no policy remembers who was there before.
func TestSharesAfterUpdates(t *testing.T) {
	for _, policy := range policies {
		s := newTestSet(t, app.PeerSetOpts{Addrs: []string{testAddr(0)}, Policy: policy})
		s.mustUpdate(t, testAddr(1), testAddr(2))
		s.mustUpdate(t, testAddr(1), testAddr(2), testAddr(0), testAddr(3))
		if err := s.Update([]string{testAddr(2), testAddr(4), testAddr(0)}, weighing(2, 0, 3, 0, 1)); err != nil {
			t.Fatal(err)
		}
		s.known()
		got := map[string]int{}
		for i := range 6000 {
			c := choice{Hash: hashBytes(fmt.Append(nil, i)), HasHash: true}
			got[s.balancer.pick(&c).addr.Raw]++
		}
		for i, want := range []int{2000, 0, 3000, 0, 1000} {
			if n := got[testAddr(i)]; n < want-250 || n > want+250 {
				t.Errorf("%s: peer %d has %d, want %d", policy, i, n, want)
			}
		}
	}
}

// TestReplacedUnderTheChooser: who has just taken a list of which all leave chooses
// from the next one.
func TestReplacedUnderTheChooser(t *testing.T) {
	b := testBalancer(t, 2, app.PeerSetOpts{})
	peers := b.peers()
	b.replace(peers[:1])
	old := b.list.Load()
	b.replace(peers[1:])
	peers[0].setDraining(true)
	if p := b.pickOf(old, &choice{}); p != nil {
		t.Errorf("%s has left", p.addr.Raw)
	}
	if p := b.pick(&choice{}); p != peers[1] {
		t.Errorf("%v", p)
	}
}

func TestLimitsByScheme(t *testing.T) {
	for _, tt := range []struct{ requests, connections, http, h2c int }{
		{0, 0, 0, 0}, {5, 0, 5, 5}, {0, 5, 5, 0}, {7, 5, 5, 7}, {5, 7, 5, 5}, {-1, -1, 0, 0},
	} {
		s := newTestSet(t, app.PeerSetOpts{Addrs: []string{"http://127.0.0.1:1"}, MaxRequests: tt.requests, MaxConnections: tt.connections})
		s.mustUpdate(t, "http://127.0.0.1:1", "h2c://127.0.0.1:2", "https://127.0.0.1:3")
		for i, want := range []int{tt.http, tt.h2c, tt.http} {
			got := 0
			if g := s.balancer.peers()[i].gate; g != nil {
				got = int(g.limit)
			}
			if got != want {
				t.Errorf("%+v: %s has %d", tt, s.balancer.peers()[i].addr.Raw, got)
			}
		}
	}
}

func TestGateCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 3, time.Minute)
		_ = g.enter(nil)
		results := make(chan error, 3)
		for range 3 {
			go func() { results <- g.enter(nil) }()
		}
		synctest.Wait()
		begin := time.Now()
		g.close()
		for range 3 {
			if err := <-results; err != errPeerLeft {
				t.Error(err)
			}
		}
		if err := g.enter(nil); err != errPeerLeft {
			t.Errorf("after it: %v", err)
		}
		if time.Since(begin) != 0 || g.inside() != 1 || g.waiting() != 0 {
			t.Errorf("%d inside, %d waiting, after %s", g.inside(), g.waiting(), time.Since(begin))
		}
		g.open()
		go func() { results <- g.enter(nil) }()
		synctest.Wait()
		g.leave()
		if err := <-results; err != nil {
			t.Error(err)
		}
		g.leave()
		if g.inside() != 0 {
			t.Errorf("%d inside", g.inside())
		}
	})
	var none *gate
	none.close()
	none.open()
}

// TestJoiningIsCheckedOften: a peer that joined is checked at once and then every
// second until it is well, which one success shows; after that as any other.
func TestJoiningIsCheckedOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := runChecked(t, 1, app.HealthCheck{Interval: app.Duration(time.Minute)})
		synctest.Wait()
		k.mu.Lock()
		fresh := testPeers(t, 2)[1]
		fresh.setJoining(true)
		k.peers = append(k.peers, fresh)
		k.failing[fresh] = errors.New("starting")
		k.mu.Unlock()
		k.changed <- struct{}{}
		synctest.Wait()
		if k.count(1) != 1 || !k.down(1) {
			t.Errorf("%d checks at once, down is %v", k.count(1), k.down(1))
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := k.count(1); n < 9 || n > 12 {
			t.Errorf("%d checks in 10 s", n)
		}
		k.fail(1, nil)
		time.Sleep(1200 * time.Millisecond)
		synctest.Wait()
		if k.down(1) || fresh.flags.Load() != 0 {
			t.Error("one success did not bring it in")
		}
		n := k.count(1)
		time.Sleep(40 * time.Second)
		synctest.Wait()
		if k.count(1) != n || k.count(0) != 1 {
			t.Errorf("checked more often than every minute: %d, %d", k.count(1)-n, k.count(0))
		}
		k.stop()
	})
}

// TestLateCheckOfAPeerThatCameBack: what a check finds that began before the peer
// left says nothing of the peer that came back.
func TestLateCheckOfAPeerThatCameBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPeers(t, 1)
		set, changed := p, make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		letGo := make(chan error, 1)
		first := true
		go runHealthChecks(ctx, func() []*peer { return set }, changed, app.HealthCheck{}, func(context.Context, *peer) error {
			if first {
				first = false
				return <-letGo
			}
			return nil
		}, nil)
		synctest.Wait()
		for _, set = range [][]*peer{nil, p} {
			changed <- struct{}{}
			synctest.Wait()
		}
		letGo <- errors.New("gone")
		synctest.Wait()
		if p[0].flags.Load() != 0 {
			t.Error("it is down")
		}
	})
}
