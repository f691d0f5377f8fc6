package router

import (
	"bytes"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// The constructors below are what rules are made of. The matchers they return
// are immutable, safe for concurrent use and do not allocate when they match.
// Each prints itself (fmt.Stringer) in the notation of Traefik v3, which is how
// Build sees that two rules claim the same.

// And matches when all of ms match; with none it always does. They are asked in
// the given order.
func And(ms ...Matcher) Matcher { return and{ms, joined(ms, " && ", "true")} }

// Or matches when one of ms matches; with none it never does.
func Or(ms ...Matcher) Matcher {
	m := or{ms: ms, printed: joined(ms, " || ", "false"), bound: true}
	for _, x := range ms {
		b, ok := x.(hostBound)
		if !ok {
			m.bound = false
			break
		}
		hosts, ok := b.boundHosts()
		m.bound = m.bound && ok
		m.hosts = append(m.hosts, hosts...)
	}
	return m
}

// Not matches when m does not. A client whose address is not known is neither in a
// network nor outside of it: Not never matches it when m asks for the address.
func Not(m Matcher) Matcher {
	printed := text(m)
	if printed != "" {
		printed = "!" + printed
	}
	return not{m, printed, asksForAddress(m)}
}

// asksForAddress reports whether what m says depends on the client's address.
func asksForAddress(m Matcher) bool {
	switch m := m.(type) {
	case clientIP:
		return true
	case and:
		return slices.ContainsFunc(m.ms, asksForAddress)
	case or:
		return slices.ContainsFunc(m.ms, asksForAddress)
	case not:
		return m.address
	}
	return false
}

// Host matches any of the names, compared as hostnames of frontends are: whole,
// without case, port and trailing dot.
func Host(names ...string) Matcher {
	h := make(host, len(names))
	for i, name := range names {
		h[i] = canonicalHost(name)
	}
	slices.Sort(h)
	return slices.Compact(h)
}

// HostRegexp matches hosts (in lower case, without port and trailing dot)
// against a Go regular expression, as Traefik v3 does: anchored only where the
// expression says so. Compile it with (?i) if it has upper case in it.
func HostRegexp(re *regexp.Regexp) Matcher { return hostRegexp{re} }

// HostMatches matches hosts against a pattern in Traefik v1 notation.
func HostMatches(p *HostPattern) Matcher { return hostMatches{p} }

// Path matches the whole path. The argument is brought into normal form as the
// paths of requests are; a trailing slash makes a difference.
func Path(path string) Matcher { return exactPath(normalLiteral(path)) }

// PathPrefix matches paths that begin with a string, which need not end where a
// segment does: /products takes /products-for-sale. This is Traefik's meaning,
// kept in rules; the PathPrefix of an Entry matches segments.
func PathPrefix(prefix string) Matcher { return pathPrefix(normalLiteral(prefix)) }

// PathRegexp matches the path in normal form, that is decoded except for
// separators, against a regular expression that is anchored only where it says
// so.
func PathRegexp(re *regexp.Regexp) Matcher { return pathRegexp{re} }

// Method matches any of the methods, which are case-sensitive (RFC 9110 section
// 9.1); the arguments are taken in upper case.
func Method(names ...string) Matcher {
	m := make(method, len(names))
	for i, name := range names {
		m[i] = strings.ToUpper(name)
	}
	slices.Sort(m)
	return slices.Compact(m)
}

// ClientIP matches clients whose address is in any of the prefixes. An IPv4
// address that came in IPv6 form counts as IPv4.
func ClientIP(prefixes ...netip.Prefix) Matcher {
	c := make(clientIP, len(prefixes))
	for i, p := range prefixes {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		c[i] = p.Masked()
	}
	return c
}

// Header matches requests one of whose fields of that name is exactly value.
func Header(name, value string) Matcher { return header{name, value} }

// HeaderRegexp matches requests that have the field with a value that the
// expression matches.
func HeaderRegexp(name string, re *regexp.Regexp) Matcher { return headerRegexp{name, re} }

// Compound matchers keep their text and hosts: a table is built much more often
// than a rule is made.

type and struct {
	ms      []Matcher
	printed string
}

func (m and) Match(host, path []byte, a Attributes) bool {
	for _, x := range m.ms {
		if !x.Match(host, path, a) {
			return false
		}
	}
	return true
}

func (m and) String() string { return m.printed }

// boundHosts of a conjunction are those of any of its parts; the fewest bind
// best.
func (m and) boundHosts() (hosts []string, ok bool) {
	for _, x := range m.ms {
		if b, is := x.(hostBound); is {
			if h, bound := b.boundHosts(); bound && (!ok || len(h) < len(hosts)) {
				hosts, ok = h, true
			}
		}
	}
	return hosts, ok
}

type or struct {
	ms      []Matcher
	printed string
	hosts   []string // of all of ms, when each is bound
	bound   bool
}

func (m or) Match(host, path []byte, a Attributes) bool {
	for _, x := range m.ms {
		if x.Match(host, path, a) {
			return true
		}
	}
	return false
}

func (m or) String() string               { return m.printed }
func (m or) boundHosts() ([]string, bool) { return m.hosts, m.bound }

type not struct {
	m       Matcher
	printed string
	address bool // m asks for the client's address
}

func (m not) Match(host, path []byte, a Attributes) bool {
	if m.address && (a == nil || !a.ClientIP().IsValid()) {
		return false
	}
	return !m.m.Match(host, path, a)
}
func (m not) String() string { return m.printed }

type host []string

func (m host) Match(host, path []byte, a Attributes) bool {
	for _, name := range m {
		if name == string(host) {
			return true
		}
	}
	return false
}

func (m host) String() string               { return call("Host", m...) }
func (m host) boundHosts() ([]string, bool) { return m, true }

type hostRegexp struct{ re *regexp.Regexp }

func (m hostRegexp) Match(host, path []byte, a Attributes) bool { return m.re.Match(host) }
func (m hostRegexp) String() string                             { return call("HostRegexp", m.re.String()) }

type hostMatches struct{ pattern *HostPattern }

func (m hostMatches) Match(host, path []byte, a Attributes) bool { return m.pattern.match(host) }
func (m hostMatches) String() string                             { return call("HostRegexp", `\A`+m.pattern.canonical+`\z`) }

type exactPath string

func (m exactPath) Match(host, path []byte, a Attributes) bool { return string(m) == string(path) }
func (m exactPath) String() string                             { return call("Path", string(m)) }

type pathPrefix string

func (m pathPrefix) Match(host, path []byte, a Attributes) bool {
	return len(path) >= len(m) && string(path[:len(m)]) == string(m)
}
func (m pathPrefix) String() string { return call("PathPrefix", string(m)) }

type pathRegexp struct{ re *regexp.Regexp }

func (m pathRegexp) Match(host, path []byte, a Attributes) bool { return m.re.Match(path) }
func (m pathRegexp) String() string                             { return call("PathRegexp", m.re.String()) }

type method []string

func (m method) Match(host, path []byte, a Attributes) bool {
	if a == nil {
		return false
	}
	asked := a.Method()
	for _, name := range m {
		if name == string(asked) {
			return true
		}
	}
	return false
}
func (m method) String() string { return call("Method", m...) }

type clientIP []netip.Prefix

func (m clientIP) Match(host, path []byte, a Attributes) bool {
	if a == nil {
		return false
	}
	addr := a.ClientIP().Unmap().WithZone("")
	for _, p := range m {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

func (m clientIP) String() string {
	texts := make([]string, len(m))
	for i, p := range m {
		texts[i] = p.String()
	}
	return call("ClientIP", texts...)
}

type header struct{ name, value string }

func (m header) Match(host, path []byte, a Attributes) bool {
	if a == nil {
		return false
	}
	for v, at := a.Header(m.name, 0); v != nil; v, at = a.Header(m.name, at) {
		if string(v) == m.value {
			return true
		}
	}
	return false
}
func (m header) String() string { return call("Header", strings.ToLower(m.name), m.value) }

type headerRegexp struct {
	name string
	re   *regexp.Regexp
}

func (m headerRegexp) Match(host, path []byte, a Attributes) bool {
	if a == nil {
		return false
	}
	for v, at := a.Header(m.name, 0); v != nil; v, at = a.Header(m.name, at) {
		if m.re.Match(v) {
			return true
		}
	}
	return false
}
func (m headerRegexp) String() string {
	return call("HeaderRegexp", strings.ToLower(m.name), m.re.String())
}

// normalLiteral is the normal form of a literal of a rule. What has none, such
// as a prefix that ends within an escape, is compared as it stands.
func normalLiteral(path string) string {
	normal, err := NormalizePath(nil, []byte(path))
	if err != nil || path == "" || bytes.IndexByte([]byte(path), '?') >= 0 {
		return path
	}
	return string(normal)
}

func joined(ms []Matcher, operator, none string) string {
	if len(ms) == 0 {
		return none
	}
	texts := make([]string, len(ms))
	for i, m := range ms {
		if texts[i] = text(m); texts[i] == "" {
			return ""
		}
	}
	if len(ms) == 1 {
		return texts[0]
	}
	return "(" + strings.Join(texts, operator) + ")"
}

// text is how a matcher prints itself, empty for one from outside that does not
// and for whatever such a one is part of.
func text(m Matcher) string {
	if s, ok := m.(fmt.Stringer); ok {
		return s.String()
	}
	return ""
}

func call(name string, args ...string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = "`" + a + "`"
	}
	return name + "(" + strings.Join(quoted, ", ") + ")"
}
