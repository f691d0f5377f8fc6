package upstream

import (
	"context"
	"slices"
	"time"

	"edgerouter/app"
)

// DefaultDrainGrace is how long requests and upgraded connections may go on at a
// peer that has left its set: as long as load balancers commonly wait for a
// target to deregister, which leaves time for large downloads.
const DefaultDrainGrace = 5 * time.Minute

const (
	// drainLook is how often a peer that has left is looked at, and drainLinger
	// how long it stays at least although it has nothing to do, so that one that
	// comes back at once finds what was known of it.
	drainLook   = 50 * time.Millisecond
	drainLinger = 300 * time.Millisecond
)

// Updatable tells whether Set.Update makes a set of from one of to: whether they
// differ in nothing but addrs and weights. It compares them as they are written,
// before references to secrets are resolved.
func Updatable(from, to app.PeerSetOpts) bool {
	from.Addrs, to.Addrs = nil, nil
	from.Weights, to.Weights = nil, nil
	return app.Equal(from, to)
}

// Update makes addrs and weights those of the running set. On an error, which
// names the option and its value, nothing has changed. After Close it does nothing.
//
// A peer that stays keeps its connections, health, counters and sticky clients. A
// new one joins with its first successful health check, which begins at once, or,
// in a set without them, when it takes a connection; it is asked before that only
// if no other peer will do.
//
// A peer that is not in addrs any more gets no further request: who waits in its
// queue goes on to another, as do its sticky clients. Its idle connections are
// closed now. Requests and upgraded connections go on until they end, for the
// drain grace at most (Deps.DrainGrace), and then are cut; until then Peers shows
// it as draining, for 300 ms at least. If it comes back meanwhile it is the
// peer that it was, except that an ejection is forgiven.
//
// With no addrs the set answers 503 with Retry-After until it gets some again.
func (s *Set) Update(addrs []string, weights map[string]int) error {
	given, err := parseAddresses(addrs)
	if err != nil {
		return err
	}
	if err := checkWeights(weights); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	before := s.balancer.peers()
	next := s.members(before, given)
	// First the list, then what makes its former members unusable: who is about
	// to choose sees one that it can choose from (see balancer.pick).
	s.balancer.reweigh(next, weights)
	s.balancer.replace(next)
	s.dismiss(before, next)

	select {
	case s.changed <- struct{}{}:
	default: // it has not looked since the last time
	}
	s.resolve()
	if len(s.leaving) > 0 && !s.draining {
		s.draining = true
		s.running.Go(func() { s.drain(s.ctx) })
	}
	return nil
}

// members are the peers at the given addresses: those there were, those that come
// back, and new ones. s.mu is held.
func (s *Set) members(before []*peer, given []address) []*peer {
	known := make(map[string]*peer, len(before)+len(s.leaving))
	for _, p := range s.leaving {
		known[p.addr.Raw] = p
	}
	for _, p := range before {
		known[p.addr.Raw] = p
	}
	checked := s.opts.HealthCheck != nil
	next := make([]*peer, 0, len(given))
	for _, a := range given {
		p := known[a.Raw]
		switch {
		case p == nil:
			p = s.newPeer(a)
			s.welcome(p)
		case p.flags.Load()&flagDraining != 0:
			p.gate.open()
			p.conns.rejoin()
			// It may have been started anew: what it failed at before says nothing.
			p.setJoining(checked)
			if p.ejector != nil {
				p.ejector.pardon(p)
			}
			p.setDraining(false)
		}
		next = append(next, p)
	}
	s.leaving = slices.DeleteFunc(s.leaving, func(p *peer) bool { return p.flags.Load()&flagDraining == 0 })
	return next
}

// dismiss has those of before that are not in next leave. s.mu is held.
func (s *Set) dismiss(before, next []*peer) {
	stays := make(map[*peer]bool, len(next))
	for _, p := range next {
		stays[p] = true
	}
	now := time.Now()
	for _, p := range before {
		if stays[p] {
			continue
		}
		p.setDraining(true)
		p.gate.close()
		p.conns.leave()
		p.leftAt = now
		s.leaving = append(s.leaving, p)
		s.log.Debug().Str("peer", p.addr.Raw).Int64("in_flight", p.inFlight.Load()).Msg("a peer leaves")
	}
}

// drain looks after the peers that have left until none is left.
func (s *Set) drain(ctx context.Context) {
	ticker := time.NewTicker(drainLook)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if s.release(time.Now()) {
				return
			}
		}
	}
}

// release forgets the peers that are done, or have had their time. It tells
// whether there are no others.
func (s *Set) release(now time.Time) (all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving = slices.DeleteFunc(s.leaving, func(p *peer) bool {
		left, busy := now.Sub(p.leftAt), p.inFlight.Load()
		switch {
		case busy == 0 && left >= min(drainLinger, s.grace):
			p.conns.close()
		case left >= s.grace:
			s.log.Warn().Str("peer", p.addr.Raw).Int64("in_flight", busy).Dur("grace", s.grace).
				Msg("the drain grace of a peer that left is over; what goes on there is cut")
			p.conns.close()
			p.conns.cut()
		default:
			return false
		}
		return true
	})
	s.draining = len(s.leaving) > 0
	return !s.draining
}
