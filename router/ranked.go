package router

import "slices"

// ranked holds entries that are tried one by one in an order that is not given
// by their host: explicit priorities, regexps, rules. Those that can only take
// requests for certain hosts are found by these hosts, so that many rules such
// as Host(`a`) && Method(`GET`) cost no more than few.
type ranked struct {
	byHost   map[string][]*node
	byDomain map[string][]*node // wildcards, by what follows "*."
	any      []*node
}

// hostBound is implemented by matchers that know the only hosts they can take.
// Hosts are canonical and may repeat; ok false means that it may be any host.
// The slice is not changed.
type hostBound interface {
	boundHosts() (hosts []string, ok bool)
}

// newRanked keeps the nodes, which must be without conflicts.
func newRanked(nodes []*node, giveWay func()) *ranked {
	if len(nodes) == 0 {
		return nil
	}
	slices.SortFunc(nodes, compareNodes)
	r := &ranked{byHost: make(map[string][]*node, len(nodes)), byDomain: map[string][]*node{}}
	for i, n := range nodes {
		giveWay()
		n.rank = i
		switch n.kind {
		case Exact:
			r.byHost[n.host] = append(r.byHost[n.host], n)
			continue
		case Wildcard:
			r.byDomain[n.host] = append(r.byDomain[n.host], n)
			continue
		case Rule:
			if b, ok := n.entry.Rule.(hostBound); ok {
				if hosts, ok := b.boundHosts(); ok {
					for _, host := range hosts {
						if l := r.byHost[host]; len(l) == 0 || l[len(l)-1] != n {
							r.byHost[host] = append(l, n)
						}
					}
					continue
				}
			}
		}
		r.any = append(r.any, n)
	}
	return r
}

// find tries the nodes that may take the host, in order. host is canonical. A nil
// ranked holds nothing.
// narrow leaves out the broad ones.
func (r *ranked) find(host, path []byte, a Attributes, narrow bool) *node {
	if r == nil {
		return nil
	}
	l := [...][]*node{r.any, nil, nil}
	if len(r.byHost) > 0 {
		l[1] = r.byHost[string(host)]
	}
	if len(r.byDomain) > 0 {
		if domain := parentDomain(host); domain != nil {
			l[2] = r.byDomain[string(domain)]
		}
	}
	for {
		next := -1
		for i := range l {
			if len(l[i]) > 0 && (next < 0 || l[i][0].rank < l[next][0].rank) {
				next = i
			}
		}
		if next < 0 {
			return nil
		}
		n := l[next][0]
		l[next] = l[next][1:]
		if !(narrow && n.broad) && n.takes(host, path, a) {
			return n
		}
	}
}

// takes says whether the node takes a request whose host is one that it was
// found by.
func (n *node) takes(host, path []byte, a Attributes) bool {
	if !n.underPrefix(path) {
		return false
	}
	switch n.kind {
	case Regexp:
		return n.entry.HostRegexp.match(host)
	case Rule:
		return n.entry.Rule.Match(host, path, a)
	}
	return true
}
