package router

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// Servers differ in how they read a path: in which order they decode it, cut
// parameters off, and what they take for a separator. A protected prefix is only
// protected if no server behind another entry can be led past it, so a path with
// such bytes in it is matched in every reading below, and all of them have to
// belong to one application.

// reading is one way to read a raw path.
type reading struct {
	// servers says who reads so; docs/applications.md has the same table.
	servers string
	steps   []step
	// some: only few servers read so, and what a rule takes need not be taken again
	// when read so.
	some bool
}

// step changes a path; it appends the result to dst.
type step func(dst, path []byte) []byte

// readings are those that differ from the normal form. Each ends in segments
// that are merged and resolved.
var readings = []reading{
	{"Tomcat, Jetty, Spring, Undertow: parameters are cut on the raw path, then it is decoded", []step{cutParameters, decode}, false},
	{"Tomcat and Jetty where encoded slashes are refused or kept: parameters only", []step{cutParameters, decodeKeeping}, false},
	{"node, Python (WSGI), PHP, Go (URL.Path): decoded, then split", []step{decode}, false},
	{"older Java containers: decoded, then parameters are cut", []step{decode, cutParameters}, false},
	{"IIS, ASP.NET, Windows: backslashes, names without what Windows ignores, cookieless sessions", []step{decode, backslashes, windows}, true},
	{"IIS with parameters cut before", []step{cutParameters, decode, backslashes, windows}, true},
	{"servers behind another proxy that decodes: decoded twice", []step{decode, decode, backslashes}, false},
	{"the same with parameters", []step{decode, cutParameters, decode, backslashes, cutParameters}, false},
	{"decoded until nothing changes", []step{decodeAll, backslashes, windows, cutParameters}, true},
	{"PHP-FPM, CGI: PATH_INFO after a script", []step{decode, cutScript}, true},
	{"Apache's rewriting: an encoded question mark begins the query", []step{decode, cutQuery}, true},
	{"decoders that drop or fold what is not valid UTF-8", []step{decode, foldUnicode, backslashes}, true},
}

// look reports whether a raw path has to be read in other ways, as there is a byte
// in it that some server takes for more than itself, and whether it has upper case.
// It goes over the path once, and once more where there is a dot.
func look[T []byte | string](path T) (special, upper bool) {
	var seen, before uint8
	for i := 0; i < len(path); i++ {
		c := readingClass[path[i]]
		seen |= c | c&before&slashByte<<3
		before = c
	}
	return seen&specialByte != 0 || seen&dotByte != 0 && dotted(path), seen&upperByte != 0
}

const (
	slashByte   = 1
	dotByte     = 2
	upperByte   = 4
	specialByte = 8 // slashByte<<3: two slashes are special
)

// dotted reports whether a segment ends with a dot or, with more after it, in the
// name of a script.
func dotted[T []byte | string](path T) bool {
	for i := 1; i < len(path); i++ {
		if path[i] == '/' && (path[i-1] == '.' || afterScript(path[:i])) {
			return true
		}
	}
	return path[len(path)-1] == '.'
}

var readingClass = func() (t [256]uint8) {
	for _, c := range "%;\\:(" {
		t[c] = specialByte
	}
	for c := 0x80; c < 0x100; c++ {
		t[c] = specialByte
	}
	for c := 'A'; c <= 'Z'; c++ {
		t[c] = upperByte
	}
	t['/'], t['.'] = slashByte, dotByte
	return t
}()

var scripts = [...]string{".php", ".cgi", ".pl", ".py", ".asp", ".fcgi", ".phtml", ".aspx", ".ashx", ".asmx", ".php5", ".php7", ".jsp", ".jspx", ".do", ".dll"}

// afterScript reports whether a path ends with the name of a script.
func afterScript[T []byte | string](path T) bool {
	dot := len(path) - 1
	for ; dot >= 0 && dot >= len(path)-6 && path[dot] != '.' && path[dot] != '/'; dot-- {
	}
	if dot < 0 || path[dot] != '.' {
		return false
	}
	for _, s := range scripts {
		if foldedIs(path[dot:], s) {
			return true
		}
	}
	return false
}

