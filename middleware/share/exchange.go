package share

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"slices"
	"sync"
	"time"
	"weak"

	vm "github.com/VictoriaMetrics/metrics"
	"github.com/rs/zerolog"

	"edgerouter/metrics"
)

// Options say how an exchange reaches the other nodes.
type Options struct {
	// Key is the same on all nodes.
	Key Key
	// Publish sends a message to all nodes; it does not wait for any. What fails is
	// not sent again.
	Publish func(message []byte) error
	Metrics *metrics.Set
	Logger  zerolog.Logger
}

// Exchange is the part of this node in what the nodes tell each other. It is safe
// for concurrent use.
type Exchange struct {
	opts Options
	mark uint64 // tells whether another node has the same key
	self uint64

	mu      sync.Mutex
	limits  map[uint64][]weak.Pointer[Limit] // by id
	peers   map[uint64]*peer
	told    bool // the last message told of requests in flight
	foreign bool // a node with another key was logged

	sent, failed, received, refused, foreigners, dropped *vm.Counter
}

// peer is another node.
type peer struct {
	heard time.Time
	round uint64                     // counts that are complete get a new one
	held  map[uint64]map[uint64]held // by limit and key
	size  int                        // of held
}

// held is how many requests a peer has in flight under a key.
type held struct {
	n     int64
	round uint64
}

// New returns an exchange that is silent until Run.
func New(opts Options) *Exchange {
	var self [8]byte
	_, _ = rand.Read(self[:]) // never fails (crypto/rand)
	x := &Exchange{
		opts: opts, mark: opts.Key.Sum([]byte("edgerouter limits 1")), self: binary.LittleEndian.Uint64(self[:]),
		limits: map[uint64][]weak.Pointer[Limit]{}, peers: map[uint64]*peer{},
	}
	m := opts.Metrics
	m.Help("er_limit_messages_total", "Messages about limits between the nodes of the cluster, by what became of them.")
	result := func(r string) *vm.Counter {
		return m.Counter(metrics.Name("er_limit_messages_total", "result", r))
	}
	x.sent, x.failed, x.received = result("sent"), result("failed"), result("received")
	x.refused, x.foreigners = result("refused"), result("foreign")
	m.Help("er_limit_counts_dropped_total", "Counts of clients that were too many to be told to the other nodes.")
	x.dropped = m.Counter("er_limit_counts_dropped_total")
	m.Help("er_limit_peers", "Other nodes that have told counts of limits within the last two seconds.")
	m.Gauge("er_limit_peers", func() float64 {
		x.mu.Lock()
		defer x.mu.Unlock()
		return float64(len(x.peers))
	})
	return x
}

// Key is what the limits hash their keys with.
func (x *Exchange) Key() Key { return x.opts.Key }

// Join makes a limit count together with those of the same id on other nodes, for
// as long as the Limit that it returns is kept: what holds it holds the
// membership. For own and heard see Limit.
func (x *Exchange) Join(kind Kind, id uint64, own func(add func(key uint64, n int64)), heard func(key uint64, n int64)) *Limit {
	l := &Limit{kind: kind, own: own, heard: heard}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.limits[id] = append(x.limits[id], weak.Make(l))
	if kind == InFlight {
		for _, p := range x.peers {
			for key, h := range p.held[id] {
				heard(key, h.n)
			}
		}
	}
	return l
}

// Run tells the other nodes what is counted here until ctx ends, and then that
// nothing is in flight here any more.
func (x *Exchange) Run(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			x.publish(x.tell(now))
		case <-ctx.Done():
			if x.told {
				x.publish(encode(head{first: true, last: true, mark: x.mark, from: x.self}, nil))
			}
			return
		}
	}
}

func (x *Exchange) publish(messages [][]byte) {
	for _, m := range messages {
		if x.opts.Publish(m) != nil {
			x.failed.Inc()
		} else {
			x.sent.Inc()
		}
	}
}

// tell makes the messages of what has been counted since the last time; none when
// there is nothing to tell.
func (x *Exchange) tell(now time.Time) [][]byte {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.forgetSilent(now)
	counts := x.gather()
	rates, inFlight := x.largest(counts, Rate), x.largest(counts, InFlight)
	var out [][]byte
	if len(rates) > 0 {
		out = encode(head{mark: x.mark, from: x.self}, rates)
	}
	if len(inFlight) > 0 || x.told {
		out = append(out, encode(head{first: true, last: true, mark: x.mark, from: x.self}, inFlight)...)
	}
	x.told = len(inFlight) > 0
	return out
}

