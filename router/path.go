package router

import (
	"bytes"
	"errors"
)

// The errors of NormalizePath. A request with such a path has no single meaning
// and is answered with 400.
var (
	ErrPathStart     = errors.New("the path does not begin with a slash")
	ErrPathEscape    = errors.New("the path has a percent sign that is not followed by two hexadecimal digits")
	ErrPathByte      = errors.New("the path has a byte in it that no path can have: a control character, NUL (also as %00), a backslash, # or ?")
	ErrPathClimbs    = errors.New("the path has a .. that leaves the root")
	ErrPathAmbiguous = errors.New("the path has dot segments that servers read differently: next to an encoded slash or backslash, after an empty segment or with parameters")
)

// NormalizePath returns the form of a raw path in which it is matched. What is
// forwarded stays the raw target. The path ends at the first question mark, if
// there is one.
//
// A path with no percent sign, no "//" and no "/." is its own normal form: raw
// itself is returned and nothing copied. Otherwise the result is written over
// dst[:0], which must not overlap raw and grows when it has to.
//
// In normal form
//   - percent-encoded bytes are decoded, the unreserved ones of RFC 3986 section
//     2.3 as well as others (%40 and @ are the same, and so are %C3%A9 and é as
//     raw UTF-8), except the ones that mean something when they stand as they
//     are: / \ % ? # and control characters stay encoded, in upper case
//     (%2F, %5C, %25, %3F, %23, %0A). So nothing encoded ever becomes a
//     separator, and decoding is done once: %252F stays %252F.
//   - runs of slashes are one slash;
//   - dot segments are removed (RFC 3986 section 5.2.4), also those written with
//     %2e;
//   - a trailing slash stays, also the one that a trailing dot segment leaves;
//   - the empty path is "/", and "*" (OPTIONS) is "*".
//
// Two raw paths that a backend which decodes once would read as the same have
// the same normal form, encoded slashes and backslashes and parameters (";x")
// aside; Match looks after those and other readings. Normal forms are their own normal forms.
//
// Refused, with the error of the same name: what does not begin with a slash
// (ErrPathStart); incomplete escapes (ErrPathEscape); control characters, raw
// backslashes, # and %00 (ErrPathByte); ".." above the root (ErrPathClimbs); and,
// because backends differ in the order in which they decode, merge slashes and
// resolve (ErrPathAmbiguous): a dot segment delimited by an encoded slash or
// backslash (..%2F), ".." anywhere after such an encoded one or after an empty
// segment (/a//../b, /a/;x/../b), and dot segments with parameters (/..;x/).
func NormalizePath(dst, raw []byte) ([]byte, error) {
	end, verdict := scanPath(raw)
	switch verdict {
	case forbidden:
		return nil, ErrPathByte
	case percent:
		return normalizeSlow(dst[:0], raw[:end])
	}
	switch path := raw[:end]; {
	case end == 0:
		return append(dst[:0], '/'), nil
	case path[0] != '/' && string(path) != "*":
		return nil, ErrPathStart
	default:
		return path, nil
	}
}

// scanPath returns where the path ends and plain when it is its own normal
// form, percent when it may not be, forbidden when it has none.
func scanPath[T []byte | string](raw T) (end int, verdict uint8) {
	for i := 0; i < len(raw); i++ {
		switch pathClass[raw[i]] {
		case plain:
		case slash:
			if i+1 < len(raw) && (raw[i+1] == '/' || raw[i+1] == '.') {
				return pathEnd(raw), percent
			}
		case query:
			return i, plain
		case percent:
			return pathEnd(raw), percent
		default:
			return 0, forbidden
		}
	}
	return len(raw), plain
}

func pathEnd[T []byte | string](target T) int {
	for i := 0; i < len(target); i++ {
		if target[i] == '?' {
			return i
		}
	}
	return len(target)
}

