package server

import (
	"hash/maphash"
	"net/netip"
	"sync"
)

// perAddress counts the open connections of each client address. It is divided,
// so that listeners and connections that end do not wait for each other.
type perAddress struct {
	most   int // 0: no limit, and nothing is counted
	seed   maphash.Seed
	shards [32]addressShard
}

type addressShard struct {
	mu   sync.Mutex
	open map[netip.Addr]int
	_    [48]byte // a cache line of its own
}

func (p *perAddress) shard(a netip.Addr) *addressShard {
	return &p.shards[maphash.Comparable(p.seed, a)%uint64(len(p.shards))]
}

// enter counts a connection, unless its address has enough of them.
func (p *perAddress) enter(a netip.Addr) bool {
	s := p.shard(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.open[a]
	if n >= p.most {
		return false
	}
	if s.open == nil {
		s.open = map[netip.Addr]int{}
	}
	s.open[a] = n + 1
	return true
}

// leave takes a connection off the count.
func (p *perAddress) leave(a netip.Addr) {
	s := p.shard(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.open[a]; n > 1 {
		s.open[a] = n - 1
	} else {
		delete(s.open, a)
	}
}

// subscriber is what counts as one client: an IPv4 address, or the /64 that one
// subscriber has all of (RFC 6177 section 2).
func subscriber(a netip.Addr) netip.Addr {
	if a.Is6() {
		p, _ := a.Prefix(64)
		return p.Addr()
	}
	return a
}

// admitted reports whether the connection may be open: its address has a place
// for it, or none is needed. Trusted proxies need none, because many clients
// stand behind them.
func (c *conn) admitted() bool {
	s := c.srv
	if s.perAddress.most <= 0 || c.trusted || !c.peer.IsValid() {
		return true
	}
	a := subscriber(c.peer)
	if !s.perAddress.enter(a) {
		s.limited(limitPerAddress, c.peer)
		return false
	}
	c.counted = a
	return true
}
