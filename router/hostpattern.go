package router

import (
	"bytes"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// HostPattern is a host regexp in Traefik v1 notation: literal text with parts
// in braces, {regexp} or {name:regexp}, anchored at both ends. The dots of the
// literal text are literal. "hellohttp.{[^.]+}.example.net" takes
// hellohttp.dev.example.net and not xhellohttp.dev.example.net.
//
// Hosts are matched without case, port and trailing dot. Names mean nothing
// and are there to be read by people.
type HostPattern struct {
	text string
	// canonical is the expression without the names of its parts: two
	// patterns with the same one claim the same hosts.
	canonical string

	// What every host that matches begins and ends with. They turn most hosts
	// away before the regexp has to run.
	before, after []byte

	// re is matched against what is between before and after when single,
	// else against the whole host. It is nil for a pattern without parts.
	re     *regexp.Regexp
	single bool
	label  bool // the single part is [^.]+, which needs no regexp
}

// maxHostPattern bounds the text of a pattern; a host has at most 253 bytes.
const maxHostPattern = 4096

// CompileHostPattern compiles a host regexp in Traefik v1 notation.
func CompileHostPattern(text string) (*HostPattern, error) {
	fail := func(format string, args ...any) (*HostPattern, error) {
		return nil, fmt.Errorf("host regexp %q: %s", shorten(text), fmt.Sprintf(format, args...))
	}
	if text == "" {
		return fail("is empty; it is a hostname with {regexp} or {name:regexp} parts")
	}
	if len(text) > maxHostPattern {
		return fail("is %d bytes long, the limit is %d", len(text), maxHostPattern)
	}
	if !utf8.ValidString(text) {
		return fail("is not valid UTF-8")
	}

	p := &HostPattern{text: text}
	var literals []string // one more than parts
	var parts []string
	var label bool
	for rest := text; ; {
		i := strings.IndexAny(rest, "{}")
		if i < 0 {
			literals = append(literals, asciiLower(rest))
			break
		}
		if rest[i] == '}' {
			return fail("has a } at byte %d without a { before it", len(text)-len(rest)+i)
		}
		literals = append(literals, asciiLower(rest[:i]))
		n := closingBrace(rest[i+1:])
		if n < 0 {
			return fail("has a { at byte %d that is not closed", len(text)-len(rest)+i)
		}
		part := unnamed(rest[i+1 : i+1+n])
		if part == "" {
			return fail("has an empty part %q", rest[i:i+n+2])
		}
		// Printing the parsed part makes it self-contained: an open \Q or a
		// flag cannot reach into what follows it.
		parsed, err := syntax.Parse(part, syntax.Perl|syntax.FoldCase)
		if err != nil {
			return fail("the part %q is not a regular expression: %v", part, err)
		}
		label = part == "[^.]+" || part == `[^\.]+`
		parts = append(parts, "(?:"+parsed.String()+")")
		rest = rest[i+n+2:]
	}

	last := len(literals) - 1
	literals[last] = strings.TrimSuffix(literals[last], ".")
	p.before = []byte(literals[0])
	if last > 0 {
		p.after = []byte(literals[last])
	}
	var whole strings.Builder
	for i, l := range literals {
		whole.WriteString(regexp.QuoteMeta(l))
		if i < len(parts) {
			whole.WriteString(parts[i])
		}
	}
	p.canonical = whole.String()

	expr := p.canonical
	switch len(parts) {
	case 0:
		return p, nil
	case 1:
		p.single, p.label = true, label
		expr = parts[0]
	}
	re, err := regexp.Compile(`\A(?:` + expr + `)\z`)
	if err != nil {
		// Each part compiles, so together they are only too large.
		return fail("cannot be compiled: %v", err)
	}
	p.re = re
	return p, nil
}

// String returns the pattern as it was written.
func (p *HostPattern) String() string { return p.text }

// MatchHost says whether the pattern takes the host, which may carry a port,
// upper case and a trailing dot.
func (p *HostPattern) MatchHost(host []byte) bool {
	host = trimHost(host)
	if hasUpper(host) {
		host = appendLower(make([]byte, 0, len(host)), host)
	}
	return p.match(host)
}

// match takes a host in canonical form.
func (p *HostPattern) match(host []byte) bool {
	if p.re == nil {
		return bytes.Equal(host, p.before)
	}
	if len(host) < len(p.before)+len(p.after) || !bytes.HasPrefix(host, p.before) || !bytes.HasSuffix(host, p.after) {
		return false
	}
	if !p.single {
		return p.re.Match(host)
	}
	middle := host[len(p.before) : len(host)-len(p.after)]
	if p.label {
		return len(middle) > 0 && bytes.IndexByte(middle, '.') < 0
	}
	return p.re.Match(middle)
}

// closingBrace returns the index of the brace that closes a part, or -1. Braces
// nest ({a{2,3}}), except where they are escaped or in a character class.
func closingBrace(s string) int {
	depth, class := 0, -1 // class: where the class opened
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case class >= 0:
			// A bracket right after [ or [^ stands for itself.
			if c == ']' && i != class+1 && !(i == class+2 && s[class+1] == '^') {
				class = -1
			}
		case c == '[':
			class = i
		case c == '{':
			depth++
		case c == '}':
			if depth == 0 {
				return i
			}
			depth--
		}
	}
	return -1
}

// unnamed removes "name:" from the text of a part. What is before the colon is
// a name only when it is a word: {(?:a|b)} has none.
func unnamed(part string) string {
	name, expr, ok := strings.Cut(part, ":")
	if !ok || name == "" {
		return part
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c|0x20-'a' >= 26 && c != '_' && (i == 0 || c-'0' > 9 && c != '-') {
			return part
		}
	}
	return expr
}

func asciiLower(s string) string { return string(appendLower(nil, []byte(s))) }

func shorten(s string) string {
	const limit = 200
	if len(s) <= limit {
		return s
	}
	return s[:limit] + "..."
}
