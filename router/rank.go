package router

import "bytes"

// Rank says whose word an entry is: among entries of different ranks that take a
// request, the lowest rank wins whatever their kinds and priorities.
type Rank uint8

// The ranks of sources. Whoever writes files or the event log runs the edge;
// whoever starts a container or may write to a bucket need not.
const (
	RankFile Rank = iota
	RankStream
	RankDocker
	RankS3
)

// layer holds the entries of one rank, in the form in which they are searched.
type layer struct {
	rank       Rank
	explicit   *ranked // with explicit priority, nil: none
	anyHost    mounts
	exact      hosts
	wildcards  hosts   // by what follows "*."
	byPriority *ranked // regexps and rules, nil: none
}

// find returns the first entry of the layer that takes the request and whether it
// is broad (see node.broad). host is canonical. narrow leaves broad ones out.
func (l *layer) find(host, path []byte, a Attributes, narrow bool) (e *Entry, broad bool) {
	if n := l.explicit.find(host, path, a, narrow); n != nil {
		return n.entry, n.broad
	}
	if !narrow {
		if e := l.anyHost.find(path); e != nil {
			return e, true
		}
	}
	if s := l.exact.find(host); s != nil {
		if e := s.find(path); e != nil {
			return e, false
		}
	}
	if !narrow && len(l.wildcards.sites) > 0 {
		if domain := parentDomain(host); domain != nil {
			if s := l.wildcards.find(domain); s != nil {
				if e := s.find(path); e != nil {
					return e, true
				}
			}
		}
	}
	if n := l.byPriority.find(host, path, a, narrow); n != nil {
		return n.entry, n.broad
	}
	return nil, false
}

// names reports whether an entry of the layer says by name or by pattern that the
// host is its own. What takes any host names none.
func (l *layer) names(host []byte) bool {
	if l.exact.find(host) != nil {
		return true
	}
	domain := parentDomain(host)
	if domain != nil && l.wildcards.find(domain) != nil {
		return true
	}
	return l.explicit.names(host, domain) || l.byPriority.names(host, domain)
}

func (r *ranked) names(host, domain []byte) bool {
	if r == nil {
		return false
	}
	if len(r.byHost[string(host)]) > 0 || domain != nil && len(r.byDomain[string(domain)]) > 0 {
		return true
	}
	for _, n := range r.any {
		if n.names(host) {
			return true
		}
	}
	return false
}

// challenges is where a certificate authority asks for proof that a host is the
// edge's (RFC 8555 section 8.3).
var challenges = []byte("/.well-known/acme-challenge/")

// barred reports whether a broad entry of lower[i] may not have the request: the
// host is named by a layer before it, or what the path asks for would let
// whoever answers get certificates for hosts that are not its own.
func (t *Table) barred(i int, host, path []byte) bool {
	if t.lower[i].rank >= RankDocker && bytes.HasPrefix(path, challenges) {
		return true
	}
	return t.namedBefore(i, host)
}

// namedBefore reports whether a layer before lower[i] names the host.
func (t *Table) namedBefore(i int, host []byte) bool {
	if t.first.names(host) {
		return true
	}
	for k := range t.lower[:i] {
		if t.lower[k].names(host) {
			return true
		}
	}
	return false
}

// matchLower goes through the layers after the first, with a canonical host.
func (t *Table) matchLower(host, path []byte, a Attributes) *Entry {
	for i := range t.lower {
		l := &t.lower[i]
		e, broad := l.find(host, path, a, false)
		if broad && t.barred(i, host, path) {
			e, _ = l.find(host, path, a, true)
		}
		if e != nil {
			return e
		}
	}
	return nil
}

// before are the layers before lower[i].
func (t *Table) before(i int) []*layer {
	list := []*layer{&t.first}
	for k := range t.lower[:i] {
		list = append(list, &t.lower[k])
	}
	return list
}

// lowerOf is the place in lower of a rank; -1: it is that of the first layer.
func (t *Table) lowerOf(r Rank) int {
	for i := range t.lower {
		if t.lower[i].rank == r {
			return i
		}
	}
	return -1
}
