package server

import (
	"context"
	"net"
	"time"

	"edgerouter/wire"
)

const (
	// backlogTime is how long a listener that is about to be closed hands out the
	// connections that the kernel has accepted for it.
	backlogTime = 20 * time.Millisecond
	// drainIdle is how long a connection must be idle to be closed by Shutdown.
	drainIdle = 200 * time.Millisecond
	// endTime is how long Shutdown waits for connections that it cut.
	endTime = time.Second
)

// Shutdown drains: responses say that their connection closes, listeners are
// closed after linger (during which a load balancer that watches /readyz can turn
// away), connections that are idle are closed, and requests in flight and tunnels
// end by themselves until ctx is done; what is left then is cut. It returns the
// number of connections that were cut.
//
// What the kernel accepted for a listener before it was closed is served, and so
// is a request that arrives on an idle connection just when it is to be closed.
func (s *Server) Shutdown(ctx context.Context, linger time.Duration) int {
	s.draining.Store(true)
	wait(ctx, linger)
	s.deafen()
	s.accepting.Wait()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	cut := 0
	for s.conns.closeIdle(wire.Now(), int64(drainIdle), maxInt) > 0 {
		select {
		case <-tick.C:
			continue
		case <-ctx.Done():
		}
		cut = s.conns.cut()
		for end := wire.Now() + int64(endTime); s.conns.len() > 0 && wire.Now() < end; {
			<-tick.C
		}
		break
	}
	s.stopOnce.Do(func() { close(s.stop) })
	s.running.Wait()
	return cut
}

const maxInt = int(^uint(0) >> 1)

// deafen has the listeners closed by those who serve them.
func (s *Server) deafen() {
	s.deafOnce.Do(func() { close(s.deaf) })
	s.listeners.Range(func(k, _ any) bool {
		ln := k.(net.Listener)
		takeNoMore(ln)
		if d, ok := ln.(deadliner); ok {
			d.SetDeadline(time.Now().Add(backlogTime))
		} else {
			ln.Close()
		}
		return true
	})
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
