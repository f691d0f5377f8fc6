package upstream

// DrainPeer takes the peer at addr, as addrs writes it, out of balancing or puts
// it back: for an operator who is about to work on it. It tells whether there is
// such a peer.
//
// A drained peer has weight 0: it gets no new clients, while sticky ones still
// reach it and requests that it has go on. It stays drained when addrs and
// weights change, also if the address leaves and comes back; a set that is built
// anew knows nothing of it.
func (s *Set) DrainPeer(addr string, drain bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	peers := s.balancer.peers()
	found := false
	for _, p := range peers {
		if p.addr.Raw != addr {
			continue
		}
		found = true
		s.balancer.hold(addr, drain)
		p.set(flagHeld, drain)
		p.weight.Store(s.balancer.weightOf(p))
		s.log.Info().Str("peer", addr).Bool("drained", drain).Msg("an operator changed whether a peer is drained")
	}
	if found {
		s.balancer.replace(peers) // the list draws by weight
	}
	return found
}

// hold notes that an operator drains the peer at an address, or no longer does.
func (b *balancer) hold(addr string, on bool) {
	if !on {
		delete(b.held, addr)
		return
	}
	if b.held == nil {
		b.held = map[string]bool{}
	}
	b.held[addr] = true
}
