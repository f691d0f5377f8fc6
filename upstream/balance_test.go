package upstream

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"edgerouter/app"
)

var policies = []app.Policy{app.PolicyP2C, app.PolicyRoundRobin, app.PolicyLeastConn, app.PolicyHash}

func testAddr(i int) string { return fmt.Sprintf("http://10.0.%d.%d:8080", i/256, i%256) }

func testPeers(t testing.TB, n int) []*peer {
	t.Helper()
	peers := make([]*peer, n)
	for i := range peers {
		a, err := parseAddress(testAddr(i))
		if err != nil {
			t.Fatal(err)
		}
		peers[i] = newPeer(a)
	}
	return peers
}

func testBalancer(t testing.TB, n int, opts app.PeerSetOpts) *balancer {
	t.Helper()
	b, err := newBalancer(testPeers(t, n), opts, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func weighing(weights ...int) map[string]int {
	m := make(map[string]int)
	for i, w := range weights {
		m[testAddr(i)] = w
	}
	return m
}

func index(peers []*peer, p *peer) int {
	for i := range peers {
		if peers[i] == p {
			return i
		}
	}
	return -1
}

func TestNewBalancerRefuses(t *testing.T) {
	tooLarge := int64(math.MaxInt32) + 1 // negative where int has 32 bits
	for want, opts := range map[string]app.PeerSetOpts{
		`policy: "random"`:        {Policy: "random"},
		`hash_on: "x"`:            {Policy: app.PolicyHash, HashOn: "x"},
		`weights["a"]: -1`:        {Weights: map[string]int{"a": -1}},
		`weights["b"]: `:          {Weights: map[string]int{"b": int(tooLarge)}},
		`sticky_cookie.name`:      {StickyCookie: &app.StickyCookie{Name: "a b"}},
		`sticky_cookie.same_site`: {StickyCookie: &app.StickyCookie{SameSite: "maybe"}},
	} {
		if _, err := newBalancer(nil, opts, time.Now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestShares: over many requests each policy gives each peer the share that
// its weight asks for, when nothing is in flight.
func TestShares(t *testing.T) {
	for _, policy := range policies {
		for _, weights := range [][]int{{1}, {1, 1}, {1, 1, 1}, {3, 1}, {1, 2, 3, 4}, {100, 1, 1}, {7, 0, 7, 7}, {1000, 999, 1}} {
			b := testBalancer(t, len(weights), app.PeerSetOpts{Policy: policy, Weights: weighing(weights...)})
			peers := b.peers()
			const n = 40000
			got := make([]int, len(peers))
			for i := range n {
				c := choice{Hash: hashBytes(fmt.Appendf(nil, "/page/%d", i)), HasHash: true}
				got[index(peers, b.pick(&c))]++
			}
			sum := 0
			for _, w := range weights {
				sum += w
			}
			for i, w := range weights {
				share := float64(w) / float64(sum)
				// Five standard deviations of a fair draw, and one request.
				slack := 5*math.Sqrt(n*share*(1-share)) + 1
				if policy == app.PolicyRoundRobin {
					slack = float64(len(weights)) + 1
				}
				if math.Abs(float64(got[i])-n*share) > slack {
					t.Errorf("%s %v: %v", policy, weights, got)
					break
				}
			}
		}
	}
}

// TestSharesUnderLoad: with requests in flight, as a closed loop of clients
// makes them, the shares by count stay near the weights for equally fast peers.
func TestSharesUnderLoad(t *testing.T) {
	// least_conn evens out what is in flight, which with two clients and four
	// peers favours the heavy ones a little; so does p2c, by 0.07 at most.
	for policy, slack := range map[app.Policy]float64{app.PolicyP2C: 0.09, app.PolicyLeastConn: 0.12} {
		for _, clients := range []int{1, 2, 8, 64} {
			for _, weights := range [][]int{{1, 1}, {3, 1}, {1, 2, 3, 4}} {
				b := testBalancer(t, len(weights), app.PeerSetOpts{Policy: policy, Weights: weighing(weights...)})
				peers := b.peers()
				got := make([]int, len(peers))
				flying := make([]*peer, clients)
				rng := rand.New(rand.NewPCG(1, 2))
				const n = 40000
				for range n {
					k := rng.IntN(clients)
					if flying[k] != nil {
						flying[k].end(outcomeOK, 1, 1)
					}
					var c choice
					flying[k] = b.pick(&c)
					flying[k].begin()
					got[index(peers, flying[k])]++
				}
				sum := 0
				for _, w := range weights {
					sum += w
				}
				for i, w := range weights {
					share, want := float64(got[i])/n, float64(w)/float64(sum)
					if math.Abs(share-want) > slack {
						t.Errorf("%s, %d clients, weights %v: peer %d has %.3f, want %.3f", policy, clients, weights, i, share, want)
					}
				}
			}
		}
	}
}

// TestSlowPeer: p2c and least_conn send less to a peer that is ten times
// slower than the other.
func TestSlowPeer(t *testing.T) {
	for _, policy := range []app.Policy{app.PolicyP2C, app.PolicyLeastConn} {
		b := testBalancer(t, 2, app.PeerSetOpts{Policy: policy})
		peers := b.peers()
		var got [2]int
		ends := map[int][]*peer{}
		for tick := range 20000 {
			for _, p := range ends[tick] {
				p.end(outcomeOK, 1, 1)
			}
			delete(ends, tick)
			var c choice
			p := b.pick(&c)
			p.begin()
			i := index(peers, p)
			got[i]++
			at := tick + 2
			if i == 1 {
				at = tick + 20
			}
			ends[at] = append(ends[at], p)
		}
		if share := float64(got[1]) / 20000; share > 0.2 {
			t.Errorf("%s: the slow peer has a share of %.3f", policy, share)
		}
	}
}

func TestLeastConnIsExact(t *testing.T) {
	b := testBalancer(t, 5, app.PeerSetOpts{Policy: app.PolicyLeastConn})
	peers := b.peers()
	for round := range 200 {
		for i, p := range peers {
			p.inFlight.Store(int64((i*7+round)%5) + 3)
		}
		var c choice
		if p := b.pick(&c); p.inFlight.Load() != 3 {
			t.Fatalf("round %d: picked one with %d in flight", round, p.inFlight.Load())
		}
	}
}

// TestRoundRobinOrder: plain turns are in order, weighted ones smooth.
func TestRoundRobinOrder(t *testing.T) {
	for want, weights := range map[string][]int{
		"012012012": {1, 1, 1}, "012012": {5, 5, 5}, "0120": {2, 1, 1}, "0010200": {5, 1, 1},
	} {
		b := testBalancer(t, len(weights), app.PeerSetOpts{Policy: app.PolicyRoundRobin, Weights: weighing(weights...)})
		got := ""
		for range len(want) {
			var c choice
			got += fmt.Sprint(index(b.peers(), b.pick(&c)))
		}
		if got != want {
			t.Errorf("%v: %s, want %s", weights, got, want)
		}
	}
}

// TestRoundRobinPassesOver: a peer that is out does not double the load of the
// one after it.
func TestRoundRobinPassesOver(t *testing.T) {
	b := testBalancer(t, 4, app.PeerSetOpts{Policy: app.PolicyRoundRobin})
	peers := b.peers()
	peers[1].setDown("test")
	got := make([]int, 4)
	for range 3000 {
		var c choice
		got[index(peers, b.pick(&c))]++
	}
	if fmt.Sprint(got) != "[1000 0 1000 1000]" {
		t.Errorf("%v", got)
	}
}

// TestHashMovesLittle: when a peer leaves, only its own requests move, spread
// over all the others; and they come back.
func TestHashMovesLittle(t *testing.T) {
	for _, weights := range [][]int{{1, 1, 1, 1, 1, 1, 1, 1}, {1, 2, 3, 4, 1, 2, 3, 4}} {
		b := testBalancer(t, len(weights), app.PeerSetOpts{Policy: app.PolicyHash, Weights: weighing(weights...)})
		peers := b.peers()
		const n = 20000
		pick := func(i int) int {
			c := choice{Hash: hashBytes(fmt.Appendf(nil, "client-%d", i)), HasHash: true}
			return index(peers, b.pick(&c))
		}
		before := make([]int, n)
		for i := range n {
			before[i] = pick(i)
		}
		const leaver = 3
		check := func(how string) {
			t.Helper()
			heirs := map[int]int{}
			for i := range n {
				now := pick(i)
				switch {
				case now == leaver:
					t.Fatalf("%s: still picked", how)
				case before[i] == leaver:
					heirs[now]++
				case now != before[i]:
					t.Fatalf("%s: request %d moved from %d to %d", how, i, before[i], now)
				}
			}
			if len(heirs) != len(weights)-1 {
				t.Errorf("%s: heirs %v", how, heirs)
			}
		}
		peers[leaver].setDown("test")
		check("down")
		peers[leaver].setUp()
		all := b.peers()
		b.replace(append(append([]*peer(nil), all[:leaver]...), all[leaver+1:]...))
		check("replaced")
		b.replace(all)
		for i := range n {
			if pick(i) != before[i] {
				t.Fatalf("request %d did not come back", i)
			}
		}
	}
}

// TestHashWithoutKey: a request that lacks the field is balanced by p2c.
func TestHashWithoutKey(t *testing.T) {
	b := testBalancer(t, 3, app.PeerSetOpts{Policy: app.PolicyHash, HashOn: "header:X-Tenant"})
	if !b.needsHash() || b.hashOf() != (hashOn{hashHeader, "X-Tenant"}) {
		t.Errorf("%v %v", b.needsHash(), b.hashOf())
	}
	seen := map[*peer]bool{}
	for range 200 {
		var c choice
		seen[b.pick(&c)] = true
	}
	if len(seen) != 3 {
		t.Errorf("%d of 3 peers picked", len(seen))
	}
	if testBalancer(t, 1, app.PeerSetOpts{}).needsHash() {
		t.Error("p2c needs no hash")
	}
}

// TestPickIsOfBestRank puts peers in random states and checks what every
// policy promises: the pick is of the best rank there is, and nil only when
// there is none.
func TestPickIsOfBestRank(t *testing.T) {
	now := time.Unix(1e6, 0)
	rng := rand.New(rand.NewPCG(7, 7))
	for _, policy := range policies {
		for range 4000 {
			n := 1 + rng.IntN(6)
			opts := app.PeerSetOpts{Policy: policy, Weights: map[string]int{}}
			for i := range n {
				opts.Weights[testAddr(i)] = rng.IntN(4)
			}
			if rng.IntN(2) == 0 {
				opts.MaxRequests = 2
			}
			b, err := newBalancer(testPeers(t, n), opts, func() time.Time { return now })
			if err != nil {
				t.Fatal(err)
			}
			c := choice{Hash: rng.Uint64(), HasHash: true}
			for _, p := range b.peers() {
				p.inFlight.Store(rng.Int64N(4))
				if rng.IntN(4) == 0 {
					p.setDown("test")
				}
				if rng.IntN(5) == 0 {
					p.setDraining(true)
				}
				if rng.IntN(5) == 0 {
					p.setJoining(true)
				}
				if rng.IntN(3) == 0 {
					p.ejectedUntil.Store(now.UnixNano() + rng.Int64N(3) - 1)
				}
				if rng.IntN(3) == 0 {
					c.try(p)
				}
			}
			best := rankOut
			for _, p := range b.peers() {
				best = min(best, b.rank(p, &c))
			}
			p := b.pick(&c)
			switch {
			case p == nil && best != rankOut:
				t.Fatalf("%s: nil, while there is a peer of rank %d", policy, best)
			case p != nil && b.rank(p, &c) != best:
				t.Fatalf("%s: rank %d, while there is one of rank %d", policy, b.rank(p, &c), best)
			}
		}
	}
}

func TestRanks(t *testing.T) {
	now := time.Unix(1e6, 0)
	b, err := newBalancer(testPeers(t, 1), app.PeerSetOpts{MaxRequests: 1}, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	p := b.peers()[0]
	for _, tt := range []struct {
		what string
		do   func(c *choice)
		want int
	}{
		{"fit", func(*choice) {}, rankFit},
		{"ejection over", func(*choice) { p.ejectedUntil.Store(now.UnixNano()) }, rankFit},
		{"tried", func(c *choice) { c.try(p) }, rankTried},
		{"full", func(*choice) { p.inFlight.Store(1) }, rankFull},
		{"full, tried", func(c *choice) { c.try(p) }, rankTriedFull},
		{"joining", func(*choice) { p.setJoining(true) }, rankJoining},
		{"joining, tried", func(c *choice) { c.try(p) }, rankTriedJoining},
		{"ejected", func(*choice) { p.ejectedUntil.Store(now.UnixNano() + 1) }, rankEjected},
		{"ejected, tried", func(c *choice) { c.try(p) }, rankEjectedTried},
		{"down", func(*choice) { p.setDown("test") }, rankOut},
		{"draining", func(*choice) { p.setUp(); p.setDraining(true) }, rankOut},
		{"weight 0", func(*choice) { p.setDraining(false); p.weight.Store(0) }, rankOut},
	} {
		var c choice
		tt.do(&c)
		if got := b.rank(p, &c); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.what, got, tt.want)
		}
	}
}

func TestTried(t *testing.T) {
	peers := testPeers(t, 6)
	var c choice
	if c.hasTried(peers[0]) {
		t.Error("nothing was tried")
	}
	for i, p := range peers {
		c.try(p)
		if !c.hasTried(p) {
			t.Errorf("%d: forgotten at once", i)
		}
	}
	if c.hasTried(peers[1]) || !c.hasTried(peers[2]) {
		t.Error("not the oldest is forgotten")
	}
}

// TestWalkAllPeers: trying on, each peer comes once before any comes twice.
func TestWalkAllPeers(t *testing.T) {
	for _, policy := range policies {
		b := testBalancer(t, 4, app.PeerSetOpts{Policy: policy})
		for i := range 100 {
			c := choice{Hash: hashBytes([]byte{byte(i)}), HasHash: true}
			seen := map[*peer]bool{}
			for range 4 {
				p := b.pick(&c)
				seen[p] = true
				c.try(p)
			}
			if len(seen) != 4 {
				t.Fatalf("%s: %d different peers of 4", policy, len(seen))
			}
			if b.pick(&c) == nil {
				t.Fatalf("%s: nil, although tried peers are better than none", policy)
			}
		}
	}
}

func TestFailsOpenForEjection(t *testing.T) {
	now := time.Unix(1e6, 0)
	for _, policy := range policies {
		b, err := newBalancer(testPeers(t, 2), app.PeerSetOpts{Policy: policy}, func() time.Time { return now })
		if err != nil {
			t.Fatal(err)
		}
		c := choice{HasHash: true}
		peers := b.peers()
		peers[0].ejectedUntil.Store(now.Add(time.Second).UnixNano())
		peers[1].setDown("test")
		if p := b.pick(&c); p != peers[0] {
			t.Errorf("%s: %v, want the ejected peer", policy, p)
		}
		peers[0].setDown("test")
		if p := b.pick(&c); p != nil {
			t.Errorf("%s: a peer that is down", policy)
		}
	}
}

func TestNoPeers(t *testing.T) {
	for _, policy := range policies {
		b := testBalancer(t, 0, app.PeerSetOpts{Policy: policy, StickyCookie: &app.StickyCookie{}})
		if p := b.pick(&choice{HasHash: true, Sticky: []byte("x")}); p != nil {
			t.Errorf("%s: %v", policy, p)
		}
	}
}

func TestFullPeersAreAvoided(t *testing.T) {
	for _, policy := range policies {
		b := testBalancer(t, 3, app.PeerSetOpts{Policy: policy, MaxRequests: 2, MaxPending: 5})
		peers := b.peers()
		peers[0].inFlight.Store(2)
		peers[1].inFlight.Store(2)
		for i := range 50 {
			c := choice{Hash: hashBytes([]byte{byte(i)}), HasHash: true}
			if p := b.pick(&c); p != peers[2] {
				t.Fatalf("%s: a full peer", policy)
			}
		}
		peers[2].inFlight.Store(2)
		var c choice
		if b.pick(&c) == nil {
			t.Errorf("%s: nil, although the request may wait", policy)
		}
		if peers[0].gate == nil || peers[0].gate == peers[1].gate {
			t.Errorf("%s: no gate of its own", policy)
		}
	}
}

func TestReplaceKeepsState(t *testing.T) {
	b := testBalancer(t, 3, app.PeerSetOpts{Weights: weighing(5, 5, 5), MaxRequests: 9})
	old := b.peers()
	old[0].weight.Store(2) // changed since
	gate := old[0].gate
	fresh := testPeers(t, 2)[1]
	b.replace([]*peer{old[0], fresh})
	if w := old[0].weight.Load(); w != 2 || old[0].gate != gate {
		t.Errorf("weight %d", w)
	}
	if w := fresh.weight.Load(); w != 5 || fresh.gate == nil || fresh.ejector == nil {
		t.Errorf("the new one was not adopted: weight %d", w)
	}
	for range 100 {
		var c choice
		if p := b.pick(&c); p != old[0] && p != fresh {
			t.Fatal("picked one that left")
		}
	}
}

func TestWeightChange(t *testing.T) {
	for _, policy := range policies {
		b := testBalancer(t, 2, app.PeerSetOpts{Policy: policy})
		peers := b.peers()
		peers[0].weight.Store(0)
		for i := range 20 { // at once, before the list is made again
			c := choice{Hash: hashBytes([]byte{byte(i)}), HasHash: true}
			if b.pick(&c) != peers[1] {
				t.Fatalf("%s: drained peer picked", policy)
			}
		}
		peers[0].weight.Store(3)
		b.replace(peers)
		n := 0
		for i := range 4000 {
			c := choice{Hash: hashBytes(fmt.Append(nil, i)), HasHash: true}
			if b.pick(&c) == peers[0] {
				n++
			}
		}
		if n < 2850 || n > 3150 {
			t.Errorf("%s: %d of 4000, want 3000", policy, n)
		}
	}
}

func TestPickDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, policy := range policies {
		b := testBalancer(t, 9, app.PeerSetOpts{Policy: policy, Weights: weighing(1, 2, 3), StickyCookie: &app.StickyCookie{}, MaxRequests: 5})
		peers := b.peers()
		peers[2].ejectedUntil.Store(math.MaxInt64)
		peers[3].setDown("test")
		h := uint64(0)
		if n := testing.AllocsPerRun(1000, func() {
			h += hashA
			c := choice{Hash: h, HasHash: true}
			p := b.pick(&c)
			c.try(p)
			p = b.pick(&c)
			p.begin()
			p.end(outcomeOK, 5, 5)
			c = choice{Sticky: peers[7].cookie}
			_ = b.stickTo(b.pick(&c), c.Sticky)
		}); n != 0 {
			t.Errorf("%s: %v allocations", policy, n)
		}
	}
}

// TestRaces runs all that may happen to a balancer at once; the race detector
// judges. Counters must add up in the end.
func TestRaces(t *testing.T) {
	for _, policy := range policies {
		b := testBalancer(t, 6, app.PeerSetOpts{Policy: policy, StickyCookie: &app.StickyCookie{}, Weights: weighing(1, 2, 3),
			PassiveHealth: &app.PassiveHealth{Failures: 3, Eject: app.Duration(time.Millisecond)}})
		all := b.peers()
		var wg sync.WaitGroup
		const workers, each = 4, 2000
		for w := range workers {
			wg.Go(func() {
				for i := range each {
					c := choice{Hash: uint64(i) * hashB, HasHash: true}
					if i%3 == 0 {
						c.Sticky = all[i%6].cookie
					}
					p := b.pick(&c)
					if p == nil {
						continue
					}
					p.begin()
					_ = b.stickTo(p, c.Sticky)
					p.end(outcome((i+w)%3), int64(i), time.Now().UnixNano())
				}
			})
		}
		wg.Go(func() {
			for i := range 500 {
				p := all[i%6]
				p.setDown("test")
				p.setDraining(i%2 == 0)
				_ = p.status(time.Now())
				b.replace(all[:3+i%4])
				p.setUp()
			}
		})
		wg.Wait()
		for i, p := range all {
			if n := p.inFlight.Load(); n != 0 {
				t.Errorf("%s: peer %d has %d in flight", policy, i, n)
			}
		}
	}
}
