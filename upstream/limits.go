package upstream

import (
	"container/list"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"edgerouter/app"
)

// What gate.enter refuses with. After errPeerLeft and errQueueFull another peer
// is asked; with none of them willing, and after errQueueTimeout, the client gets
// 503 with Retry-After; after errGone there is no one to answer.
var (
	errQueueFull    = errors.New("max_requests are in flight and max_pending are waiting")
	errQueueTimeout = errors.New("waited for pending_timeout and no request of max_requests ended")
	errPeerLeft     = errors.New("the peer was taken out of the set while the request waited for it")
	errGone         = errors.New("the client went away while its request waited")
)

// defaultPendingTimeout applies where pending_timeout is not given.
const defaultPendingTimeout = 5 * time.Second

// gate lets so many requests in at once. Further ones wait in a bounded queue,
// first come first served, for a bounded time. A nil gate has no limit.
//
// As long as nobody waits, entering and leaving is one atomic swap; the lock
// is for the queue.
type gate struct {
	limit   uint32
	pending uint32
	timeout time.Duration

	state atomic.Uint64 // waiting in the upper half, inside in the lower
	mu    sync.Mutex    // held while waiting changes
	queue list.List     // of chan bool, the one who waits longest in front
	shut  bool          // nobody waits
}

// limits make the gates of peers.
type limits struct {
	requests    int // max_requests
	connections int // max_connections
	pending     int
	timeout     time.Duration
}

func limitsOf(o *app.PeerSetOpts) limits {
	return limits{max(o.MaxRequests, 0), max(o.MaxConnections, 0), o.MaxPending, time.Duration(o.PendingTimeout)}
}

// gate is that of the peer at a; nil: it needs none. In HTTP/1.1 each request in
// flight has a connection to itself, so that one queue serves both limits. HTTP/2
// peers count their connections in h2pool.
func (l limits) gate(a address) *gate {
	n := l.requests
	if l.connections > 0 && !a.H2C && (n == 0 || l.connections < n) {
		n = l.connections
	}
	return newGate(n, l.pending, l.timeout)
}

const oneWaiting = 1 << 32

// newGate is nil when maxRequests is not above 0. maxPending 0: nobody waits.
// timeout 0: defaultPendingTimeout.
func newGate(maxRequests, maxPending int, timeout time.Duration) *gate {
	if maxRequests <= 0 {
		return nil
	}
	const most = 1 << 30
	return &gate{
		limit:   uint32(min(maxRequests, most)),
		pending: uint32(min(max(maxPending, 0), most)),
		timeout: positive(timeout, defaultPendingTimeout),
	}
}

// enter waits for a place. It returns nil when the caller is in and has to
// leave, else errQueueFull, errQueueTimeout, errPeerLeft after close, or errGone
// when done was closed. A nil done never is.
func (g *gate) enter(done <-chan struct{}) error {
	if g == nil || g.step() {
		return nil
	}
	turn, place, err := g.join()
	if place == nil {
		return err
	}
	timer := time.NewTimer(g.timeout)
	defer timer.Stop()
	select {
	case in := <-turn:
		return entered(in)
	case <-timer.C:
		if g.quit(place) {
			return errQueueTimeout
		}
		return entered(<-turn) // it came at the same moment
	case <-done:
		if !g.quit(place) && <-turn {
			g.leave()
		}
		return errGone
	}
}

func entered(in bool) error {
	if !in {
		return errPeerLeft
	}
	return nil
}

// close sends away those who wait, and whoever would wait from now on; those
// inside stay. open ends that. Both take a nil gate.
func (g *gate) close() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	for first := g.queue.Front(); first != nil; first = g.queue.Front() {
		g.next(first, false)
	}
}

func (g *gate) open() {
	if g == nil {
		return
	}
	g.mu.Lock()
	g.shut = false
	g.mu.Unlock()
}

// step goes in if there is room and nobody waits for it.
func (g *gate) step() bool {
	for {
		s := g.state.Load()
		if s >= uint64(g.limit) { // full, or someone waits
			return false
		}
		if g.state.CompareAndSwap(s, s+1) {
			return true
		}
	}
}

// join takes a place at the end of the queue. The place is nil when none was
// needed after all (no error) or none is free.
func (g *gate) join() (turn chan bool, place *list.Element, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for {
		s := g.state.Load()
		switch {
		case s < uint64(g.limit):
			if g.state.CompareAndSwap(s, s+1) {
				return nil, nil, nil
			}
		case g.shut:
			return nil, nil, errPeerLeft
		case uint32(s>>32) >= g.pending:
			return nil, nil, errQueueFull
		case g.state.CompareAndSwap(s, s+oneWaiting):
			turn = make(chan bool, 1)
			return turn, g.queue.PushBack(turn), nil
		}
	}
}

// quit leaves the queue; false when the turn has come meanwhile.
func (g *gate) quit(place *list.Element) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if place.Value == nil {
		return false
	}
	g.queue.Remove(place)
	g.state.Add(^uint64(oneWaiting - 1))
	return true
}

// leave gives the place to the one who waits longest, or frees it.
func (g *gate) leave() {
	if g == nil {
		return
	}
	for {
		s := g.state.Load()
		if s >= oneWaiting {
			break
		}
		if g.state.CompareAndSwap(s, s-1) {
			return
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if first := g.queue.Front(); first != nil {
		g.next(first, true)
		return
	}
	g.state.Add(^uint64(0)) // the queue emptied in between
}

// next tells the one who waits longest that the turn has come (in), or never
// will. g.mu is held.
func (g *gate) next(first *list.Element, in bool) {
	g.queue.Remove(first)
	first.Value.(chan bool) <- in
	first.Value = nil
	g.state.Add(^uint64(oneWaiting - 1))
}

// waiting is how many wait, inside how many are in.
func (g *gate) waiting() int64 { return int64(g.state.Load() >> 32) }
func (g *gate) inside() int64  { return int64(uint32(g.state.Load())) }
