package upstream

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"edgerouter/app"
)

// choice is what pick needs to know of a request, and what the request has
// tried so far. It lives on the caller's stack.
type choice struct {
	Hash    uint64 // of what hash_on names
	HasHash bool   // false: the request has no such field; another policy chooses
	Sticky  []byte // cookie value from the client, or nil
	Now     int64  // unix nanoseconds if the caller has just read the clock; 0: pick reads it if it must
	Tried   [4]*peer
	NTried  int
}

// try notes that p was tried. With more than four the oldest is forgotten.
func (c *choice) try(p *peer) {
	c.Tried[c.NTried%len(c.Tried)] = p
	c.NTried++
}

func (c *choice) hasTried(p *peer) bool {
	if c.NTried == 0 {
		return false
	}
	return c.Tried[0] == p || c.Tried[1] == p || c.Tried[2] == p || c.Tried[3] == p
}

// balancer chooses a peer for each request. pick takes no lock and allocates
// nothing; what changes is behind one atomic pointer to an immutable list.
//
// Which peers are chosen, best first, before the policy chooses among equals:
//
//  1. up, with room below max_requests
//  2. up and full: the request waits in that peer's queue
//  3. joining: put into a running set, and not yet found well (see Set.Update).
//     Until then its share is better off with those that are known to serve; but
//     a set that has no others asks it rather than fail
//  4. as 1 to 3, but tried before for this request
//  5. ejected by passive health: it fails open, because ejection is a guess
//     from a few failures, and a wrong guess must not become an outage
//
// A peer that active checks found down, that has left the set (see Set.Update)
// or that has weight 0 is never chosen; when no others are left pick returns
// nil, and the client gets 503 at once instead of a slow failure. That is what
// HAProxy and nginx do; Envoy's panic mode would send requests to peers that said
// themselves that they cannot serve. Sticky clients do reach a peer of weight 0,
// but not one that has left.
type balancer struct {
	list    atomic.Pointer[peerList]
	next    atomic.Uint64 // round_robin
	policy  app.Policy
	hash    hashOn
	limits  limits
	weights map[string]int
	held    map[string]bool // addresses that an operator drains; see Set.DrainPeer
	sticky  *stickiness     // nil: none
	ejector *ejector        // nil: passive_health is off
	now     func() time.Time
}

// newBalancer checks the options of balancing and of passive health and gives
// the peers their weights, queues and cookies. now is the clock.
func newBalancer(peers []*peer, opts app.PeerSetOpts, now func() time.Time) (*balancer, error) {
	b := &balancer{
		policy: opts.Policy, limits: limitsOf(&opts), weights: opts.Weights, now: now,
	}
	var err error
	switch b.policy {
	case "":
		b.policy = app.PolicyP2C
	case app.PolicyP2C, app.PolicyRoundRobin, app.PolicyLeastConn:
	case app.PolicyHash:
		if b.hash, err = parseHashOn(opts.HashOn); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("policy: %q is none of %s, %s, %s, %s", b.policy,
			app.PolicyP2C, app.PolicyRoundRobin, app.PolicyLeastConn, app.PolicyHash)
	}
	if err = checkWeights(opts.Weights); err != nil {
		return nil, err
	}
	if b.sticky, err = newStickiness(opts.StickyCookie); err != nil {
		return nil, err
	}
	if opts.PassiveHealth == nil || !opts.PassiveHealth.Off {
		b.ejector = newEjector(opts.PassiveHealth, b.peers)
	}
	b.replace(peers)
	return b, nil
}

func checkWeights(weights map[string]int) error {
	for addr, w := range weights {
		if w < 0 || w > math.MaxInt32 {
			return fmt.Errorf("weights[%q]: %d is not in 0-%d", addr, w, math.MaxInt32)
		}
	}
	return nil
}

// needsHash tells whether choice.Hash is wanted; hashOf says of what.
func (b *balancer) needsHash() bool { return b.policy == app.PolicyHash }

// hashOf is what choice.Hash is made from, by hashBytes.
func (b *balancer) hashOf() hashOn { return b.hash }

// peers are all peers of the set, whatever their state.
func (b *balancer) peers() []*peer { return b.list.Load().all }

// replace makes peers the set. A peer that stays is passed as the same *peer
// and keeps its counters and health; a new one gets its weight, queue and
// cookie here. Call it again with b.peers() after weights have changed.
// Calls must not overlap; pick may run at any time.
func (b *balancer) replace(peers []*peer) {
	for _, p := range peers {
		if !p.adopted {
			b.adopt(p)
		}
	}
	b.list.Store(newPeerList(peers, b.policy))
}

