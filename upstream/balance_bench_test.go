package upstream

import (
	"fmt"
	"testing"
	"time"

	"edgerouter/app"
)

// BenchmarkPick is the cost of choosing a peer, as the hot path pays it: with
// the peer's counters moving (begin and end are in BenchmarkBeginEnd).
func BenchmarkPick(b *testing.B) {
	for _, policy := range []app.Policy{app.PolicyP2C, app.PolicyRoundRobin, app.PolicyLeastConn, app.PolicyHash} {
		for _, weighted := range []bool{false, true} {
			for _, n := range []int{2, 16, 200} {
				name := fmt.Sprintf("%s/peers=%d", policy, n)
				opts := app.PeerSetOpts{Policy: policy, HashOn: "path"}
				if weighted {
					name += "/weighted"
					opts.Weights = map[string]int{}
					for i := range n {
						opts.Weights[testAddr(i)] = 1 + i%5
					}
				}
				b.Run(name, func(b *testing.B) {
					bal := testBalancer(b, n, opts)
					for i, p := range bal.peers() {
						p.inFlight.Store(int64(i % 3))
					}
					b.ReportAllocs()
					var h uint64
					for b.Loop() {
						h += hashA
						c := choice{Hash: h, HasHash: true}
						if bal.pick(&c) == nil {
							b.Fatal("nil")
						}
					}
				})
			}
		}
	}
}

// BenchmarkPickSticky is a client whose cookie names its peer.
func BenchmarkPickSticky(b *testing.B) {
	bal := testBalancer(b, 16, app.PeerSetOpts{StickyCookie: &app.StickyCookie{}})
	value := bal.peers()[7].cookie
	b.ReportAllocs()
	for b.Loop() {
		c := choice{Sticky: value}
		bal.pick(&c)
	}
}

// BenchmarkPickHalfEjected is p2c at its worst: half of the peers are out.
func BenchmarkPickHalfEjected(b *testing.B) {
	for _, n := range []int{2, 16, 200} {
		b.Run(fmt.Sprintf("peers=%d", n), func(b *testing.B) {
			bal := testBalancer(b, n, app.PeerSetOpts{})
			now := time.Now().UnixNano()
			for _, p := range bal.peers()[:n/2] {
				p.ejectedUntil.Store(now + int64(time.Hour))
			}
			b.ReportAllocs()
			for b.Loop() {
				c := choice{Now: now}
				bal.pick(&c)
			}
		})
	}
}

func BenchmarkPickParallel(b *testing.B) {
	for _, policy := range []app.Policy{app.PolicyP2C, app.PolicyRoundRobin} {
		b.Run(string(policy), func(b *testing.B) {
			bal := testBalancer(b, 2, app.PeerSetOpts{Policy: policy})
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					var c choice
					p := bal.pick(&c)
					p.begin()
					p.end(outcomeOK, 1000, 1)
				}
			})
		})
	}
}

func BenchmarkBeginEnd(b *testing.B) {
	p := testBalancer(b, 2, app.PeerSetOpts{}).peers()[0]
	b.ReportAllocs()
	for b.Loop() {
		p.begin()
		p.end(outcomeOK, 1000, 1)
	}
}

func BenchmarkBudgetRequest(b *testing.B) {
	g := newBudget(defaultPercent, budgetMinimum)
	b.ReportAllocs()
	var now int64 = 1e18
	for b.Loop() {
		now += 1000
		g.request(now)
	}
}

func BenchmarkGate(b *testing.B) {
	g := newGate(10, 10, time.Second)
	b.ReportAllocs()
	for b.Loop() {
		if g.enter(nil) == nil {
			g.leave()
		}
	}
}

func BenchmarkHashBytes(b *testing.B) {
	for _, key := range []string{"10.1.2.3", "/some/path/of/ordinary/length?with=query"} {
		b.Run(fmt.Sprint(len(key)), func(b *testing.B) {
			k := []byte(key)
			for b.Loop() {
				hashBytes(k)
			}
		})
	}
}
