package router

import (
	"cmp"
	"fmt"
	"strings"
)

// reasonRank is why an entry loses that claims what a higher source has.
const reasonRank = "its source goes before, whatever priorities say"

// outrank finds the entries that those of lower ranks keep from requests that
// would be theirs among their own.
func (b *builder) outrank(t *Table, entries []*Entry) {
	if len(b.layers) < 2 {
		return
	}
	var found []Conflict // told at the end: what is lost here still names its hosts
	for _, e := range entries {
		b.giveWay()
		if e == nil || b.lost[e] || e.Rank == b.layers[0].rank {
			continue
		}
		n, err := newNode(e)
		if err != nil {
			continue
		}
		above := t.before(t.lowerOf(e.Rank))
		var c Conflict
		if n.broad {
			c = b.outrankBroad(&n, above, entries)
		} else {
			c = outrankListed(&n, above)
		}
		if c.Winner != nil {
			found = append(found, c)
		}
	}
	for _, c := range found {
		b.conflict(c)
	}
}

// path is what the paths that the node takes begin with.
func (n *node) path() string {
	path := n.prefix
	if n.kind == Rule {
		if p := pathOf(n.entry.Rule); len(p) > len(path) {
			path = p
		}
	}
	return cmp.Or(path, "/")
}

// outrankListed is for an entry that lists its hosts. The conflict has no winner
// when there is none.
func outrankListed(n *node, above []*layer) Conflict {
	hosts, _ := n.onlyHosts()
	var winner *Entry
	where, all := "", true
	for _, host := range hosts {
		w, whole := taker(above, host, n)
		if w != nil && winner == nil {
			winner, where = w, host
		}
		all = all && whole
	}
	c := Conflict{Loser: n.entry, Winner: winner, Claim: n.describe(), Reason: reasonRank}
	if !all {
		c.Partial = true
		c.Reason = fmt.Sprintf("requests for %s go to it first: %s", where, reasonRank)
	}
	return c
}

// taker returns the entry of a layer that has the first word on a host where the
// node is, and whether it leaves nothing.
func taker(above []*layer, host string, n *node) (winner *Entry, whole bool) {
	path := []byte(n.path())
	named := false
	for _, l := range above {
		e, covers := l.taker([]byte(host), path, n, named)
		if covers {
			return e, true
		}
		if winner == nil {
			winner = e
		}
		named = named || l.names([]byte(host))
	}
	return winner, false
}

// taker is the function of the same name for one layer; named: one before it names
// the host.
func (l *layer) taker(host, path []byte, n *node, named bool) (winner *Entry, whole bool) {
	look := func(e *Entry) bool {
		if e == nil {
			return false
		}
		other, err := newNode(e)
		if err != nil || other.broad && named {
			return false
		}
		if winner == nil {
			winner = e
		}
		whole = other.coversPaths(n) && !(other.broad && l.rank >= RankDocker) // which leaves challenges
		if whole {
			winner = e
		}
		return whole
	}
	for _, r := range []*ranked{l.explicit, l.byPriority} {
		for _, o := range r.of(host) {
			switch {
			case !o.mayTakeHost(host) || o.broad && named:
			case o.kind != Rule:
				if o.underPrefix(path) && look(o.entry) {
					return winner, true
				}
			case o.text != "" && o.text == n.text && o.prefix == n.prefix && o.textual() == n.textual():
				return o.entry, true
			case winner == nil && o.names(host) && (n.raised() || compareInRank(n, o) < 0):
				winner = o.entry // it has some of the requests
			}
		}
	}
	if look(l.anyHost.find(path)) {
		return winner, true
	}
	if s := l.exact.find(host); s != nil {
		if look(s.find(path)) {
			return winner, true
		}
		if winner == nil && n.raised() && len(s.list) > 0 {
			winner = s.list[0].entry
		}
	}
	if domain := parentDomain(host); domain != nil {
		if s := l.wildcards.find(domain); s != nil && look(s.find(path)) {
			return winner, true
		}
	}
	return winner, false
}