// gather collects what the limits have counted. There may be several of one id
// while an application changes; the one with the most counts then speaks for it.
// Those that nobody keeps any more are taken off the list.
func (x *Exchange) gather() []count {
	var all []count
	for id, list := range x.limits {
		begin := len(all)
		list = slices.DeleteFunc(list, func(w weak.Pointer[Limit]) bool {
			l := w.Value()
			if l == nil {
				return true
			}
			from := len(all)
			l.own(func(key uint64, n int64) { all = append(all, count{l.kind, id, key, n}) })
			if before := all[begin:from]; len(before) > 0 && len(all) > from {
				if total(before) > total(all[from:]) {
					all = all[:from]
				} else {
					all = append(all[:begin], all[from:]...)
				}
			}
			return false
		})
		if len(list) == 0 {
			delete(x.limits, id)
		} else {
			x.limits[id] = list
		}
	}
	return all
}

func total(counts []count) (n int64) {
	for _, c := range counts {
		n += c.n
	}
	return n
}

// largest picks the counts of a kind, the largest when there are too many.
func (x *Exchange) largest(all []count, kind Kind) []count {
	var out []count
	for _, c := range all {
		if c.kind == kind && c.n > 0 {
			out = append(out, c)
		}
	}
	if len(out) > maxCounts {
		slices.SortFunc(out, func(a, b count) int { return cmp.Compare(b.n, a.n) })
		x.dropped.Add(len(out) - maxCounts)
		out = out[:maxCounts]
		slices.SortFunc(out, func(a, b count) int { return cmp.Compare(a.limit, b.limit) })
	}
	return out
}

// Receive takes in a message of a node, which may be this one. A message that
// cannot be read, or that was made with another key, changes nothing.
func (x *Exchange) Receive(message []byte) {
	h, err := decode(message, nil)
	switch {
	case err != nil:
		x.refused.Inc()
		return
	case h.from == x.self:
		return
	case h.mark != x.mark:
		x.foreigners.Inc()
		x.tellForeign()
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.peers[h.from]
	if p == nil {
		if len(x.peers) >= maxPeers {
			x.refused.Inc()
			return
		}
		p = &peer{held: map[uint64]map[uint64]held{}}
		x.peers[h.from] = p
	}
	x.received.Inc()
	p.heard = time.Now()
	if h.first {
		p.round++
	}
	_, _ = decode(message, func(c count) {
		if c.kind == Rate {
			x.apply(c)
		} else {
			x.hold(p, c)
		}
	})
	if h.last {
		x.release(p, func(at held) bool { return at.round != p.round })
	}
}

func (x *Exchange) tellForeign() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.foreign {
		x.foreign = true
		x.opts.Logger.Warn().Msg("another node of the bus counts its limits for itself: it has another secret (--bus-secret-file, or without it the admin token) or another --tenant")
	}
}

// apply takes in a count of others.
func (x *Exchange) apply(c count) {
	for _, w := range x.limits[c.limit] {
		if l := w.Value(); l != nil && l.kind == c.kind {
			l.heard(c.key, c.n)
		}
	}
}

// hold notes what a peer has in flight.
func (x *Exchange) hold(p *peer, c count) {
	keys := p.held[c.limit]
	before, known := keys[c.key]
	if !known {
		if p.size >= maxHeld {
			x.dropped.Inc()
			return
		}
		p.size++
		if keys == nil {
			keys = map[uint64]held{}
			p.held[c.limit] = keys
		}
	}
	keys[c.key] = held{c.n, p.round}
	if c.n -= before.n; c.n != 0 {
		x.apply(c)
	}
}

// release takes away what is over of a peer's requests in flight.
func (x *Exchange) release(p *peer, over func(held) bool) {
	for limit, keys := range p.held {
		for key, h := range keys {
			if over(h) {
				delete(keys, key)
				p.size--
				x.apply(count{InFlight, limit, key, -h.n})
			}
		}
		if len(keys) == 0 {
			delete(p.held, limit)
		}
	}
}

// forgetSilent takes away what nodes told that are silent: they may be gone.
func (x *Exchange) forgetSilent(now time.Time) {
	for from, p := range x.peers {
		if now.Sub(p.heard) >= silentAfter {
			x.release(p, func(held) bool { return true })
			delete(x.peers, from)
		}
	}
}
