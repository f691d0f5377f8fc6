package router

import "hash/maphash"

// hostsBuilder collects who claims which prefix of which host. It makes few
// allocations however many hosts there are, because a table is built anew at
// each change of the configuration, on the processor that serves requests.
type hostsBuilder struct {
	seed   maphash.Seed
	slots  []slot
	sites  []claimedSite
	claims []siteClaim
	bytes  int // of all hosts and prefixes
}

// slot is a place in the builder's hash table.
type slot struct {
	tag  uint32 // upper half of the hash
	site int32  // index plus one, 0: the slot is free
}

type claimedSite struct {
	host  string
	sum   uint64 // hash of host
	first int32  // index plus one into claims, the last that was added
}

type siteClaim struct {
	mount
	next int32 // of the same site, index plus one
}

// newHostsBuilder is given the number of claims to expect.
func newHostsBuilder(claims int) *hostsBuilder {
	return &hostsBuilder{
		seed:   maphash.MakeSeed(),
		slots:  make([]slot, 64),
		claims: make([]siteClaim, 0, claims),
	}
}

func (b *hostsBuilder) add(host string, m mount) {
	at := b.site(host)
	b.claims = append(b.claims, siteClaim{mount: m, next: at.first})
	at.first = int32(len(b.claims))
	b.bytes += len(m.prefix)
}

// site finds or makes the site of a host. The pointer is good until the next
// call.
func (b *hostsBuilder) site(host string) *claimedSite {
	sum := maphash.String(b.seed, host) | 1
	mask := uint64(len(b.slots) - 1)
	i := sum >> 1 & mask
	for ; b.slots[i].site != 0; i = (i + 1) & mask {
		if s := b.slots[i]; s.tag == uint32(sum>>32) {
			if at := &b.sites[s.site-1]; at.host == host {
				return at
			}
		}
	}
	b.sites = append(b.sites, claimedSite{host: host, sum: sum})
	b.slots[i] = slot{tag: uint32(sum >> 32), site: int32(len(b.sites))}
	if len(b.sites) > len(b.slots)/4*3 {
		b.grow()
	}
	b.bytes += len(host)
	return &b.sites[len(b.sites)-1]
}

func (b *hostsBuilder) grow() {
	b.slots = make([]slot, 2*len(b.slots))
	mask := uint64(len(b.slots) - 1)
	for n, s := range b.sites {
		i := s.sum >> 1 & mask
		for ; b.slots[i].site != 0; i = (i + 1) & mask {
		}
		b.slots[i] = slot{tag: uint32(s.sum >> 32), site: int32(n + 1)}
	}
}

// build returns the finished table. lost is told of each entry that claims what
// an earlier one has, giveWay is called between steps.
func (b *hostsBuilder) build(lost func(host string, loser, winner mount), giveWay func()) hosts {
	if len(b.sites) == 0 {
		return hosts{}
	}
	h := hosts{seed: b.seed, sites: make([]site, len(b.slots))}
	mask := uint64(len(h.sites) - 1)
	// The text of a site lies together, and so do its mounts: what a lookup
	// reads after each other is then next to each other in memory.
	text := make([]byte, 0, b.bytes)
	for i := range b.sites {
		s := &b.sites[i]
		text = append(text, s.host...)
		for c := s.first; c != 0; c = b.claims[c-1].next {
			text = append(text, b.claims[c-1].prefix...)
		}
		giveWay()
	}
	rest := string(text)
	cut := func(n int) (s string) {
		s, rest = rest[:n], rest[n:]
		return s
	}
	arena := make([]mount, 0, len(b.claims))
	for i := range b.sites {
		s := &b.sites[i]
		s.host = cut(len(s.host))
		from := len(arena)
		for c := s.first; c != 0; c = b.claims[c-1].next {
			m := b.claims[c-1].mount
			arena = append(arena, mount{prefix: cut(len(m.prefix)), entry: m.entry})
		}
		m := newMounts(arena[from:len(arena):len(arena)], s.host, lost)
		arena = arena[:from+len(m.list)]
		at := s.sum >> 1 & mask
		for h.sites[at].sum != 0 {
			at = (at + 1) & mask
		}
		h.sites[at] = site{sum: s.sum, host: s.host, mounts: m}
		giveWay()
	}
	return h
}