func foldedIs[T []byte | string](b T, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range len(b) {
		if c := b[i]; c != lower[i] && (c < 'A' || c > 'Z' || c|0x20 != lower[i]) {
			return false
		}
	}
	return true
}

// cutParameters cuts ";..." off each segment.
func cutParameters(dst, path []byte) []byte {
	cut := false
	for _, c := range path {
		switch c {
		case '/':
			cut = false
		case ';':
			cut = true
		}
		if !cut {
			dst = append(dst, c)
		}
	}
	return dst
}

// decode decodes each escape once; what is none stays as it is.
func decode(dst, path []byte) []byte { return appendDecoded(dst, path, false) }

// decodeKeeping is decode without separators.
func decodeKeeping(dst, path []byte) []byte { return appendDecoded(dst, path, true) }

func appendDecoded(dst, path []byte, keep bool) []byte {
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' {
			if d, ok := unescape(path[i:]); ok && !(keep && (d == '/' || d == '\\')) {
				c = d
				i += 2
			} else if d, ok := unescapeIIS(path[i:]); ok {
				c = d
				i += 5
			}
		}
		dst = append(dst, c)
	}
	return dst
}

// unescapeIIS decodes %u0061, which IIS took for a.
func unescapeIIS(b []byte) (byte, bool) {
	if len(b) < 6 || b[1]|0x20 != 'u' {
		return 0, false
	}
	hi, ok := unescape([]byte{'%', b[2], b[3]})
	lo, ok2 := unescape([]byte{'%', b[4], b[5]})
	return lo, ok && ok2 && hi == 0
}

// decodeAll decodes until nothing is left to decode.
func decodeAll(dst, path []byte) []byte {
	from := len(dst)
	dst = decode(dst, path)
	for {
		n := len(dst)
		// What is decoded is shorter, so it can be written over what it came from.
		again := decode(dst[from:from], dst[from:])
		if from+len(again) == n {
			return dst
		}
		dst = dst[:from+len(again)]
	}
}

// backslashes makes separators of backslashes.
func backslashes(dst, path []byte) []byte {
	for _, c := range path {
		if c == '\\' {
			c = '/'
		}
		dst = append(dst, c)
	}
	return dst
}

// windows cuts off each segment what Windows ignores in the name of a file, dots
// and spaces at its end and streams (":$DATA"), and leaves out the segments of
// ASP.NET's cookieless sessions, "(S(x))".
func windows(dst, path []byte) []byte {
	for len(path) > 0 {
		segment, rest := path, []byte(nil)
		if i := bytes.IndexByte(path[1:], '/'); i >= 0 {
			segment, rest = path[:i+1], path[i+1:]
		}
		path = rest
		if i := bytes.IndexByte(segment, ':'); i > 0 {
			segment = segment[:i]
		}
		if n := len(segment); n > 4 && segment[1] == '(' && segment[n-1] == ')' && segment[3] == '(' {
			continue
		}
		name := segment
		if !isDots(segment[1:]) {
			name = bytes.TrimRight(segment, ". ")
		}
		if len(name) == 0 {
			name = segment[:1]
		}
		dst = append(dst, name...)
	}
	return dst
}

// cutScript leaves out the segments that name a script and have more after them.
func cutScript(dst, path []byte) []byte {
	for len(path) > 0 {
		i := bytes.IndexByte(path[1:], '/')
		if i < 0 {
			return append(dst, path...)
		}
		if !afterScript(path[:i+1]) {
			dst = append(dst, path[:i+1]...)
		}
		path = path[i+1:]
	}
	return dst
}

// cutQuery cuts the path at a question mark, which was encoded.
func cutQuery(dst, path []byte) []byte {
	if i := bytes.IndexByte(path, '?'); i >= 0 {
		path = path[:i]
	}
	return append(dst, path...)
}

