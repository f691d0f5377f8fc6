package router

import (
	"bytes"
	"regexp"
	"sync"
)

// Query matches requests that have a query parameter with exactly that value,
// both compared after decoding; with "" the parameter is there and empty, which
// is what Traefik's Query with one argument means. Of a parameter that comes
// several times one value has to fit.
func Query(name, value string) Matcher { return queryParam{name, value} }

// QueryRegexp matches requests that have a query parameter one of whose decoded
// values the expression matches.
func QueryRegexp(name string, re *regexp.Regexp) Matcher {
	return &queryRegexp{name: name, re: re}
}

type queryParam struct{ name, value string }

func (m queryParam) Match(host, path []byte, a Attributes) bool {
	if a == nil {
		return false
	}
	for rest, more := a.Query(), true; more; {
		var name, value []byte
		name, value, rest, more = nextParameter(rest)
		if decodesTo(name, m.name) && decodesTo(value, m.value) {
			return true
		}
	}
	return false
}

func (m queryParam) String() string { return call("Query", m.name, m.value) }

type queryRegexp struct {
	name    string
	re      *regexp.Regexp
	buffers sync.Pool // *[]byte, for values that have to be decoded
}

func (m *queryRegexp) Match(host, path []byte, a Attributes) bool {
	if a == nil {
		return false
	}
	for rest, more := a.Query(), true; more; {
		var name, value []byte
		name, value, rest, more = nextParameter(rest)
		if decodesTo(name, m.name) && m.matchValue(value) {
			return true
		}
	}
	return false
}

func (m *queryRegexp) matchValue(raw []byte) bool {
	if bytes.IndexByte(raw, '%') < 0 && bytes.IndexByte(raw, '+') < 0 {
		return m.re.Match(raw)
	}
	buf, ok := m.buffers.Get().(*[]byte)
	if !ok {
		buf = new([]byte)
	}
	defer m.buffers.Put(buf)
	*buf = (*buf)[:0]
	for len(raw) > 0 {
		c, n, ok := nextQueryByte(raw)
		if !ok {
			return false
		}
		*buf = append(*buf, c)
		raw = raw[n:]
	}
	return m.re.Match(*buf)
}

func (m *queryRegexp) String() string { return call("QueryRegexp", m.name, m.re.String()) }

// nextParameter cuts the first parameter off a raw query; more is false when
// nothing follows it. Parameters end at & and, as in Traefik and in the older
// servers behind it, at a semicolon. One without = has an empty value.
func nextParameter(query []byte) (name, value, rest []byte, more bool) {
	if i := bytes.IndexAny(query, "&;"); i >= 0 {
		query, rest, more = query[:i], query[i+1:], true
	}
	if i := bytes.IndexByte(query, '='); i >= 0 {
		return query[:i], query[i+1:], rest, more
	}
	return query, nil, rest, more
}

// decodesTo says whether raw, decoded, is want. Text that cannot be decoded is
// nothing.
func decodesTo(raw []byte, want string) bool {
	i := 0
	for len(raw) > 0 {
		c, n, ok := nextQueryByte(raw)
		if !ok || i == len(want) || want[i] != c {
			return false
		}
		raw = raw[n:]
		i++
	}
	return i == len(want)
}

// nextQueryByte decodes the first byte of a part of a query and says how long
// it was.
func nextQueryByte(raw []byte) (c byte, n int, ok bool) {
	switch raw[0] {
	case '%':
		c, ok = unescape(raw)
		return c, 3, ok
	case '+':
		return ' ', 1, true
	}
	return raw[0], 1, true
}
