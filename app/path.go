package app

import (
	"slices"
	"strconv"
	"strings"
)

// at is a place in a definition, as a list from the inside out. Its methods make
// the place of a part; they are inlined and the places stay on the stack, so
// that walking a definition without problems costs no allocation.
type at struct {
	up *at
	step
}

// step is one part of a path: a field, an entry of a map, an element of a list.
type step struct {
	name  string // of a field
	key   string // of a map's entry, when isKey
	index int    // of a list's element, when neither
	isKey bool
}

func (a *at) field(name string) *at { return &at{up: a, step: step{name: name}} }
func (a *at) item(i int) *at        { return &at{up: a, step: step{index: i}} }
func (a *at) entry(key string) *at  { return &at{up: a, step: step{key: key, isKey: true}} }

// path is a copy of the place that may outlive it, from the outside in.
func (a *at) path() fieldPath {
	var p fieldPath
	for ; a != nil; a = a.up {
		p = append(p, a.step)
	}
	slices.Reverse(p)
	return p
}

// fieldPath is a place in a definition that is kept.
type fieldPath []step

// String writes the path: frontends[0].hostname, weights["http://a"].
func (p fieldPath) String() string {
	var b strings.Builder
	for _, s := range p {
		switch {
		case s.isKey:
			b.WriteByte('[')
			b.WriteString(strconv.Quote(shownName(s.key)))
			b.WriteByte(']')
		case s.name != "":
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(clean(shownName(s.name)))
		default:
			b.WriteByte('[')
			b.WriteString(strconv.Itoa(s.index))
			b.WriteByte(']')
		}
	}
	return b.String()
}

// shownName is the name of a field or an entry as it may be shown. One that was
// given may be an address with credentials, or a header's line, user:hash or the
// like that was put where a name belongs: "***" stands for what may be secret.
func shownName(s string) string {
	s = shorten(s)
	if shown := withoutCredentials(s); shown != s || strings.Contains(s, "://") {
		return shown
	}
	if i := strings.IndexAny(s, ":= "); i >= 0 && !strings.HasPrefix(s, "[") && strings.Trim(s[i:], ":0123456789") != "" {
		return s[:i+1] + "***"
	}
	return s
}

// within says whether p is q or a part of it.
func (p fieldPath) within(q fieldPath) bool {
	return len(p) >= len(q) && slices.Equal(p[:len(q)], q)
}
