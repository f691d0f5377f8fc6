package share

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/metrics"
)

// wires carry the messages of all nodes to all nodes, as the bus does.
type wires struct {
	mu    sync.Mutex
	nodes []*node
	sent  int // bytes
}

func (w *wires) bytes() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent
}

type node struct {
	*Exchange
	on   *wires
	cut  bool
	stop context.CancelFunc
	done chan struct{}
	set  *metrics.Set
	log  bytes.Buffer
}

func (w *wires) add(key Key) *node {
	n := &node{on: w, set: metrics.NewSet(), done: make(chan struct{})}
	n.Exchange = New(Options{Key: key, Publish: n.send, Metrics: n.set, Logger: zerolog.New(&n.log)})
	w.mu.Lock()
	w.nodes = append(w.nodes, n)
	w.mu.Unlock()
	var ctx context.Context
	ctx, n.stop = context.WithCancel(context.Background())
	go func() { defer close(n.done); n.Run(ctx) }()
	return n
}

func (n *node) send(m []byte) error {
	n.on.mu.Lock()
	defer n.on.mu.Unlock()
	if n.cut {
		return errors.New("cut off")
	}
	n.on.sent += len(m)
	for _, other := range n.on.nodes {
		if !other.cut {
			other.Receive(m)
		}
	}
	return nil
}

func (n *node) end() { n.stop(); <-n.done }

func (n *node) isolate(cut bool) {
	n.on.mu.Lock()
	defer n.on.mu.Unlock()
	n.cut = cut
}

func (n *node) metric(t *testing.T, line string) {
	t.Helper()
	var b bytes.Buffer
	n.set.WritePrometheus(&b)
	if !strings.Contains(b.String(), line+"\n") {
		t.Errorf("no line %q in %s", line, b.String())
	}
}

// counts are a limit that holds what it is given.
type counts struct {
	mu     sync.Mutex
	kind   Kind
	mine   map[uint64]int64
	others map[uint64]int64
	member *Limit
}

func (n *node) join(kind Kind, id uint64) *counts {
	c := &counts{kind: kind, mine: map[uint64]int64{}, others: map[uint64]int64{}}
	c.member = n.Join(kind, id, func(add func(uint64, int64)) {
		c.mu.Lock()
		defer c.mu.Unlock()
		for key, n := range c.mine {
			add(key, n)
		}
		if kind == Rate {
			clear(c.mine)
		}
	}, func(key uint64, n int64) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.others[key] += n; c.others[key] == 0 {
			delete(c.others, key)
		}
	})
	return c
}

func (c *counts) set(key uint64, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mine[key] = n; n == 0 {
		delete(c.mine, key)
	}
}

func (c *counts) want(t *testing.T, what string, want map[uint64]int64) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !maps.Equal(c.others, want) {
		t.Errorf("%s: %v, want %v", what, c.others, want)
	}
}

func pass(d time.Duration) { time.Sleep(d); synctest.Wait() }

var key = NewKey([16]byte{1, 2, 3})

func TestRatesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wires{}
		a, b, c := w.add(key), w.add(key), w.add(key)
		defer func() { a.end(); b.end(); c.end() }()
		la, lb, lc, other := a.join(Rate, 1), b.join(Rate, 1), c.join(Rate, 1), b.join(Rate, 2)
		la.set(10, 3)
		lc.set(10, 4)
		lc.set(11, 1)
		pass(2 * every)
		lb.want(t, "b", map[uint64]int64{10: 7, 11: 1})
		la.want(t, "a", map[uint64]int64{10: 4, 11: 1})
		lc.want(t, "c", map[uint64]int64{10: 3})
		other.want(t, "another limit", map[uint64]int64{})
		pass(time.Second)
		lb.want(t, "b, told once", map[uint64]int64{10: 7, 11: 1})
		a.metric(t, `er_limit_peers 1`) // b has told nothing
		a.metric(t, `er_limit_messages_total{result="sent"} 1`)
		a.metric(t, `er_limit_messages_total{result="received"} 1`)

		// What cannot be sent is not sent later: it would be an old story then.
		a.isolate(true)
		la.set(10, 5)
		pass(time.Second)
		a.isolate(false)
		pass(time.Second)
		lb.want(t, "b, after a was cut off", map[uint64]int64{10: 7, 11: 1})
		a.metric(t, `er_limit_messages_total{result="failed"} 1`)
	})
}

func TestInFlightIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wires{}
		a, b, c := w.add(key), w.add(key), w.add(key)
		defer func() { a.end(); b.end() }()
		la, lb, lc := a.join(InFlight, 1), b.join(InFlight, 1), c.join(InFlight, 1)
		la.set(10, 3)
		lc.set(10, 4)
		pass(2 * every)
		la.want(t, "a", map[uint64]int64{10: 4})
		lb.want(t, "b", map[uint64]int64{10: 7})
		lc.want(t, "c", map[uint64]int64{10: 3})
		pass(10 * time.Second)
		lb.want(t, "b, a while later", map[uint64]int64{10: 7})
		la.set(10, 1)
		la.set(12, 1)
		pass(2 * every)
		lb.want(t, "b, after a change", map[uint64]int64{10: 5, 12: 1})
		late := b.join(InFlight, 1)
		late.want(t, "a limit that comes later", map[uint64]int64{10: 5, 12: 1})

		// A node that is cut off, or gone without a word, counts no more.
		a.isolate(true)
		pass(silentAfter + every)
		lb.want(t, "b, without a", map[uint64]int64{10: 4})
		la.want(t, "a, alone", map[uint64]int64{})
		a.isolate(false)
		pass(2 * every)
		lb.want(t, "b, with a again", map[uint64]int64{10: 5, 12: 1})
		la.want(t, "a, back", map[uint64]int64{10: 4})
		// One that ends says so.
		c.end()
		synctest.Wait()
		lb.want(t, "b, without c", map[uint64]int64{10: 1, 12: 1})
		// Nothing in flight is told once, and then no more.
		la.set(10, 0)
		la.set(12, 0)
		pass(2 * every)
		lb.want(t, "b, when nothing is in flight", map[uint64]int64{})
		before := w.bytes()
		pass(10 * time.Second)
		if n := w.bytes(); n != before {
			t.Errorf("%d bytes about nothing", n-before)
		}
	})
}

// Of several limits with the same id, as there are while an application changes,
// one speaks; and one that nobody keeps is forgotten.
func TestOneSpeaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wires{}
		a, b := w.add(key), w.add(key)
		defer func() { a.end(); b.end() }()
		first, second, lb := a.join(InFlight, 1), a.join(InFlight, 1), b.join(InFlight, 1)
		first.set(1, 2)
		second.set(1, 3)
		second.set(2, 1)
		pass(2 * every)
		lb.want(t, "two", map[uint64]int64{1: 3, 2: 1})
		first.set(1, 9)
		pass(2 * every)
		lb.want(t, "the first one has more", map[uint64]int64{1: 9})
		runtime.KeepAlive(first)
		first = nil
		runtime.GC()
		pass(2 * every)
		lb.want(t, "one is gone", map[uint64]int64{1: 3, 2: 1})
		a.mu.Lock()
		if n := len(a.limits[1]); n != 1 {
			t.Errorf("%d limits are kept", n)
		}
		a.mu.Unlock()
		runtime.KeepAlive(second)
		second = nil
		runtime.GC()
		pass(2 * every)
		lb.want(t, "both are gone", map[uint64]int64{})
		a.mu.Lock()
		if n := len(a.limits); n != 0 {
			t.Errorf("%d ids are kept", n)
		}
		a.mu.Unlock()
	})
}

func TestStrangeMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wires{}
		a, stranger := w.add(key), w.add(NewKey([16]byte{9}))
		defer func() { a.end(); stranger.end() }()
		la, ls := a.join(InFlight, 1), stranger.join(InFlight, 1)
		ls.set(1, 5)
		pass(time.Second)
		la.want(t, "of a node with another key", map[uint64]int64{})
		if text := a.log.String(); strings.Count(text, "another secret") != 1 {
			t.Errorf("the log has %s", text)
		}
		ls.set(1, 0)
		pass(time.Second)
		a.Receive([]byte("hello"))
		a.Receive(nil)
		a.metric(t, `er_limit_messages_total{result="refused"} 2`)
		a.metric(t, `er_limit_messages_total{result="received"} 0`)

		// Many nodes, and many counts of one, are bounded; all of it is forgotten.
		many := make([]count, 2*maxHeld)
		for i := range many {
			many[i] = count{InFlight, 1, uint64(i), 1}
		}
		for from := range uint64(2 * maxPeers) {
			some := many
			if from > 2 {
				some = many[:1]
			}
			for _, m := range encode(head{mark: a.mark, from: from, first: true, last: true}, some) {
				a.Receive(m)
			}
		}
		a.mu.Lock()
		if len(a.peers) != maxPeers || a.peers[1].size != maxHeld {
			t.Errorf("%d peers, %d counts", len(a.peers), a.peers[1].size)
		}
		a.mu.Unlock()
		pass(silentAfter + every)
		la.want(t, "long after", map[uint64]int64{})
		a.mu.Lock()
		if len(a.peers) != 0 {
			t.Errorf("%d peers are left", len(a.peers))
		}
		a.mu.Unlock()
	})
}

// The largest counts are told when there are too many.
func TestLargestAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wires{}
		a, b := w.add(key), w.add(key)
		defer func() { a.end(); b.end() }()
		la, lb := a.join(Rate, 1), b.join(Rate, 1)
		for i := range uint64(3 * maxCounts) {
			la.set(i, 1)
		}
		la.set(1<<40, 2)
		pass(2 * every)
		lb.mu.Lock()
		if len(lb.others) != maxCounts || lb.others[1<<40] != 2 {
			t.Errorf("%d counts, %d of the largest", len(lb.others), lb.others[1<<40])
		}
		lb.mu.Unlock()
		a.metric(t, fmt.Sprintf("er_limit_counts_dropped_total %d", 2*maxCounts+1))
		if n := w.bytes(); n > 64<<10 {
			t.Errorf("%d bytes at one time", n)
		}
	})
}
