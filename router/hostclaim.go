package router

// hostsOf says what a rule can be told by the host alone: may is false when no
// request for the host is taken, must is true when all of them are.
func hostsOf(m Matcher, host []byte) (may, must bool) {
	switch m := m.(type) {
	case and:
		may, must = true, true
		for _, x := range m.ms {
			mayX, mustX := hostsOf(x, host)
			may, must = may && mayX, must && mustX
		}
		return may, must
	case or:
		for _, x := range m.ms {
			mayX, mustX := hostsOf(x, host)
			may, must = may || mayX, must || mustX
		}
		return may, must
	case not:
		may, must = hostsOf(m.m, host)
		return !must, !may
	case interface{ onlyHosts() }:
		is := m.(Matcher).Match(host, nil, nil)
		return is, is
	}
	return true, false
}

// The matchers that look at nothing but the host.
func (host) onlyHosts()         {}
func (hostRegexp) onlyHosts()   {}
func (hostMatches) onlyHosts()  {}
func (hostWildcard) onlyHosts() {}
func (everyHost) onlyHosts()    {}

// mayTakeHost reports whether the node can take any request for the host, which
// is canonical.
func (n *node) mayTakeHost(host []byte) bool {
	switch n.kind {
	case Exact:
		return n.host == string(host)
	case Wildcard:
		domain := parentDomain(host)
		return domain != nil && n.host == string(domain)
	case Regexp:
		return n.entry.HostRegexp.match(host)
	case Rule:
		may, _ := hostsOf(n.entry.Rule, host)
		return may
	}
	return true
}

// nobodys are hosts that nobody has. An expression that takes one of them was
// not written for certain hosts.
var nobodys = [...][]byte{[]byte("x0-q7z.invalid"), []byte("q.zz9.x0-q7z.invalid"), []byte("x0q7z")}

// names reports whether the node was written for certain hosts and this is one.
func (n *node) names(host []byte) bool {
	if n.kind == AnyHost || !n.mayTakeHost(host) {
		return false
	}
	for _, h := range nobodys {
		if n.mayTakeHost(h) {
			return false
		}
	}
	return true
}

// onlyHosts are the hosts that the node can take, when they can be listed.
func (n *node) onlyHosts() (hosts []string, ok bool) {
	switch n.kind {
	case Exact:
		return []string{n.host}, true
	case Regexp:
		if n.entry.HostRegexp.re == nil {
			return []string{string(n.entry.HostRegexp.before)}, true
		}
	case Rule:
		if b, is := n.entry.Rule.(hostBound); is {
			return b.boundHosts()
		}
	}
	return nil, false
}

// isBroad reports whether the node can take more hosts than it lists.
func (n *node) isBroad() bool {
	switch n.kind {
	case Exact:
		return false
	case Regexp:
		return n.entry.HostRegexp.re != nil
	case Rule:
		_, bound := n.onlyHosts()
		return !bound
	}
	return true
}

// pathOf is what the paths that a rule takes begin with; "" when it does not say.
func pathOf(m Matcher) string {
	switch m := m.(type) {
	case pathPrefix:
		return string(m)
	case exactPath:
		return string(m)
	case and:
		longest := ""
		for _, x := range m.ms {
			if p := pathOf(x); len(p) > len(longest) {
				longest = p
			}
		}
		return longest
	}
	return ""
}
