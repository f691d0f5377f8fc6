package router

import (
	"slices"
	"strings"
)

// Build makes a table of the entries, which it keeps and never changes, and
// reports the conflicts: entries that are not in it because an earlier one in
// source order claims the same or because they cannot be matched at all, those
// that one of a lower Rank keeps from every request, and those that it keeps from
// some (Conflict.Partial). Their order makes no difference. It takes about 5 ms
// for 30,000 entries; between steps of well below a microsecond it calls giveWay,
// which may let requests through where there is but one processor. nil: it need
// not.
func Build(entries []*Entry, giveWay func()) (*Table, []Conflict) {
	if giveWay == nil {
		giveWay = func() {}
	}
	b := builder{giveWay: giveWay, lost: map[*Entry]bool{}}
	for _, e := range entries {
		if e != nil {
			b.add(e, len(entries))
		}
		giveWay()
	}
	t := b.table()
	b.outrank(t, entries)
	t.entries = slices.DeleteFunc(slices.Clone(entries), func(e *Entry) bool { return e == nil || b.lost[e] })
	slices.SortFunc(b.conflicts, func(x, y Conflict) int {
		if c := strings.Compare(x.Claim, y.Claim); c != 0 {
			return c
		}
		return compareEntries(x.Loser, y.Loser)
	})
	t.conflicts = b.conflicts
	return t, t.Conflicts()
}

// Conflicts returns what Build returned, ordered by claim and loser.
func (t *Table) Conflicts() []Conflict { return slices.Clone(t.conflicts) }

type builder struct {
	giveWay   func()
	layers    []*layerBuilder // by rank
	conflicts []Conflict
	lost      map[*Entry]bool
}

// layerBuilder collects the entries of one rank.
type layerBuilder struct {
	*builder
	rank             Rank
	exact, wildcards *hostsBuilder
	anyHost          []mount
	ranked           []node // what is tried one by one
	broad            bool   // some entry is
}

// layer finds or makes the layer of a rank; expect is how many entries there may be.
func (b *builder) layer(r Rank, expect int) *layerBuilder {
	at, found := slices.BinarySearchFunc(b.layers, r, func(l *layerBuilder, r Rank) int { return int(l.rank) - int(r) })
	if !found {
		b.layers = slices.Insert(b.layers, at, &layerBuilder{builder: b, rank: r, exact: newHostsBuilder(expect), wildcards: newHostsBuilder(0)})
	}
	return b.layers[at]
}

func (b *builder) add(e *Entry, expect int) {
	n, err := newNode(e)
	if err != nil {
		b.conflict(Conflict{Loser: e, Claim: n.describe(), Reason: err.Error()})
		return
	}
	l := b.layer(e.Rank, expect)
	l.broad = l.broad || n.broad
	m := mount{prefix: n.prefix, entry: e}
	switch n.stage() {
	case stageAnyHost:
		l.anyHost = append(l.anyHost, m)
	case stageExact:
		l.exact.add(n.host, m)
	case stageWildcard:
		l.wildcards.add(n.host, m)
	default:
		l.ranked = append(l.ranked, n)
	}
}

func (b *builder) conflict(c Conflict) {
	if c.Loser == c.Winner {
		return // given twice
	}
	if !c.Partial {
		b.lost[c.Loser] = true
	}
	b.conflicts = append(b.conflicts, c)
}

func (b *builder) table() *Table {
	t := &Table{}
	for i, l := range b.layers {
		made := l.build(t)
		// Where broad entries are held back the layer has one before it, if an empty one.
		if i == 0 && !(l.rank >= RankDocker && l.broad) {
			t.first = made
			continue
		}
		t.lower = append(t.lower, made)
	}
	return t
}

func (b *layerBuilder) build(t *Table) layer {
	lost := func(kind Kind) func(host string, loser, winner mount) {
		return func(host string, loser, winner mount) {
			n := node{entry: loser.entry, kind: kind, host: host, prefix: loser.prefix}
			b.conflict(Conflict{Loser: loser.entry, Winner: winner.entry, Claim: n.describe()})
		}
	}
	l := layer{
		rank:      b.rank,
		exact:     b.exact.build(lost(Exact), b.giveWay),
		wildcards: b.wildcards.build(lost(Wildcard), b.giveWay),
		anyHost:   newMounts(b.anyHost, "", lost(AnyHost)),
	}
	var explicit, byPriority []*node
	for _, n := range b.winners() {
		if n.entry.HasPriority {
			explicit = append(explicit, n)
		} else {
			byPriority = append(byPriority, n)
		}
		t.rules = t.rules || n.kind == Rule
	}
	l.explicit, l.byPriority = newRanked(explicit, b.giveWay), newRanked(byPriority, b.giveWay)
	return l
}

// winners returns those of ranked that no earlier entry outdoes.
func (b *layerBuilder) winners() []*node {
	first := make(map[claim]*node, len(b.ranked))
	for i := range b.ranked {
		n := &b.ranked[i]
		if c, ok := n.claim(); ok && (first[c] == nil || compareSources(n, first[c]) < 0) {
			first[c] = n
		}
		b.giveWay()
	}
	l := make([]*node, 0, len(b.ranked))
	for i := range b.ranked {
		n := &b.ranked[i]
		if c, ok := n.claim(); ok && first[c] != n {
			b.conflict(Conflict{Loser: n.entry, Winner: first[c].entry, Claim: n.describe()})
		} else {
			l = append(l, n)
		}
	}
	return l
}