// of are the nodes that are looked at for a host, in no order.
func (r *ranked) of(host []byte) []*node {
	if r == nil {
		return nil
	}
	list := r.any[:len(r.any):len(r.any)]
	list = append(list, r.byHost[string(host)]...)
	return append(list, r.byDomain[string(parentDomain(host))]...)
}

// coversPaths reports whether n, which takes the beginning of o's paths, takes all
// of them.
func (n *node) coversPaths(o *node) bool {
	if n.prefix == "" || n.textual() == 1 {
		return strings.HasPrefix(o.path(), n.prefix)
	}
	path := o.path()
	if !under([]byte(path), n.prefix) {
		return false
	}
	// A prefix as text, as rules have it, also goes on within its last segment.
	return len(path) > len(n.prefix) || o.kind != Rule && o.textual() == 0
}

// raised reports whether somebody gave the node a number to go before others.
func (n *node) raised() bool {
	e := n.entry
	return e.HasPriority || e.HasRulePriority && e.RulePriority > len(e.Text)
}

// outrankBroad is for an entry that may take hosts that it does not list: it has
// no part in those that others name.
func (b *builder) outrankBroad(n *node, above []*layer, entries []*Entry) Conflict {
	claim := Conflict{Loser: n.entry, Claim: n.describe(), Reason: reasonRank}
	for _, l := range above {
		e := l.anyHost.find([]byte(n.path()))
		if e == nil {
			e = l.same(n)
		}
		if e == nil {
			continue
		}
		if other, err := newNode(e); err == nil && other.coversPaths(n) {
			claim.Winner = e
			return claim
		}
	}
	var first *node
	for _, e := range entries {
		b.giveWay()
		if e == nil || b.lost[e] || e.Rank >= n.entry.Rank || first != nil && compareEntries(first.entry, e) <= 0 {
			continue
		}
		o, err := newNode(e)
		if err != nil || !n.overlaps(&o) {
			continue
		}
		if n.raised() || compareInRank(n, &o) < 0 || o.prefix != "" || o.kind == Rule {
			first = &o
		}
	}
	if first != nil {
		claim.Winner, claim.Partial = first.entry, true
		claim.Reason = fmt.Sprintf("it serves no host that an application of a higher source names, such as %s", first.describe())
	}
	return claim
}

// same is an entry for the same hosts as a broad node, which is no rule.
func (l *layer) same(n *node) *Entry {
	path := []byte(n.path())
	if n.kind == Wildcard {
		if s := l.wildcards.find([]byte(n.host)); s != nil {
			if e := s.find(path); e != nil {
				return e
			}
		}
	}
	for _, r := range []*ranked{l.explicit, l.byPriority} {
		if r == nil {
			continue
		}
		list := r.any
		if n.kind == Wildcard {
			list = append(list[:len(list):len(list)], r.byDomain[n.host]...)
		}
		for _, o := range list {
			if o.kind == n.kind && o.host == n.host && o.text == n.text && o.underPrefix(path) && (n.kind != Rule || n.text != "") {
				return o.entry
			}
		}
	}
	return nil
}

// overlaps reports whether a broad node may take a host that o names. Two
// patterns are only compared where one takes any host.
func (n *node) overlaps(o *node) bool {
	if hosts, ok := o.onlyHosts(); ok {
		for _, h := range hosts {
			if n.mayTakeHost([]byte(h)) {
				return true
			}
		}
		return false
	}
	switch {
	case o.kind == AnyHost:
		return false
	case o.kind == Wildcard:
		return n.mayTakeHost([]byte("x0q7z."+o.host)) || n.kind == Wildcard && n.host == o.host
	}
	if o.mayTakeHost(nobodys[0]) {
		return false
	}
	for _, h := range nobodys {
		if n.mayTakeHost(h) {
			return true
		}
	}
	return false
}
