package httpcache

import (
	"net/http"
	"strings"
)

// targetedField is the field that tells caches before an origin what Cache-Control
// tells all (RFC 9213 section 3.1). It is passed on, so that a cache further out
// that belongs to the same origin obeys it as well.
const targetedField = "Cdn-Cache-Control"

// controlOf returns the directives that count for this cache: those of the targeted
// field, if there is one that is well formed, and then neither Cache-Control nor
// Expires counts; else those of Cache-Control.
func controlOf(h http.Header) (d directives, targeted bool) {
	if lines := h[targetedField]; len(lines) > 0 {
		if d, ok := parseTargeted(strings.Join(lines, ", ")); ok {
			return d, true
		}
	}
	return parseControl(h["Cache-Control"]), false
}

// parseTargeted reads a Dictionary Structured Field (RFC 8941 section 4.2.2) of
// directives. False: it is empty or malformed, and is to be ignored as a whole.
func parseTargeted(s string) (directives, bool) {
	p := dictionary{rest: strings.Trim(s, " ")}
	members := map[string]member{}
	for p.rest != "" {
		name, ok := p.key()
		if !ok {
			return none, false
		}
		m := member{text: "", truth: true}
		if p.eat('=') {
			m, ok = p.value()
		}
		if !ok || !p.parameters() {
			return none, false
		}
		members[name] = m // the last one of a name counts
		p.spaces()
		if p.rest == "" {
			break
		}
		if !p.eat(',') {
			return none, false
		}
		if p.spaces(); p.rest == "" {
			return none, false // a comma at the end
		}
	}
	d := none
	for name, m := range members {
		if m.truth {
			d.add(name, m.text, m.given)
		}
	}
	return d, len(members) > 0
}

// member is the value of a member: its text, or none for a Boolean.
type member struct {
	text         string
	given, truth bool
}

// dictionary reads a Dictionary from its front.
type dictionary struct{ rest string }

func (p *dictionary) eat(c byte) bool {
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *dictionary) spaces() { p.rest = strings.TrimLeft(p.rest, " \t") }

// span takes the longest prefix of bytes that are ok.
func (p *dictionary) span(ok func(c byte) bool) string {
	n := 0
	for n < len(p.rest) && ok(p.rest[n]) {
		n++
	}
	taken := p.rest[:n]
	p.rest = p.rest[n:]
	return taken
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isAlnum(c byte) bool { return isLower(c|0x20) || isDigit(c) }

func (p *dictionary) key() (string, bool) {
	if p.rest == "" || !isLower(p.rest[0]) && p.rest[0] != '*' {
		return "", false
	}
	return p.span(func(c byte) bool { return isLower(c) || isDigit(c) || strings.IndexByte("_-.*", c) >= 0 }), true
}

// value reads an Item or an Inner List.
func (p *dictionary) value() (member, bool) {
	if !p.eat('(') {
		return p.item()
	}
	for {
		p.rest = strings.TrimLeft(p.rest, " ")
		if p.eat(')') {
			return member{text: "()", given: true, truth: true}, true
		}
		if _, ok := p.item(); !ok || !p.parameters() {
			return member{}, false
		}
		if p.rest == "" || p.rest[0] != ' ' && p.rest[0] != ')' {
			return member{}, false
		}
	}
}

// item reads a bare Item.
func (p *dictionary) item() (member, bool) {
	if p.rest == "" {
		return member{}, false
	}
	m := member{given: true, truth: true}
	ok := true
	switch c := p.rest[0]; {
	case c == '?':
		if len(p.rest) < 2 || p.rest[1] != '0' && p.rest[1] != '1' {
			return m, false
		}
		m.truth, m.given = p.rest[1] == '1', false
		p.rest = p.rest[2:]
	case c == '-' || isDigit(c):
		m.text, ok = p.number()
	case c == '"':
		n := quoted(p.rest)
		ok = n > 0 && plain(p.rest[:n])
		m.text, p.rest = p.rest[:n], p.rest[n:]
	case c == ':':
		end := strings.IndexByte(p.rest[1:], ':')
		if end < 0 {
			return m, false
		}
		m.text, p.rest = p.rest[:end+2], p.rest[end+2:]
		ok = strings.Trim(m.text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=:") == ""
	case c == '*' || isLower(c|0x20):
		m.text = p.span(func(c byte) bool { return isAlnum(c) || strings.IndexByte("!#$%&'*+-.^_`|~:/", c) >= 0 })
	default:
		ok = false
	}
	return m, ok
}

// number reads an Integer of up to 15 digits or a Decimal.
func (p *dictionary) number() (string, bool) {
	from := p.rest
	p.eat('-')
	whole := p.span(isDigit)
	ok := len(whole) > 0 && len(whole) <= 15
	if p.eat('.') {
		part := p.span(isDigit)
		ok = ok && len(whole) <= 12 && len(part) >= 1 && len(part) <= 3
	}
	return from[:len(from)-len(p.rest)], ok
}

// plain reports whether a quoted string has only what an sf-string may have.
func plain(s string) bool {
	for i := 1; i < len(s)-1; i++ {
		switch c := s[i]; {
		case c < ' ' || c > '~':
			return false
		case c == '\\':
			if i++; s[i] != '"' && s[i] != '\\' {
				return false
			}
		}
	}
	return true
}

// parameters reads the parameters of an Item, which no directive has.
func (p *dictionary) parameters() bool {
	for p.eat(';') {
		p.rest = strings.TrimLeft(p.rest, " ")
		if _, ok := p.key(); !ok {
			return false
		}
		if p.eat('=') {
			if _, ok := p.item(); !ok {
				return false
			}
		}
	}
	return true
}
