package router

import "hash/maphash"

// site is a host, or a wildcard's domain, and its prefixes.
type site struct {
	sum  uint64 // hash of host, 0: the place is free
	host string // canonical
	mounts
	_ [8]byte // a site is one cache line
}

// hosts finds a site by its host. It is a hash table of open addressing and not
// a map because what a lookup among thousands of hosts takes is mostly waiting
// for memory: here it waits for the site, and then for the host's text and the
// prefixes, which it can ask for at once.
type hosts struct {
	seed  maphash.Seed
	sites []site // a power of two of them, at most three quarters in use
}

// find returns nil when there is no such host.
func (h *hosts) find(host []byte) *site {
	if len(h.sites) == 0 {
		return nil
	}
	sum := maphash.Bytes(h.seed, host) | 1
	mask := uint64(len(h.sites) - 1)
	for i := sum >> 1; ; i++ {
		s := &h.sites[i&mask]
		if s.sum == sum && s.host == string(host) {
			return s
		}
		if s.sum == 0 {
			return nil
		}
	}
}
