package router

import (
	"cmp"
	"fmt"
	"slices"
)

// Explanation says what Match does with a request and why.
type Explanation struct {
	Host, Path string // in canonical form
	Winner     *Entry // nil: nothing matches
	Why        string
	Losers     []Loser // in the order in which they would have been tried, conflicts last
}

// Loser is an entry that has to do with the request and did not win it.
type Loser struct {
	Entry *Entry
	// Matches is true when the entry would take the request if those before
	// it were gone.
	Matches bool
	Why     string
}

// Explain says which entry takes the request and why the others that have to do
// with it do not: those that match as well and come later, those of the same
// host whose prefix does not fit, and those that were left out because of a
// conflict. path may be raw, it is normalized here. Explain looks at every
// entry and is for people, not for requests.
func (t *Table) Explain(host, path []byte, a Attributes) Explanation {
	host = trimHost(host)
	host = appendLower(make([]byte, 0, len(host)), host)
	x := Explanation{Host: string(host), Path: string(path)}
	normal, err := NormalizePath(nil, path)
	if err != nil {
		x.Why = "the request is refused: " + err.Error()
		return x
	}
	x.Path = string(normal)

	candidates, near := t.candidates(host, normal, a)
	if len(candidates) == 0 {
		x.Why = "no frontend takes this host and path"
	} else {
		x.Winner = candidates[0].entry
		x.Why = candidates[0].why()
	}
	if x.Winner != nil {
		raw := path[:pathEnd(path)]
		var other *ambiguity
		if special, _ := look(raw); special {
			other = t.refusing(host, raw, a, x.Winner)
		}
		if other == nil && hasUpper(normal) {
			other = t.byCase(host, normal, a, x.Winner)
		}
		if other != nil {
			belongs := "nobody"
			if other.entry != nil {
				belongs = other.entry.name()
			}
			x.Winner = nil
			x.Why = fmt.Sprintf("the request is refused: read as some servers do (%s) the path is %q, which belongs to %s, and as it is it belongs to %s",
				other.servers, other.path, belongs, candidates[0].entry.name())
		}
	}

	losers := append(candidates, near...)
	slices.SortFunc(losers, compareNodes)
	losers = slices.CompactFunc(losers, func(a, b *node) bool { return a.entry == b.entry })
	for _, n := range losers {
		switch {
		case n.entry == x.Winner:
		case n.underPrefix(normal) && t.heldBack(n, host, normal):
			x.Losers = append(x.Losers, Loser{Entry: n.entry, Why: t.whyHeldBack(n, host)})
		case !n.underPrefix(normal):
			x.Losers = append(x.Losers, Loser{Entry: n.entry, Why: fmt.Sprintf("the host fits, but the path is not under its prefix %s", cmp.Or(n.prefix, "/"))})
		case x.Winner == nil:
			x.Losers = append(x.Losers, Loser{Entry: n.entry, Matches: true, Why: "the request is refused because of its path"})
		default:
			x.Losers = append(x.Losers, Loser{Entry: n.entry, Matches: true, Why: n.whyAfter(candidates[0])})
		}
	}
	x.Losers = append(x.Losers, t.outdone(host, normal, a)...)
	return x
}

// candidates returns the nodes that take the request, in order, and those whose
// host fits while their prefix does not.
func (t *Table) candidates(host, path []byte, a Attributes) (matching, near []*node) {
	for _, e := range t.entries {
		n, err := newNode(e)
		if err != nil || !n.takesHost(host) {
			continue
		}
		switch {
		case n.takes(host, path, a) && !t.heldBack(&n, host, path):
			matching = append(matching, &n)
		case n.takes(host, path, a):
			near = append(near, &n)
		case n.kind != AnyHost && n.kind != Rule:
			near = append(near, &n)
		}
	}
	slices.SortFunc(matching, compareNodes)
	return matching, near
}

// outdone returns the losers of conflicts that would take the request.
func (t *Table) outdone(host, path []byte, a Attributes) []Loser {
	var l []Loser
	for _, c := range t.conflicts {
		if c.Partial {
			continue // it is among the entries
		}
		if n, err := newNode(c.Loser); err == nil && n.takesHost(host) && n.takes(host, path, a) {
			why := cmp.Or(c.Reason, "which comes first in source order")
			l = append(l, Loser{Entry: c.Loser, Why: fmt.Sprintf("conflict: %s is taken by %s, %s", c.Claim, c.Winner.name(), why)})
		}
	}
	return l
}

// heldBack reports whether a node that takes the request may not have it because
// of its rank.
func (t *Table) heldBack(n *node, host, path []byte) bool {
	i := t.lowerOf(n.entry.Rank)
	return n.broad && i >= 0 && t.barred(i, host, path)
}

func (t *Table) whyHeldBack(n *node, host []byte) string {
	if t.namedBefore(t.lowerOf(n.entry.Rank), host) {
		return "an application of a source that comes first names this host, so that nothing for several hosts of this source takes it"
	}
	return "nothing for several hosts of this source takes what certificate authorities ask for"
}

// takesHost says whether the node would be found by a host. For regexps and
// rules that is left to takes.
func (n *node) takesHost(host []byte) bool {
	switch n.kind {
	case Exact:
		return n.host == string(host)
	case Wildcard:
		return n.host == string(parentDomain(host))
	}
	return n.kind != Regexp || n.entry.HostRegexp.match(host)
}

// why says what makes the node win.
func (n *node) why() string {
	s := fmt.Sprintf("%s %s takes it", n.kind, n.describe())
	if !n.entry.HasPriority {
		return s + "; " + [...]string{
			stageAnyHost:    "prefixes of any host are tried first, the longest first",
			stageExact:      "exact hosts are tried before wildcards, regexps and rules, the longest prefix first",
			stageWildcard:   "wildcard hosts are tried before regexps and rules, the longest prefix first",
			stageByPriority: fmt.Sprintf("regexps and rules are tried by priority, by default the length of their text, here %d", n.natural),
		}[n.stage()]
	}
	return s + "; an explicit priority goes before everything else, the highest first"
}

// whyAfter says why the node comes after the winner.
func (n *node) whyAfter(winner *node) string {
	switch w, e := winner.entry, n.entry; {
	case w.Rank != e.Rank:
		return "its source comes after the winner's, whatever priorities say"
	case w.HasPriority && !e.HasPriority:
		return fmt.Sprintf("it has no explicit priority, the winner has %d", w.Priority)
	case w.HasPriority && w.Priority != e.Priority:
		return fmt.Sprintf("its priority %d is lower than the winner's %d", e.Priority, w.Priority)
	case n.naturalStage() != winner.naturalStage():
		return fmt.Sprintf("%s is tried after %s", n.kind, winner.kind)
	case n.natural != winner.natural:
		if n.entry.HasRulePriority || winner.entry.HasRulePriority {
			return fmt.Sprintf("its rule priority %d is lower than the winner's %d", n.natural, winner.natural)
		}
		return fmt.Sprintf("its default priority %d (length of its text) is lower than the winner's %d", n.natural, winner.natural)
	case len(n.prefix) != len(winner.prefix):
		return fmt.Sprintf("its prefix %s is shorter than the winner's %s", cmp.Or(n.prefix, "/"), winner.prefix)
	case n.kind != winner.kind:
		return fmt.Sprintf("%s is tried after %s of the same priority", n.kind, winner.kind)
	}
	return "it is equal to the winner in everything and comes later in source order"
}
