package upstream

import "time"

// RaceEnabled tells whether the race detector is on.
const RaceEnabled = raceEnabled

// Waiting is how many requests wait for the first peer, Inside how many are in.
func (s *Set) Waiting() int { return int(s.balancer.peers()[0].gate.waiting()) }

// WaitingAtAll is how many requests wait for all peers.
func (s *Set) WaitingAtAll() (n int) {
	for _, p := range s.balancer.peers() {
		n += int(p.gate.waiting())
	}
	return n
}

// Inside is described with Waiting.
func (s *Set) Inside() int { return int(s.balancer.peers()[0].gate.inside()) }

// SetLinger changes how long a half-closed tunnel may be silent.
func (s *Set) SetLinger(d time.Duration) { s.times.linger = d }

// CloseIdle does what is done when the name of the first peer has got other
// addresses.
func (s *Set) CloseIdle() { s.balancer.peers()[0].conns.closeIdle() }

// H2Waiting is how many requests wait for a connection to the first peer.
func (s *Set) H2Waiting() int {
	pl := s.balancer.peers()[0].conns.h2
	pl.mu.Lock()
	defer pl.mu.Unlock()
	return pl.waiting
}

// OpenConns is how many connections are known to the first peer's pool.
func (s *Set) OpenConns() int {
	pl := s.balancer.peers()[0].conns
	if pl.h2 != nil {
		pl.h2.mu.Lock()
		defer pl.h2.mu.Unlock()
		return len(pl.h2.all)
	}
	pl.mu.Lock()
	defer pl.mu.Unlock()
	return len(pl.open)
}
