package router

import (
	"sync"
)

// Table is an immutable set of entries. The zero Table is empty.
type Table struct {
	// first is the layer of the lowest rank, where most searches end; lower are
	// the others in order of rank.
	first layer
	lower []layer

	entries   []*Entry // those that are served
	conflicts []Conflict
	rules     bool

	// buffers holds *[]byte for hosts that have to be rewritten before they
	// can be compared, and for paths that are read a second time.
	buffers sync.Pool
}

// Match returns the entry that takes the request, nil when none does. host is
// the value of the Host field: case, port and a trailing dot make no
// difference. path is as NormalizePath returns it. a is only asked by rules and
// may be nil where HasRules is false.
func (t *Table) Match(host, path []byte, a Attributes) *Entry {
	if hasSecondReading(path) {
		return t.matchBothReadings(host, path, a)
	}
	return t.match(host, path, a)
}

// HasRules says whether any entry may ask for attributes of a request.
func (t *Table) HasRules() bool { return t.rules }

// Len is the number of entries that are served.
func (t *Table) Len() int { return len(t.entries) }

// match begins with the case that nearly all requests are: an exact host in
// lower case. A host that is found is canonical.
func (t *Table) match(host, path []byte, a Attributes) *Entry {
	if n := len(host); n > 0 && host[n-1] <= ':' { // a port, a dot or an IP address
		host = trimHost(host)
	}
	if l := &t.first; l.explicit == nil {
		if e := l.anyHost.find(path); e != nil {
			return e
		}
		if s := l.exact.find(host); s != nil {
			if e := s.find(path); e != nil {
				return e
			}
			return t.matchLater(host, path, a)
		}
		if !hasUpper(host) {
			return t.matchLater(host, path, a)
		}
	}
	return t.matchAll(host, path, a)
}

// matchAll goes through all stages, with a host that may be in upper case.
func (t *Table) matchAll(host, path []byte, a Attributes) *Entry {
	if !hasUpper(host) {
		return t.matchCanonical(host, path, a)
	}
	buf := t.buffer()
	*buf = appendLower((*buf)[:0], host)
	e := t.matchCanonical(*buf, path, a)
	t.buffers.Put(buf)
	return e
}

func (t *Table) matchCanonical(host, path []byte, a Attributes) *Entry {
	if e, _ := t.first.find(host, path, a, false); e != nil {
		return e
	}
	return t.matchLower(host, path, a)
}

// matchLater goes through the stages after the exact hosts of the first layer.
func (t *Table) matchLater(host, path []byte, a Attributes) *Entry {
	if l := &t.first; len(l.wildcards.sites) > 0 {
		if domain := parentDomain(host); domain != nil {
			if s := l.wildcards.find(domain); s != nil {
				if e := s.find(path); e != nil {
					return e
				}
			}
		}
	}
	if n := t.first.byPriority.find(host, path, a, false); n != nil {
		return n.entry
	}
	return t.matchLower(host, path, a)
}

// matchBothReadings is for paths with an encoded slash or backslash, which the
// backend may or may not take for a separator, or with parameters, which it may
// or may not cut off. Where that makes a difference to whose the path is, it is
// nobody's.
func (t *Table) matchBothReadings(host, path []byte, a Attributes) *Entry {
	e := t.match(host, path, a)
	if e == nil {
		return nil
	}
	buf := t.buffer()
	*buf = appendSecondReading((*buf)[:0], path)
	other := t.match(host, *buf, a)
	t.buffers.Put(buf)
	if other != nil && other.App != e.App {
		return nil
	}
	return e
}

// buffer takes from a pool and not from the stack because what rules and
// regexps are given is not known to stay there.
func (t *Table) buffer() *[]byte {
	if b, ok := t.buffers.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 0, 256)
	return &b
}
