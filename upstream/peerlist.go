package upstream

import (
	"math/rand/v2"

	"edgerouter/app"
)

// peerList is an immutable list of peers with what drawing among them needs.
type peerList struct {
	all      []*peer          // every peer of the set
	peers    []*peer          // those with a weight above 0
	even     bool             // all weights are the same
	alias    []aliasSlot      // drawing by weight; nil when even
	turns    []uint32         // round_robin's order, indexes of peers; nil when even
	byCookie map[string]*peer // of all; nil without sticky cookies
}

func newPeerList(all []*peer, policy app.Policy) *peerList {
	l := &peerList{all: append([]*peer(nil), all...), even: true}
	var weights []int64
	for _, p := range all {
		if w := p.weight.Load(); w > 0 {
			l.peers = append(l.peers, p)
			weights = append(weights, int64(w))
			l.even = l.even && int64(w) == weights[0]
		}
		if p.cookie != nil {
			if l.byCookie == nil {
				l.byCookie = make(map[string]*peer, len(all))
			}
			l.byCookie[string(p.cookie)] = p
		}
	}
	if !l.even {
		l.alias = newAlias(weights)
		if policy == app.PolicyRoundRobin {
			l.turns = newTurns(weights)
		}
	}
	return l
}

// lookup is the peer that a cookie's value names, in whatever state; nil for a
// value that is none of this set's.
func (l *peerList) lookup(value []byte) *peer { return l.byCookie[string(value)] }

// aliasSlot is a column of Walker's alias table (in Vose's construction): the
// slot's own index below cut, other from there on.
type aliasSlot struct {
	cut   uint32
	other uint32
}

// newAlias makes the table by which draw takes an index in constant time with
// a probability proportional to its weight.
func newAlias(weights []int64) []aliasSlot {
	var sum float64
	for _, w := range weights {
		sum += float64(w)
	}
	n := len(weights)
	slots := make([]aliasSlot, n)
	share := make([]float64, n) // 1 is the average
	var small, large []int
	for i, w := range weights {
		share[i] = float64(w) * float64(n) / sum
		slots[i] = aliasSlot{cut: 1<<32 - 1, other: uint32(i)}
		if share[i] < 1 {
			small = append(small, i)
		} else {
			large = append(large, i)
		}
	}
	for len(small) > 0 && len(large) > 0 {
		s, g := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		slots[s] = aliasSlot{cut: uint32(share[s] * (1<<32 - 1)), other: uint32(g)}
		share[g] -= 1 - share[s]
		if share[g] < 1 {
			large = large[:len(large)-1]
			small = append(small, g)
		}
	}
	return slots
}

// draw takes an index of the n peers by weight; r is uniform.
func (l *peerList) draw(r, n uint64) uint64 {
	i := (r >> 32) * n >> 32
	if l.alias != nil {
		if s := l.alias[i]; uint32(r) >= s.cut {
			return uint64(s.other)
		}
	}
	return i
}

// drawTwo takes two different indexes of n >= 2 peers, each by weight.
func (l *peerList) drawTwo(n uint64) (i, j uint64) {
	r := rand.Uint64()
	if l.alias == nil {
		i = (r >> 32) * n >> 32
		if j = (r & (1<<32 - 1)) * (n - 1) >> 32; j >= i {
			j++
		}
		return i, j
	}
	i = l.draw(r, n)
	if n == 2 {
		return i, 1 - i
	}
	for range 2 * draws {
		if j = l.draw(rand.Uint64(), n); j != i {
			return i, j
		}
	}
	// One peer has nearly all the weight.
	return i, (i + 1 + rand.Uint64N(n-1)) % n
}

// maxTurns bounds round_robin's order. With larger weights shares are rounded,
// a peer's never to nothing.
const maxTurns = 4096

// newTurns is one round of smooth weighted round robin: each index as often
// as its weight says, spread as evenly as can be. Each turn everyone gains its
// weight, the richest goes and pays the sum.
func newTurns(weights []int64) []uint32 {
	var divisor, sum int64
	for _, w := range weights {
		divisor = gcd(divisor, w)
		sum += w
	}
	scaled := make([]int64, len(weights))
	limit := int64(max(maxTurns, len(weights)))
	var total int64
	for i, w := range weights {
		scaled[i] = w / divisor
		if sum/divisor > limit {
			scaled[i] = max(1, int64(float64(w)*float64(limit)/float64(sum)))
		}
		total += scaled[i]
	}
	turns := make([]uint32, total)
	credit := make([]int64, len(weights))
	for t := range turns {
		richest := 0
		for i := range credit {
			credit[i] += scaled[i]
			if credit[i] > credit[richest] {
				richest = i
			}
		}
		credit[richest] -= total
		turns[t] = uint32(richest)
	}
	return turns
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