// adopt runs before p is published.
func (b *balancer) adopt(p *peer) {
	p.adopted = true
	p.ejector = b.ejector
	p.weight.Store(b.weightOf(p))
	p.set(flagHeld, b.held[p.addr.Raw])
	p.gate = b.limits.gate(p.addr)
	if b.sticky != nil {
		b.sticky.mark(p)
	}
}

// weightOf is what the options say of p.
func (b *balancer) weightOf(p *peer) int32 {
	if b.held[p.addr.Raw] {
		return 0
	}
	if w, ok := b.weights[p.addr.Raw]; ok {
		return int32(w)
	}
	return 1
}

// reweigh gives peers the weights that they have from now on. replace must
// follow.
func (b *balancer) reweigh(peers []*peer, weights map[string]int) {
	b.weights = weights
	for _, p := range peers {
		p.weight.Store(b.weightOf(p))
	}
}

// useStickyKey makes the values of sticky cookies from another key; see
// stickiness. It is for the time before the first request.
func (b *balancer) useStickyKey(key []byte) {
	if b.sticky == nil {
		return
	}
	b.sticky.key = append([]byte(nil), key...)
	all := b.peers()
	for _, p := range all {
		b.sticky.mark(p)
	}
	b.list.Store(newPeerList(all, b.policy))
}

// pick chooses a peer, nil when none is usable (see balancer for the order of
// preference). The caller notes what it tries with choice.try, a peer whose
// gate refused it included: two requests may be sent to the same last place.
func (b *balancer) pick(c *choice) *peer {
	for {
		l := b.list.Load()
		p := b.pickOf(l, c)
		if p != nil || b.list.Load() == l {
			return p
		}
		// All of a list that was replaced meanwhile have left: not an outage.
	}
}

func (b *balancer) pickOf(l *peerList, c *choice) *peer {
	if c.Sticky != nil {
		if p := l.lookup(c.Sticky); p != nil && b.welcomes(p, c) {
			return p
		}
	}
	switch b.policy {
	case app.PolicyHash:
		if c.HasHash {
			return b.highestLot(l, c)
		}
	case app.PolicyRoundRobin:
		return b.inTurn(l, c)
	case app.PolicyLeastConn:
		return b.leastLoaded(l, c)
	}
	return b.betterOfTwo(l, c)
}

// welcomes tells whether p still takes a client that sticks to it: full, joining
// or of weight 0 does not matter, broken or gone does.
func (b *balancer) welcomes(p *peer, c *choice) bool {
	return p.flags.Load()&(flagDown|flagDraining) == 0 && !c.hasTried(p) &&
		(p.ejectedUntil.Load() == 0 || !p.ejected(b.nanos(c)))
}

func (b *balancer) nanos(c *choice) int64 {
	if c.Now == 0 {
		c.Now = b.now().UnixNano()
	}
	return c.Now
}

// The ranks of peers for a request, best first.
const (
	rankFit = iota
	rankFull
	rankJoining
	rankTried
	rankTriedFull
	rankTriedJoining
	rankEjected
	rankEjectedTried
	rankOut
)

// fit is rank(p, c) == rankFit, short enough for the fast path.
func (b *balancer) fit(p *peer, c *choice) bool {
	return p.flags.Load() == 0 && p.ejectedUntil.Load() == 0 && p.weight.Load() > 0 &&
		c.NTried == 0 && p.gate == nil
}

func (b *balancer) rank(p *peer, c *choice) int {
	flags := p.flags.Load()
	if flags&^flagJoining != 0 || p.weight.Load() <= 0 {
		return rankOut
	}
	tried := c.hasTried(p)
	if p.ejectedUntil.Load() != 0 && p.ejected(b.nanos(c)) {
		if tried {
			return rankEjectedTried
		}
		return rankEjected
	}
	r := rankFit
	switch {
	case flags != 0:
		r = rankJoining
	case p.gate != nil && p.load() >= int64(p.gate.limit):
		r = rankFull
	}
	if tried {
		r += rankTried
	}
	return r
}

// load is what a peer has to do: requests in flight and those in its queue.
func (p *peer) load() int64 {
	n := p.inFlight.Load()
	if p.gate != nil {
		n += p.gate.waiting()
	}
	return n
}

