package app

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds how deep objects and lists may be nested in a file.
const maxDepth = 64

// scanner reads JSON (RFC 8259) in one pass over bytes and knows where it is,
// which encoding/json does not tell. The first syntax error ends the reading:
// err is set, and every method returns false or nothing from then on.
type scanner struct {
	data  []byte
	pos   int
	depth int
	err   *syntaxError
}

type syntaxError struct {
	offset     int
	message    string
	suggestion string
}

func (s *scanner) fail(offset int, message, suggestion string) {
	if s.err == nil {
		s.err = &syntaxError{offset, message, suggestion}
	}
}

// peek skips white space and returns the next byte without taking it, or 0 at
// the end and after an error.
func (s *scanner) peek() byte {
	if s.err != nil {
		return 0
	}
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\r', '\n':
			s.pos++
		case '/', '#':
			s.fail(s.pos, "a comment stands here", "JSON has no comments; remove it")
			return 0
		default:
			return c
		}
	}
	return 0
}

// unexpected reports the byte at pos where want should be.
func (s *scanner) unexpected(want string) {
	if s.err != nil {
		return
	}
	if s.pos >= len(s.data) {
		s.fail(len(s.data), "the file ends where "+want+" should be", "is it cut short, or is a closing bracket missing?")
		return
	}
	r, _ := utf8.DecodeRune(s.data[s.pos:])
	suggestion := ""
	switch {
	case r == '\'' || r < 0x80 && isAlphanumeric(byte(r)):
		suggestion = "texts and names of fields stand in double quotes"
	case strings.ContainsRune("‘’“”", r):
		suggestion = `texts stand in plain double quotes (")`
	}
	s.fail(s.pos, fmt.Sprintf("%q stands where %s should be", r, want), suggestion)
}

// open takes '{' or '['; the caller has peeked at it.
func (s *scanner) open() bool {
	s.depth++
	if s.depth > maxDepth {
		s.fail(s.pos, fmt.Sprintf("nested deeper than %d levels", maxDepth), "")
		return false
	}
	s.pos++
	return true
}

// next says whether another member follows in the object or list that end
// closes, taking the comma before it or the end.
func (s *scanner) next(first bool, end byte) bool {
	c := s.peek()
	if s.err != nil {
		return false
	}
	if c == end {
		s.pos++
		s.depth--
		return false
	}
	if first {
		return true
	}
	if c != ',' {
		s.unexpected(fmt.Sprintf("a comma or %q", end))
		return false
	}
	comma := s.pos
	s.pos++
	if s.peek() == end {
		s.fail(comma, fmt.Sprintf("a comma stands before %q", end), "remove the comma")
		return false
	}
	return s.err == nil
}

// key takes the name of an object's member and the colon. offset is where the
// name begins. The name may be a part of data.
func (s *scanner) key() (name []byte, offset int, ok bool) {
	if s.peek() != '"' {
		s.unexpected("a field's name in double quotes")
		return nil, 0, false
	}
	offset = s.pos
	name = s.text()
	if s.peek() != ':' {
		s.unexpected("a colon")
		return nil, 0, false
	}
	s.pos++
	return name, offset, s.err == nil
}

// text takes a string; the caller has peeked at its quote. Without escapes the
// result is a part of data.
func (s *scanner) text() []byte {
	start := s.pos
	escaped := false
	for i := start + 1; i < len(s.data); i++ {
		switch c := s.data[i]; {
		case c == '"':
			s.pos = i + 1
			if !escaped {
				return s.data[start+1 : i]
			}
			return s.unescape(start, i+1)
		case c == '\\':
			escaped = true
			i++
		case c == '\n' || c == '\r':
			s.fail(start, "the text that begins here has no closing quote on its line", `a line break inside a text is written \n`)
			return nil
		case c < 0x20:
			s.fail(i, fmt.Sprintf("the control character %q stands in a text", rune(c)), fmt.Sprintf(`write \u%04x if it is meant`, c))
			return nil
		}
	}
	s.fail(start, "the text that begins here has no closing quote", "")
	return nil
}

