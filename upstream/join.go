package upstream

import (
	"context"
	"time"
)

const (
	// joinPause is how long it is from one attempt to connect to a new peer to the
	// next, joinPatience how long that goes on.
	joinPause    = 100 * time.Millisecond
	joinPatience = 30 * time.Second
)

// welcome has a new peer of a running set join. Health checks see to it where
// there are any; else it is enough that the peer takes a connection, so that one
// that is still starting costs no requests and no retries. One that takes none
// for joinPatience is left to passive health.
func (s *Set) welcome(p *peer) {
	p.setJoining(true)
	if s.opts.HealthCheck == nil {
		s.running.Go(func() {
			s.knock(p)
			p.setJoining(false)
		})
	}
}

// knock returns when p takes connections, when it has left, or when it has had its
// time.
func (s *Set) knock(p *peer) {
	ctx, cancel := context.WithTimeout(s.ctx, joinPatience)
	defer cancel()
	pause := time.NewTicker(joinPause)
	defer pause.Stop()
	for p.flags.Load()&flagDraining == 0 {
		if conn, err := s.dialer.connect(ctx, p.dials, s.times.connect); err == nil {
			conn.Close()
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
	}
}
