package server

import (
	"runtime"
	"time"

	"edgerouter/wire"
)

// sweepEvery is how often the sweeper looks, and how old a request is when it
// is looked at for the first time. Faster requests cost it nothing.
const sweepEvery = 100 * time.Millisecond

// sweep cancels the requests of clients that have gone away, and ends idle
// connections whose end nobody has told of, from New to Shutdown.
func (s *Server) sweep() {
	defer s.running.Done()
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	h := newHangups()
	defer h.close()
	var fresh, gone []*conn
	var idle []pause
	var silent crowd
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		fresh, gone, idle = s.conns.older(wire.Now()-int64(sweepEvery), fresh[:0], gone[:0], idle[:0])
		for _, c := range fresh {
			h.watch(c)
		}
		h.poll(func(id uint64) {
			if c := s.conns.markHungUp(id); c != nil {
				gone = append(gone, c)
			}
		})
		for _, c := range gone {
			// An idle connection's next read finds the end by itself.
			if c.state.Load() > busy && c.x.Gone() {
				s.Stats.ClientGone.Add(1)
			}
		}
		for i, p := range idle {
			if i%64 == 63 {
				runtime.Gosched() // thousands may have fallen idle at once
			}
			if p.c.hungUpUntold() {
				s.conns.take(p.c, p.state)
			}
		}
		clear(fresh)
		clear(gone)
		clear(idle)
		if silent.silent(s.conns.parked()) {
			giveBack()
		}
	}
}
