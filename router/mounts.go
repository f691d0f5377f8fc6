package router

import (
	"cmp"
	"slices"
	"sort"
	"strings"
)

// mount is a path prefix and who has it.
type mount struct {
	prefix string // canonical
	entry  *Entry
}

// takes is asked for each prefix of a host. Whether it is one by segments only
// matters where it ends within a segment.
func (m *mount) takes(path []byte) bool {
	n := len(m.prefix)
	return len(path) >= n && string(path[:n]) == m.prefix && (len(path) == n || path[n] == '/' || n == 0 || m.entry.StringPrefix)
}

// sameText orders mounts that have the same prefix: by segments goes first, as
// it takes less, unless both take everything.
func (m *mount) sameText(o *mount) int {
	switch {
	case m.prefix == "" || m.entry.StringPrefix == o.entry.StringPrefix:
		return 0
	case o.entry.StringPrefix:
		return -1
	}
	return 1
}

// mounts finds the longest prefix of a path.
type mounts struct {
	// list is ordered longest prefix first as long as it is short; a long one
	// is ordered by prefix and up says for each the longest other prefix that
	// it begins with, -1 when there is none.
	list []mount
	up   *[]int32
}

// scanLimit is the length up to which going through the list is faster.
const scanLimit = 12

// newMounts sorts the list and keeps it. Where several entries have the same
// prefix the first in source order stays, and lost is told of the others and
// whose list it is.
func newMounts(list []mount, host string, lost func(host string, loser, winner mount)) mounts {
	if len(list) > 1 {
		slices.SortFunc(list, func(a, b mount) int {
			if len(a.prefix) != len(b.prefix) {
				return len(b.prefix) - len(a.prefix)
			}
			if c := cmp.Or(strings.Compare(a.prefix, b.prefix), a.sameText(&b)); c != 0 {
				return c
			}
			return compareEntries(a.entry, b.entry)
		})
		n := 1
		for _, m := range list[1:] {
			if winner := list[n-1]; winner.prefix == m.prefix && winner.sameText(&m) == 0 {
				lost(host, m, winner)
				continue
			}
			list[n] = m
			n++
		}
		list = list[:n]
	}
	if len(list) <= scanLimit {
		return mounts{list: list}
	}
	slices.SortFunc(list, func(a, b mount) int {
		return cmp.Or(strings.Compare(a.prefix, b.prefix), b.sameText(&a))
	})
	up := make([]int32, len(list))
	for i := range list {
		// What begins with a prefix follows it without a gap, so the nearest
		// one is before i or above what is before i.
		j := int32(i) - 1
		for j >= 0 && !strings.HasPrefix(list[i].prefix, list[j].prefix) {
			j = up[j]
		}
		up[i] = j
	}
	return mounts{list: list, up: &up}
}

// find returns nil when no prefix takes the path.
func (m *mounts) find(path []byte) *Entry {
	if m.up == nil {
		for i := range m.list {
			if at := &m.list[i]; at.takes(path) {
				return at.entry
			}
		}
		return nil
	}
	// All prefixes of path are the last one that is not after path in order,
	// or above it.
	i := int32(sort.Search(len(m.list), func(i int) bool { return m.list[i].prefix > string(path) })) - 1
	for i >= 0 && !m.list[i].takes(path) {
		i = (*m.up)[i]
	}
	if i < 0 {
		return nil
	}
	return m.list[i].entry
}
