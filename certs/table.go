package certs

import (
	"cmp"
	"crypto/tls"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"time"
)

// maxName is the longest DNS name in text form (RFC 1035 section 2.3.4).
const maxName = 253

// parts is how many maps a Table divides its names into. A change copies those
// that it touches, so that one certificate among 100,000 is swapped by copying
// a hundred names and not all of them.
const parts = 1024

// Table finds the certificate of a server name. It is immutable; the zero Table
// has no certificate.
type Table struct {
	seed      maphash.Seed
	exact     []map[string]*candidates // parts of them, by hash; nil: none
	wildcards []map[string]*candidates // "example.com" for *.example.com
	fallback  *candidates              // for clients without a server name
}

// candidates are the certificates of one name.
type candidates struct {
	serve []*tls.Certificate // the best of each kind of key, the best kind first
	all   []*held            // best first
}

// NewTable makes a table of the certificates of each source, sources in the
// order in which they win. now decides which of them are valid.
func NewTable(sources [][]*Certificate, now time.Time) *Table {
	var all []*held
	for order, certs := range sources {
		for _, c := range certs {
			all = append(all, hold(c, order, now))
		}
	}
	return (&Table{}).change(nil, all)
}

// held is a certificate as a table has it.
type held struct {
	*Certificate
	serve *tls.Certificate // TLS, or a copy with a stapled OCSP response
	order int              // of its source
	valid bool             // when it was last looked at
	key   int              // keyRank
}

func hold(c *Certificate, order int, now time.Time) *held {
	return &held{Certificate: c, serve: c.TLS, order: order, valid: c.ValidAt(now), key: keyRank(c)}
}

// better orders the candidates of a name. Keys come before the time left, so
// that the cheaper handshake is offered first to a client that can do both.
func better(a, b *held) int {
	if a.valid != b.valid {
		if b.valid {
			return 1
		}
		return -1
	}
	return cmp.Or(
		cmp.Compare(a.order, b.order),
		cmp.Compare(a.key, b.key),
		cmp.Compare(b.Rank, a.Rank),
		b.TLS.Leaf.NotAfter.Compare(a.TLS.Leaf.NotAfter),
	)
}

// keyRank is lower for keys that sign faster; RSA, which every client can do, is
// the last.
func keyRank(c *Certificate) int {
	switch kind := c.KeyType(); {
	case kind == "ECDSA P-256":
		return 0
	case strings.HasPrefix(kind, "RSA"):
		return 2
	default:
		return 1
	}
}

// change is the table without and with some certificates. It shares with t what
// they do not touch.
func (t *Table) change(without, with []*held) *Table {
	next := &Table{seed: t.seed, exact: slices.Clone(t.exact), wildcards: slices.Clone(t.wildcards), fallback: t.fallback}
	if t.exact == nil {
		next.seed = maphash.MakeSeed()
		next.exact, next.wildcards = make([]map[string]*candidates, parts), make([]map[string]*candidates, parts)
	}
	e := edit{table: next, fresh: map[*map[string]*candidates]bool{}, names: map[*candidates]bool{}}
	for _, h := range without {
		e.each(h, func(c *candidates) { c.all = slices.DeleteFunc(c.all, func(o *held) bool { return o == h }) })
	}
	for _, h := range with {
		e.each(h, func(c *candidates) { c.all = append(c.all, h) })
	}
	e.finish()
	return next
}

// edit is a change in progress: what it has copied, it may write to.
type edit struct {
	table *Table
	fresh map[*map[string]*candidates]bool
	names map[*candidates]bool
}

// each calls f with the candidates of every name of a certificate.
func (e *edit) each(h *held, f func(*candidates)) {
	if h.Default {
		e.table.fallback = e.own(e.table.fallback)
		f(e.table.fallback)
	}
	for _, name := range h.Names {
		kind := e.table.exact
		if parent, ok := strings.CutPrefix(name, "*."); ok {
			name, kind = parent, e.table.wildcards
		}
		part := &kind[maphash.String(e.table.seed, name)%parts]
		if !e.fresh[part] {
			e.fresh[part] = true
			if *part = maps.Clone(*part); *part == nil {
				*part = map[string]*candidates{}
			}
		}
		c := e.own((*part)[name])
		(*part)[name] = c
		f(c)
	}
}

// own copies candidates, unless the edit has done so already.
func (e *edit) own(c *candidates) *candidates {
	if c != nil && e.names[c] {
		return c
	}
	mine := &candidates{}
	if c != nil {
		mine.all = slices.Clone(c.all)
	}
	e.names[mine] = true
	return mine
}

// finish sorts what was changed and drops the names that nobody has any more.
func (e *edit) finish() {
	for c := range e.names {
		slices.SortStableFunc(c.all, better)
		for _, h := range c.all {
			c.serve = addKind(c.serve, h.serve)
		}
	}
	for part := range e.fresh {
		maps.DeleteFunc(*part, func(_ string, c *candidates) bool { return len(c.all) == 0 })
	}
}

// addKind keeps the best certificate of each kind of key. The candidates come
// best first.
func addKind(have []*tls.Certificate, c *tls.Certificate) []*tls.Certificate {
	for _, h := range have {
		if h.Leaf.PublicKeyAlgorithm == c.Leaf.PublicKeyAlgorithm {
			return have
		}
	}
	return append(have, c)
}

// Names is how many names the table has, wildcards included.
func (t *Table) Names() (n int) {
	for _, kind := range [][]map[string]*candidates{t.exact, t.wildcards} {
		for _, part := range kind {
			n += len(part)
		}
	}
	return n
}

// Lookup finds the certificate for a server name: exact, then the wildcard of
// one label. hello chooses among several and may be nil, which takes the first.
// nil: nobody has the name. 0 allocations but for what tls's own choice among
// several takes.
func (t *Table) Lookup(name string, hello *tls.ClientHelloInfo) *tls.Certificate {
	if len(name) > 0 && name[len(name)-1] == '.' {
		name = name[:len(name)-1]
	}
	if name == "" || len(name) > maxName || t.exact == nil {
		return nil
	}
	var buf [maxName]byte
	lower := buf[:len(name)]
	dot := -1
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c == '.' && dot < 0 {
			dot = i
		}
		lower[i] = c
	}
	if found := t.exact[maphash.Bytes(t.seed, lower)%parts][string(lower)]; found != nil {
		return choose(found, hello)
	}
	if dot <= 0 {
		return nil
	}
	parent := lower[dot+1:]
	return choose(t.wildcards[maphash.Bytes(t.seed, parent)%parts][string(parent)], hello)
}

// any says whether one of the certificates of a name, which is in lower case, fits.
func (t *Table) any(name string, fits func(*held) bool) bool {
	if t.exact == nil {
		return false
	}
	if c := t.exact[maphash.String(t.seed, name)%parts][name]; c != nil && slices.ContainsFunc(c.all, fits) {
		return true
	}
	_, parent, _ := strings.Cut(name, ".")
	c := t.wildcards[maphash.String(t.seed, parent)%parts][parent]
	return c != nil && slices.ContainsFunc(c.all, fits)
}

// Default is the certificate for clients that send no server name; nil: none is set.
func (t *Table) Default(hello *tls.ClientHelloInfo) *tls.Certificate {
	return choose(t.fallback, hello)
}

func choose(c *candidates, hello *tls.ClientHelloInfo) *tls.Certificate {
	if c == nil || len(c.serve) == 0 {
		return nil
	}
	if len(c.serve) > 1 && hello != nil {
		for _, s := range c.serve {
			if hello.SupportsCertificate(s) == nil {
				return s
			}
		}
	}
	return c.serve[0]
}
