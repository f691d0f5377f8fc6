package content

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// Errors of CheckPath.
var (
	ErrPathSlash   = errors.New("a path begins with one / and names a file")
	ErrPathDots    = errors.New(`a path has no "." and no ".." in it`)
	ErrPathDouble  = errors.New("a path has no two slashes in a row")
	ErrPathControl = errors.New("a path is UTF-8 without control characters and backslashes")
	ErrPathLength  = errors.New("a path has at most 4096 bytes")
)

// CheckPath says what is wrong with the path of a file: it begins with "/", ends
// in a name, and every browser and file system reads it in the same way.
func CheckPath(p string) error {
	switch {
	case len(p) < 2 || p[0] != '/' || p[len(p)-1] == '/':
		return ErrPathSlash
	case len(p) > MaxPath:
		return ErrPathLength
	case !utf8.ValidString(p) || strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }):
		return ErrPathControl
	}
	for part := range strings.SplitSeq(p[1:], "/") {
		switch part {
		case "":
			return ErrPathDouble
		case ".", "..":
			return ErrPathDots
		}
	}
	return nil
}

// RequestPath makes the path of a request's target comparable with those of a
// manifest: the query goes, percent-encoding is undone, dot segments are
// resolved. Encoded slashes and backslashes, control characters and broken
// encoding are no file's path: false. The result is target itself where there is
// nothing to undo, else it is written to dst.
func RequestPath(dst, target []byte) (path []byte, ok bool) {
	plain, dots := true, false
	for i, c := range target {
		switch {
		case c == '?':
			target = target[:i]
		case c == '%' || c == '\\' || c < ' ' || c == 0x7f:
			plain = false
			continue
		case c == '.' && i > 0 && target[i-1] == '/':
			dots = true
			continue
		case c == '/' && i > 0 && target[i-1] == '/':
			dots = true
			continue
		default:
			continue
		}
		break
	}
	if len(target) == 0 || target[0] != '/' {
		return nil, false
	}
	if plain && !dots {
		return target, true
	}
	dst = dst[:0]
	for i := 0; i < len(target); i++ {
		c := target[i]
		if c == '%' {
			if i+2 >= len(target) {
				return nil, false
			}
			high, low := unhex(target[i+1]), unhex(target[i+2])
			if high > 15 || low > 15 {
				return nil, false
			}
			if c = high<<4 | low; c == '/' {
				return nil, false
			}
			i += 2
		}
		if c == '\\' || c < ' ' || c == 0x7f {
			return nil, false
		}
		dst = append(dst, c)
	}
	return resolveDots(dst), true
}

func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// resolveDots takes "." and ".." segments and doubled slashes out of a path, in
// place (RFC 3986 section 5.2.4).
func resolveDots(p []byte) []byte {
	out := p[:0]
	for i := 0; i < len(p); {
		end := i + 1
		for end < len(p) && p[end] != '/' {
			end++
		}
		last := end == len(p)
		switch segment := p[i+1 : end]; {
		case string(segment) == "." || len(segment) == 0 && !last:
			if last {
				out = append(out, '/')
			}
		case string(segment) == "..":
			for len(out) > 0 {
				out = out[:len(out)-1]
				if p[len(out)] == '/' {
					break
				}
			}
			if last {
				out = append(out, '/')
			}
		default:
			out = append(out, p[i:end]...)
		}
		i = end
	}
	if len(out) == 0 {
		out = append(out, '/')
	}
	return out
}