// lighter tells whether a request is better off at q than at p, which was
// drawn by weight: whether q with one more has no more per weight than p has
// now. With equal weights that is "q has less to do". With unequal ones the
// draw stands while there is little to do, so that an idle set shares its
// requests by weight instead of giving all to the heaviest.
func lighter(q, p *peer) bool {
	return (q.load()+1)*int64(p.weight.Load()) <= p.load()*int64(q.weight.Load())
}

// draws is how often a policy draws again when it drew a peer that is out,
// before it looks at all of them.
const draws = 3

// betterOfTwo is p2c: two drawn by weight, the less loaded of them.
func (b *balancer) betterOfTwo(l *peerList, c *choice) *peer {
	n := uint64(len(l.peers))
	if n >= 2 {
		for range draws {
			i, j := l.drawTwo(n)
			p, q := l.peers[i], l.peers[j]
			if !b.fit(p, c) && b.rank(p, c) != rankFit || !b.fit(q, c) && b.rank(q, c) != rankFit {
				if n == 2 {
					break
				}
				continue
			}
			if lighter(q, p) {
				return q
			}
			return p
		}
	}
	return b.leastLoaded(l, c)
}

// inTurn is round_robin: smooth and weighted. A peer that is out is passed
// over by taking a further turn, not by giving its turns to its neighbour.
func (b *balancer) inTurn(l *peerList, c *choice) *peer {
	if n := uint64(len(l.peers)); n > 0 {
		for range 4 * draws {
			turn := b.next.Add(1) - 1
			var p *peer
			if l.turns == nil {
				p = l.peers[turn%n]
			} else {
				p = l.peers[l.turns[turn%uint64(len(l.turns))]]
			}
			if b.fit(p, c) || b.rank(p, c) == rankFit {
				return p
			}
		}
	}
	return b.leastLoaded(l, c)
}

// leastLoaded is least_conn, and what the other policies do when most peers
// are out: one drawn by weight among the best rank, unless another is lighter.
// It looks at all peers once.
func (b *balancer) leastLoaded(l *peerList, c *choice) *peer {
	n := uint64(len(l.peers))
	if n == 0 {
		return nil
	}
	start := l.draw(rand.Uint64(), n)
	for range draws - 1 {
		if b.rank(l.peers[start], c) == rankFit {
			break
		}
		start = l.draw(rand.Uint64(), n)
	}
	drawn := l.peers[start]
	drawnRank := b.rank(drawn, c)
	best, bestRank := drawn, drawnRank
	var bestLoad, bestWeight int64
	if drawnRank < rankOut {
		bestLoad, bestWeight = drawn.load()+1, int64(drawn.weight.Load())
	}
	// Round from the drawn one, so that of equals it is not always the first.
	for i, left := start, n-1; left > 0; left-- {
		if i++; i == n {
			i = 0
		}
		p := l.peers[i]
		r := b.rank(p, c)
		if r > bestRank || r == rankOut {
			continue
		}
		load, weight := p.load()+1, int64(p.weight.Load())
		if r < bestRank || load*bestWeight < bestLoad*weight {
			best, bestRank, bestLoad, bestWeight = p, r, load, weight
		}
	}
	switch {
	case bestRank == rankOut:
		return nil
	case bestRank == drawnRank && !lighter(best, drawn):
		return drawn
	}
	return best
}

// highestLot is hash: weighted rendezvous hashing. Each peer draws a lot for
// the request's hash and the highest wins, so when a peer leaves only its own
// requests move, spread over the others, and they come back with it. With u
// uniform in (0,1) the lot is ln(u)/weight (Efraimidis and Spirakis), which
// makes the shares exactly proportional to the weights.
func (b *balancer) highestLot(l *peerList, c *choice) *peer {
	var best *peer
	bestRank := rankOut
	if l.even {
		var highest uint64
		for _, p := range l.peers {
			r := b.rank(p, c)
			if r > bestRank || r == rankOut {
				continue
			}
			if u := rendezvous(c.Hash, p.key); r < bestRank || u > highest {
				best, bestRank, highest = p, r, u
			}
		}
		return best
	}
	var highest float64
	for _, p := range l.peers {
		r := b.rank(p, c)
		if r > bestRank || r == rankOut {
			continue
		}
		u := (float64(rendezvous(c.Hash, p.key)>>11) + 0.5) / (1 << 53)
		w := float64(p.weight.Load())
		// ln(u) <= u-1, so most peers are out of the race without a logarithm.
		if r == bestRank && u-1 <= highest*w {
			continue
		}
		if lot := math.Log(u) / w; r < bestRank || lot > highest {
			best, bestRank, highest = p, r, lot
		}
	}
	return best
}
