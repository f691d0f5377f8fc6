package content

import "bytes"

// hashAt finds the hash of the content in a name, as bundlers write it:
//
//   - main.3f2a9c1b4d5e6f708192.js: hexadecimal digits between dots, dashes or
//     underscores, in one of the lengths that are in use, letters and digits mixed;
//   - index-DfK3sd9A.js, entry.D-2ka_xQ.css, chunk-3XKQ2ABC.js: the eight characters
//     before a dot, of base64url, base62 or base32, that do not follow one another
//     as they do in words;
//   - blazor.0gq5n2gk1x.js: ten and more letters and digits, by the same rule, more
//     strictly.
//
// A name without one that is taken for one is never asked for again by a browser,
// so that in doubt there is none.
func hashAt[S []byte | string](name S) (from, to int, ok bool) {
	stem := len(name)
	for i := len(name) - 1; i > 0; i-- {
		if name[i] == '.' {
			stem = i
			break
		}
	}
	for i := 0; i <= stem; i++ {
		if i < stem && !divides(name[i]) {
			continue
		}
		if part := name[from:i]; hexHash(part) || longHash(part) {
			return from, i, true
		}
		// The eight characters before a dot, or "_" with another hash behind it.
		if w := i - short; w >= 0 && (w == 0 || name[w-1] == '-' || name[w-1] == '.') &&
			(i == len(name) || i == stem || name[i] == '.' || name[i] == '_') && shortHash(name[w:i], w == 0) {
			return w, i, true
		}
		from = i + 1
	}
	return 0, 0, false
}

func divides(c byte) bool { return c == '.' || c == '-' || c == '_' || c == '~' }

// short is the length of the hashes of vite, rollup and esbuild.
const short = 8

// Least surprise for each character, in half bits. Of random names 2 to 5% have
// less, of words less than 1% more.
const (
	shortSurprise  = 10
	longSurprise   = 12
	strictSurprise = 13 // for a whole name
)

// hexHash reports whether a part is a hash in hexadecimal digits.
func hexHash[S []byte | string](s S) bool {
	switch len(s) {
	case 8, 10, 12, 16, 20, 24, 32, 40, 48, 56, 64, 96, 128:
	default:
		return false
	}
	digits, small, capital := 0, 0, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case isDigit(c):
			digits++
		case c >= 'a' && c <= 'f':
			small++
		case c >= 'A' && c <= 'F':
			capital++
		default:
			return false
		}
	}
	switch letters := small + capital; {
	case digits == 0 || letters == 0 || small > 0 && capital > 0: // a word, a date or a number
		return false
	case turns(s) > 1:
		return true
	case isDigit(s[0]): // 2024face
		return digits != 4
	default: // decade90
		return letters < 3 || surprise(s[:letters]) >= shortSurprise*letters
	}
}

// shortHash reports whether eight characters, which may be the whole name, are a
// hash.
func shortHash[S []byte | string](s S, whole bool) bool {
	digits, letters, marks := count(s)
	least := shortSurprise
	if whole || marks > 0 {
		if digits == 0 && whole || small(s) == 0 || small(s) == letters {
			return false
		}
		least = shortSurprise + 1
		if whole {
			least = strictSurprise
		}
	}
	if digits+letters+marks != len(s) || letters < 2 || marks > 3 {
		return false
	}
	return marks == 0 && turns(s) > 3 || surprise(s) >= least*len(s)
}

// turns counts how often letters and digits alternate: up to three times in names.
func turns[S []byte | string](s S) (n int) {
	for i := 1; i < len(s); i++ {
		if isDigit(s[i]) != isDigit(s[i-1]) {
			n++
		}
	}
	return n
}

func small[S []byte | string](s S) (n int) {
	for i := 0; i < len(s); i++ {
		if s[i] >= 'a' && s[i] <= 'z' {
			n++
		}
	}
	return n
}

// longHash reports whether a part is a hash of ten characters and more.
func longHash[S []byte | string](s S) bool {
	digits, letters, _ := count(s)
	return len(s) >= 10 && len(s) <= 64 && digits+letters == len(s) && digits > 1 && letters > 1 && surprise(s) >= longSurprise*len(s)
}

func count[S []byte | string](s S) (digits, letters, marks int) {
	for i := 0; i < len(s); i++ {
		switch _, class := letterOf(s[i]); {
		case class == classDigit:
			digits++
		case class != classNone:
			letters++
		case s[i] == '-' || s[i] == '_':
			marks++
		}
	}
	return digits, letters, marks
}

// Glob reports whether a path matches a pattern: "*" stands for any characters but
// "/", "**" for any, "?" for one but "/". A pattern without "/" is one of names in any
// folder.
func Glob(pattern string, path []byte) bool {
	if !hasSlash(pattern) {
		path = path[bytes.LastIndexByte(path, '/')+1:]
	}
	return glob(pattern, path)
}

func hasSlash(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] == '/' {
			return true
		}
	}
	return false
}

// glob goes back to the last "*" and to the last "**" only, so that it takes time in
// proportion to pattern times path.
func glob(pattern string, path []byte) bool {
	p, i := 0, 0
	star, starAt, wide, wideAt := -1, 0, -1, 0
	for i < len(path) {
		switch {
		case p+1 < len(pattern) && pattern[p] == '*' && pattern[p+1] == '*':
			wide, wideAt, star = p, i, -1
			p += 2
			continue
		case p < len(pattern) && pattern[p] == '*':
			star, starAt = p, i
			p++
			continue
		case p < len(pattern) && (pattern[p] == path[i] || pattern[p] == '?' && path[i] != '/'):
			p++
			i++
			continue
		}
		switch {
		case star >= 0 && path[starAt] != '/':
			starAt++
			p, i = star+1, starAt
		case wide >= 0:
			wideAt++
			p, i, star = wide+2, wideAt, -1
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
