package lambda

import (
	"errors"
	"unicode/utf16"
	"unicode/utf8"
)

// scan reads JSON (RFC 8259) from memory that it may change: strings are
// decoded where they stand, so that a body of megabytes is not copied.
type scan struct {
	b []byte
	i int
}

// maxNesting bounds how deep values that nobody asks for may be nested.
const maxNesting = 1000

var (
	errSyntax  = errors.New("not JSON")
	errNesting = errors.New("JSON nested too deep")
)

// peek skips white space and returns the next byte, 0 at the end.
func (s *scan) peek() byte {
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return c
		}
	}
	return 0
}

// object calls f for each member; f has to consume the value.
func (s *scan) object(f func(key []byte) error) error {
	return s.each('{', '}', func() error {
		key, err := s.text()
		if err == nil {
			err = s.colon()
		}
		if err != nil {
			return err
		}
		return f(key)
	})
}

// list calls f for each element; f has to consume it.
func (s *scan) list(f func() error) error { return s.each('[', ']', f) }

// each calls f for each part of what stands between brackets.
func (s *scan) each(opening, closing byte, f func() error) error {
	if s.peek() != opening {
		return errSyntax
	}
	s.i++
	if s.peek() == closing {
		s.i++
		return nil
	}
	for {
		if err := f(); err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.i++
		case closing:
			s.i++
			return nil
		default:
			return errSyntax
		}
	}
}

func (s *scan) colon() error {
	if s.peek() != ':' {
		return errSyntax
	}
	s.i++
	return nil
}

// text reads a string and decodes it where it stands. Surrogates that are alone
// become U+FFFD.
func (s *scan) text() ([]byte, error) {
	start, err := s.rawText()
	if err != nil {
		return nil, err
	}
	raw := s.b[start : s.i-1]
	from := 0
	for from < len(raw) && raw[from] != '\\' {
		from++
	}
	to := from
	for from < len(raw) {
		c := raw[from]
		from++
		if c != '\\' {
			raw[to] = c
			to++
			continue
		}
		c = raw[from]
		from++
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r := hex4(raw[from:])
			from += 4
			if utf16.IsSurrogate(r) {
				low := rune(-1)
				if from+6 <= len(raw) && raw[from] == '\\' && raw[from+1] == 'u' {
					low = hex4(raw[from+2:])
				}
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					from += 6
				}
			}
			to += utf8.EncodeRune(raw[to:], r)
			continue
		}
		raw[to] = c
		to++
	}
	return raw[:to], nil
}

// rawText passes a string, checks its escapes, and returns where its inside
// begins.
func (s *scan) rawText() (start int, err error) {
	if s.peek() != '"' {
		return 0, errSyntax
	}
	s.i++
	start = s.i
	for i := start; i < len(s.b); i++ {
		switch c := s.b[i]; {
		case c == '"':
			s.i = i + 1
			return start, nil
		case c < ' ':
			return 0, errSyntax
		case c == '\\':
			i++
			if i == len(s.b) {
				return 0, errSyntax
			}
			switch s.b[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				if i+4 >= len(s.b) || hex4(s.b[i+1:]) < 0 {
					return 0, errSyntax
				}
				i += 4
			default:
				return 0, errSyntax
			}
		}
	}
	return 0, errSyntax
}

// hex4 is the value of four hexadecimal digits, -1 when they are none.
func hex4(b []byte) (r rune) {
	if len(b) < 4 {
		return -1
	}
	for _, c := range b[:4] {
		v := unhex(c)
		if v > 15 {
			return -1
		}
		r = r<<4 | rune(v)
	}
	return r
}

// literal reads true, false, null or a number, and returns it as it stands.
func (s *scan) literal() ([]byte, error) {
	s.peek()
	start := s.i
	for s.i < len(s.b) && literalByte(s.b[s.i]) {
		s.i++
	}
	word := s.b[start:s.i]
	switch string(word) {
	case "true", "false", "null":
		return word, nil
	}
	if !isNumber(word) {
		return nil, errSyntax
	}
	return word, nil
}

func literalByte(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.'
}

// isNumber follows the grammar of RFC 8259 section 6.
func isNumber(b []byte) bool {
	digits := func() bool {
		n := 0
		for n < len(b) && b[n] >= '0' && b[n] <= '9' {
			n++
		}
		b = b[n:]
		return n > 0
	}
	if len(b) > 0 && b[0] == '-' {
		b = b[1:]
	}
	if len(b) > 1 && b[0] == '0' && b[1] >= '0' && b[1] <= '9' || !digits() {
		return false
	}
	if len(b) > 0 && b[0] == '.' {
		if b = b[1:]; !digits() {
			return false
		}
	}
	if len(b) > 0 && b[0]|0x20 == 'e' {
		if b = b[1:]; len(b) > 0 && (b[0] == '+' || b[0] == '-') {
			b = b[1:]
		}
		if !digits() {
			return false
		}
	}
	return len(b) == 0
}

// null takes a null if that is next.
func (s *scan) null() bool {
	if s.peek() == 'n' && len(s.b)-s.i >= 4 && string(s.b[s.i:s.i+4]) == "null" {
		s.i += 4
		return true
	}
	return false
}

// skip passes any value and leaves it unchanged.
func (s *scan) skip() error { return s.skipWithin(maxNesting) }

func (s *scan) skipWithin(depth int) error {
	if depth == 0 {
		return errNesting
	}
	switch s.peek() {
	case '"':
		_, err := s.rawText()
		return err
	case '[':
		return s.list(func() error { return s.skipWithin(depth - 1) })
	case '{':
		return s.each('{', '}', func() error {
			if _, err := s.rawText(); err != nil {
				return err
			}
			if err := s.colon(); err != nil {
				return err
			}
			return s.skipWithin(depth - 1)
		})
	}
	_, err := s.literal()
	return err
}