func normalizeSlow(dst, raw []byte) ([]byte, error) {
	if raw[0] != '/' {
		return nil, ErrPathStart
	}
	// odd: an empty segment or an encoded separator came by. How many segments
	// a ".." then has behind it depends on who counts.
	odd, trailing := false, false
	for i := 1; i <= len(raw); i++ {
		start := len(dst) // of the segment with its slash
		dst = append(dst, '/')
		piece := len(dst) // where the segment begins, or what follows an encoded separator
		separators := false
		for ; i < len(raw) && raw[i] != '/'; i++ {
			c := raw[i]
			switch pathClass[c] {
			case percent:
				var ok bool
				if c, ok = unescape(raw[i:]); !ok {
					return nil, ErrPathEscape
				}
				i += 2
				switch {
				case c == 0:
					return nil, ErrPathByte
				case c == '/' || c == '\\':
					if isDots(dst[piece:]) {
						return nil, ErrPathAmbiguous
					}
					dst = appendEscaped(dst, c)
					piece, separators = len(dst), true
				case pathClass[c] == plain:
					dst = append(dst, c)
				default:
					dst = appendEscaped(dst, c)
				}
			case forbidden:
				return nil, ErrPathByte
			default:
				dst = append(dst, c)
			}
		}
		last := i == len(raw)
		segment := dst[start+1:]
		switch {
		case separators:
			if isDots(dst[piece:]) {
				return nil, ErrPathAmbiguous
			}
			odd = true
		case len(segment) > 0 && segment[0] == ';':
			odd = true // empty for those who cut parameters off
		case len(segment) == 0:
			dst, trailing = dst[:start], last
			odd = odd || !last
		case string(segment) == ".":
			dst, trailing = dst[:start], last
		case string(segment) == "..":
			if odd {
				return nil, ErrPathAmbiguous
			}
			if start == 0 {
				return nil, ErrPathClimbs
			}
			dst, trailing = dst[:bytes.LastIndexByte(dst[:start], '/')], last
		case isDots(segment):
			return nil, ErrPathAmbiguous
		}
	}
	if trailing || len(dst) == 0 {
		dst = append(dst, '/')
	}
	return dst, nil
}

// isDots says whether b is a dot segment once parameters (";x", which some
// servers cut off before they resolve) are gone.
func isDots(b []byte) bool {
	if len(b) == 0 || b[0] != '.' {
		return false
	}
	if i := bytes.IndexByte(b, ';'); i >= 0 {
		b = b[:i]
	}
	return string(b) == "." || string(b) == ".."
}

func appendEscaped(dst []byte, c byte) []byte {
	const digits = "0123456789ABCDEF"
	return append(dst, '%', digits[c>>4], digits[c&15])
}

// unescape decodes the escape that b begins with.
func unescape(b []byte) (c byte, ok bool) {
	if len(b) < 3 {
		return 0, false
	}
	hi, lo := unhex(b[1]), unhex(b[2])
	return hi<<4 | lo, hi|lo < 16
}

// unhex is the value of a hexadecimal digit, 255 for other bytes.
func unhex(c byte) byte {
	if d := c - '0'; d < 10 {
		return d
	}
	if d := c | 0x20 - 'a'; d < 6 {
		return d + 10
	}
	return 255
}

// The classes of bytes in a raw path.
const (
	plain uint8 = iota
	slash
	percent
	query
	forbidden
)

var pathClass = [256]uint8{
	'/': slash, '%': percent, '?': query, '#': forbidden, '\\': forbidden, 0x7f: forbidden,
	0x00: forbidden, forbidden, forbidden, forbidden, forbidden, forbidden, forbidden, forbidden,
	0x08: forbidden, forbidden, forbidden, forbidden, forbidden, forbidden, forbidden, forbidden,
	0x10: forbidden, forbidden, forbidden, forbidden, forbidden, forbidden, forbidden, forbidden,
	0x18: forbidden, forbidden, forbidden, forbidden, forbidden, forbidden, forbidden, forbidden,
}
