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
//
// A path that servers read in several ways is only taken where all readings
// belong to one application, else the entry is Ambiguous. They are those of the
// raw path, where a is a RawPather.
func (t *Table) Match(host, path []byte, a Attributes) *Entry {
	e := t.match(host, path, a)
	if e == nil {
		return nil
	}
	raw := path
	if p, ok := a.(RawPather); ok {
		raw = p.RawPath()
	}
	special, upper := look(raw)
	if special && t.refusing(host, raw, a, e) != nil || (upper || special) && hasUpper(path) && t.byCase(host, path, a, e) != nil {
		return Ambiguous
	}
	return e
}

// Ambiguous is the entry that Match returns for a path that belongs to more than
// one application, depending on which server reads it. It has no handler: the
// request is to be refused.
var Ambiguous = &Entry{App: "ambiguous"}

// RawPather is what an Attributes may be besides: one that has the path as the
// client sent it.
type RawPather interface{ RawPath() []byte }

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

// ambiguity is another reading of a path and whom it belongs to; nil: nobody.
type ambiguity struct {
	servers, path string
	entry         *Entry
}

// refusing looks for a reading that does not belong to e's application; nil: all
// do.
func (t *Table) refusing(host, raw []byte, a Attributes, e *Entry) *ambiguity {
	x, y := t.buffer(), t.buffer()
	defer t.buffers.Put(x)
	defer t.buffers.Put(y)
	judge := func(servers string, path []byte, some bool) *ambiguity {
		other := t.match(host, path, a)
		if other != nil && other.App == e.App || other == nil && some && e.Kind == Rule {
			if hasUpper(path) {
				return t.byCase(host, path, a, e)
			}
			return nil
		}
		return &ambiguity{servers, string(path), other}
	}
	for i := range readings {
		r := &readings[i]
		path, rest, ok := r.read(*x, *y, raw)
		if !ok {
			return &ambiguity{r.servers, "", nil}
		}
		*x, *y = rest, path
		if found := judge(r.servers, path, r.some); found != nil {
			return found
		}
	}
	if path, ok := authority(raw); ok {
		*x = append((*x)[:0], path...)
		if path, ok = settle(decode((*y)[:0], *x)); !ok {
			return &ambiguity{authorityReaders, "", nil}
		}
		return judge(authorityReaders, path, true)
	}
	return nil
}

const authorityReaders = "node, Python, PHP: what follows two slashes is a host"

// byCase looks for another application that has the path for servers that do not
// distinguish case. Whoever has upper case in its prefix, or a rule, means it.
func (t *Table) byCase(host, path []byte, a Attributes, e *Entry) *ambiguity {
	if e.Kind == Rule || hasUpper([]byte(e.PathPrefix)) {
		return nil
	}
	buf := t.buffer()
	defer t.buffers.Put(buf)
	*buf = appendLower((*buf)[:0], path)
	if other := t.match(host, *buf, a); other != nil && other.App != e.App {
		return &ambiguity{"IIS, Windows: case is not distinguished", string(*buf), other}
	}
	return nil
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