// unescape reads the string in data[start:end], quotes included.
func (s *scanner) unescape(start, end int) []byte {
	var out string
	raw := s.data[start:end]
	if err := json.Unmarshal(raw, &out); err != nil {
		s.fail(start, "the text that begins here has an escape that JSON does not know", `a backslash is written \\`)
		return nil
	}
	// encoding/json puts U+FFFD where an escape is half of a surrogate pair.
	if strings.Count(out, "\ufffd") > strings.Count(strings.ToLower(string(raw)), `\ufffd`)+strings.Count(string(raw), "\ufffd") {
		s.fail(start, `the text that begins here has half of a \ud800 pair`, "write the character itself")
		return nil
	}
	return []byte(out)
}

// number takes a number; the caller has peeked at its first byte.
func (s *scanner) number() []byte {
	start, i := s.pos, s.pos
	digits := func() bool {
		from := i
		for i < len(s.data) && s.data[i] >= '0' && s.data[i] <= '9' {
			i++
		}
		return i > from
	}
	if i < len(s.data) && s.data[i] == '-' {
		i++
	}
	intStart := i
	ok := digits()
	if ok && s.data[intStart] == '0' && i-intStart > 1 {
		s.fail(start, "a number begins with 0", "remove the leading zero")
		return nil
	}
	if ok && i < len(s.data) && s.data[i] == '.' {
		i++
		ok = digits()
	}
	if ok && i < len(s.data) && (s.data[i] == 'e' || s.data[i] == 'E') {
		i++
		if i < len(s.data) && (s.data[i] == '+' || s.data[i] == '-') {
			i++
		}
		ok = digits()
	}
	if !ok {
		s.fail(start, "a number is not complete", "")
		return nil
	}
	s.pos = i
	return s.data[start:i]
}

// word takes true, false or null.
func (s *scanner) word() string {
	for _, w := range [...]string{"true", "false", "null"} {
		if rest := s.data[s.pos:]; len(rest) >= len(w) && string(rest[:len(w)]) == w {
			if len(rest) > len(w) && isWordByte(rest[len(w)]) {
				break
			}
			s.pos += len(w)
			return w
		}
	}
	end := s.pos
	for end < len(s.data) && isWordByte(s.data[end]) {
		end++
	}
	if end == s.pos {
		s.unexpected("a value")
		return ""
	}
	// Another word is not repeated: it may be a secret without its quotes.
	message, suggestion := "this is not a value", "texts stand in double quotes"
	word := string(s.data[s.pos:end])
	switch lower := strings.ToLower(word); lower {
	case "true", "false", "null":
		message, suggestion = word+" is not a value", "write "+lower
	case "none", "nil", "undefined":
		message, suggestion = word+" is not a value", "leave the field out"
	}
	s.fail(s.pos, message, suggestion)
	return ""
}

func isWordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.'
}

// skip takes a whole value, whatever it is.
func (s *scanner) skip() {
	switch c := s.peek(); {
	case s.err != nil:
	case c == '{':
		for first := true; (!first || s.open()) && s.next(first, '}'); first = false {
			if _, _, ok := s.key(); !ok {
				return
			}
			s.skip()
		}
	case c == '[':
		for first := true; (!first || s.open()) && s.next(first, ']'); first = false {
			s.skip()
		}
	case c == '"':
		s.text()
	case c == '-' || c >= '0' && c <= '9':
		s.number()
	default:
		s.word()
	}
}

// kindOf names a value by its first byte, for messages.
func kindOf(c byte) string {
	switch {
	case c == '{':
		return "an object"
	case c == '[':
		return "a list"
	case c == '"':
		return "a text"
	case c == 't' || c == 'f':
		return "true or false"
	case c == 'n':
		return "null"
	}
	return "a number"
}
