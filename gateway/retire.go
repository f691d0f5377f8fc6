package gateway

import (
	"sync"
	"time"
)

// retirement closes backends some time after they fell out of service. A
// request that found its entry just before the swap gets inside within that
// time; requests inside end by themselves (Backend.Close).
type retirement struct {
	mu      sync.Mutex
	closed  bool
	waiting map[*retiree]struct{}
	closing sync.WaitGroup
}

type retiree struct {
	backend Backend
	timer   *time.Timer
}

func (q *retirement) add(b Backend, grace time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		b.Close()
		return
	}
	if q.waiting == nil {
		q.waiting = map[*retiree]struct{}{}
	}
	r := &retiree{backend: b}
	q.waiting[r] = struct{}{}
	q.closing.Add(1)
	r.timer = time.AfterFunc(grace, func() {
		defer q.closing.Done()
		q.mu.Lock()
		_, mine := q.waiting[r]
		delete(q.waiting, r)
		q.mu.Unlock()
		if mine {
			b.Close()
		}
	})
}

// close closes at once what is waiting, and returns when all is closed.
func (q *retirement) close() {
	q.mu.Lock()
	q.closed = true
	waiting := q.waiting
	q.waiting = nil
	q.mu.Unlock()
	for r := range waiting {
		if r.timer.Stop() {
			q.closing.Done()
		}
		r.backend.Close()
	}
	q.closing.Wait()
}

// Close ends the Gateway at the end of the process, once the listeners have
// drained: every backend is closed and every subscription ends. The last
// snapshot stays readable; its backends answer no longer than theirs promise.
func (g *Gateway) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return
	}
	g.closed = true
	for _, r := range g.byID {
		if r.served.backend != nil {
			r.served.backend.Close()
		}
	}
	g.retired.close()
	g.events.close()
}
