package lambda

import (
	"container/list"
	"errors"
	"sync"
	"time"
)

// What gate.enter refuses with; the first two are 503 with Retry-After.
var (
	errQueueFull = errors.New("max_concurrency invocations are running, and as many requests wait as may")
	errQueueTime = errors.New("max_concurrency invocations were running for all of the time that a request may wait")
	errLeft      = errors.New("the client went away while its request waited")
)

// Who waits for a place, and how long.
const (
	queueTime   = 5 * time.Second
	queueFactor = 4 // times max_concurrency may wait
	queueLeast  = 64
)

// gate bounds the invocations at one time. Those beyond it wait in a bounded
// queue, first come first served. A nil gate has no limit.
type gate struct {
	limit, most int
	time        time.Duration

	mu     sync.Mutex
	inside int
	queue  list.List // of chan struct{}
}

// newGate is nil when limit is not above 0.
func newGate(limit int) *gate {
	if limit <= 0 {
		return nil
	}
	return &gate{limit: limit, most: max(limit*queueFactor, queueLeast), time: queueTime}
}

// enter waits for a place; leave must follow when it returns nil.
func (g *gate) enter(done <-chan struct{}) error {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	if g.inside < g.limit {
		g.inside++
		g.mu.Unlock()
		return nil
	}
	if g.queue.Len() >= g.most {
		g.mu.Unlock()
		return errQueueFull
	}
	turn := make(chan struct{})
	place := g.queue.PushBack(turn)
	g.mu.Unlock()

	timer := time.NewTimer(g.time)
	defer timer.Stop()
	var err error
	select {
	case <-turn:
		return nil
	case <-timer.C:
		err = errQueueTime
	case <-done:
		err = errLeft
	}
	g.mu.Lock()
	select {
	case <-turn: // it came at the same moment
		g.mu.Unlock()
		if err == errLeft {
			g.leave()
			return err
		}
		return nil
	default:
	}
	g.queue.Remove(place)
	g.mu.Unlock()
	return err
}

// leave hands the place to the one who waits the longest.
func (g *gate) leave() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if first := g.queue.Front(); first != nil {
		close(g.queue.Remove(first).(chan struct{}))
		return
	}
	g.inside--
}

// waiting is how many wait.
func (g *gate) waiting() int {
	if g == nil {
		return 0
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.queue.Len()
}