// foldUnicode makes ASCII of the full width forms and of other slashes, as best
// fit mappings and NFKC do, and drops what is not valid UTF-8.
func foldUnicode(dst, path []byte) []byte {
	for len(path) > 0 {
		r, n := utf8.DecodeRune(path)
		switch {
		case r == utf8.RuneError && n == 1:
			if c, size := overlong(path); size > 0 {
				dst = append(dst, c)
				n = size
			}
		case r >= 0xff01 && r <= 0xff5e:
			dst = append(dst, byte(r-0xff01+0x21))
		case r == 0x2044 || r == 0x2215:
			dst = append(dst, '/')
		case r == 0x2216:
			dst = append(dst, '\\')
		case r == 0x2024:
			dst = append(dst, '.')
		default:
			dst = append(dst, path[:n]...)
		}
		path = path[n:]
	}
	return dst
}

// overlong decodes an ASCII character in two to four bytes, which UTF-8 forbids
// (RFC 3629 section 3) and lenient decoders take.
func overlong(b []byte) (c byte, size int) {
	switch {
	case b[0] == 0xc0 || b[0] == 0xc1:
		size = 2
	case b[0] == 0xe0:
		size = 3
	case b[0] == 0xf0:
		size = 4
	default:
		return 0, 0
	}
	if len(b) < size {
		return 0, 0
	}
	value := uint(b[0]) & (0x7f >> size)
	for _, next := range b[1:size] {
		if next&0xc0 != 0x80 {
			return 0, 0
		}
		value = value<<6 | uint(next&0x3f)
	}
	if value >= 0x80 {
		return 0, 0
	}
	return byte(value), size
}

// settle merges slashes and resolves dot segments of a decoded path, in place.
// False: it climbs above the root.
func settle(path []byte) ([]byte, bool) {
	out := path[:0]
	trailing := false
	for len(path) > 0 {
		path = path[1:] // the slash
		segment := path
		if i := bytes.IndexByte(path, '/'); i >= 0 {
			segment, path = path[:i], path[i:]
		} else {
			path = nil
		}
		trailing = true
		switch string(segment) {
		case "", ".":
		case "..":
			if len(out) == 0 {
				return nil, false
			}
			out = out[:bytes.LastIndexByte(out, '/')]
		default:
			out = append(append(out, '/'), segment...)
			trailing = false
		}
	}
	if trailing || len(out) == 0 {
		out = append(out, '/')
	}
	return out, true
}

// read appends the path as a server reads it. False: it has no such reading that
// could be judged.
func (r *reading) read(a, b, path []byte) (out, other []byte, ok bool) {
	from := path
	for _, s := range r.steps {
		a = s(a[:0], from)
		from = a
		a, b = b, a
	}
	// b holds the result.
	if len(b) == 0 || b[0] != '/' {
		b = append(b[:0], '/')
	}
	out, ok = settle(b)
	return out, a, ok
}

// OtherReadings returns what the path of a request target is, decoded, for servers
// that do not read it as NormalizePath does, each once; nothing for most paths.
// Readings that only few servers have are left out, as there are ordinary paths in
// them (/index.php/x, /a:b). False: one of them climbs above the root.
func OtherReadings(raw []byte) ([][]byte, bool) {
	if special, _ := look(raw); len(raw) == 0 || !special {
		return nil, true
	}
	var others [][]byte
	var a, b []byte
	for i := range readings {
		if readings[i].some {
			continue
		}
		path, rest, ok := readings[i].read(a, b, raw)
		if !ok {
			return nil, false
		}
		a, b = rest, nil
		if !slices.ContainsFunc(others, func(o []byte) bool { return bytes.Equal(o, path) }) {
			others = append(others, bytes.Clone(path))
		}
	}
	return others, true
}

// authority is a raw path as those read it that take what follows two slashes for
// a host: node (URL with a base), Python (urlsplit) and PHP (parse_url).
func authority(path []byte) ([]byte, bool) {
	if len(path) < 2 || path[0] != '/' || path[1] != '/' {
		return nil, false
	}
	rest := bytes.TrimLeft(path, "/")
	if i := bytes.IndexByte(rest, '/'); i >= 0 {
		return rest[i:], true
	}
	return slashPath, true
}

var slashPath = []byte("/")
