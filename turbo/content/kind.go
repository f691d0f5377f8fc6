package content

import (
	"bytes"
	"strings"
)

// Kind is what the path of a file tells of it, in the bytes that a manifest can
// spare for each file.
type Kind struct {
	mime uint8
	// Hashed: the name has a hash of the content in it, so that what is there
	// never changes.
	Hashed bool
}

// Type is the Content-Type.
func (k Kind) Type() string { return types[k.mime].name }

// Compressible says whether compression is of use for files of this type.
func (k Kind) Compressible() bool { return types[k.mime].compressible }

// KindOf reads a path.
func KindOf(path string) Kind {
	name := path[strings.LastIndexByte(path, '/')+1:]
	return Kind{mime: mimeOf(name), Hashed: hashedName(name)}
}

// KindOfType is the kind of a file whose Content-Type is known: what its path
// says, except for types that the path does not tell.
func KindOfType(contentType string) (k Kind, known bool) {
	name, _, _ := strings.Cut(contentType, ";")
	name = strings.ToLower(strings.TrimSpace(name))
	for i, t := range types {
		if base, _, _ := strings.Cut(t.name, ";"); base == name {
			return Kind{mime: uint8(i)}, true
		}
	}
	return Kind{}, false
}

// CompressibleType says whether compression is of use for a Content-Type: text,
// and formats of text and numbers that are not compressed by themselves.
func CompressibleType(contentType string) bool {
	name, _, _ := strings.Cut(contentType, ";")
	name = strings.ToLower(strings.TrimSpace(name))
	switch {
	case strings.HasPrefix(name, "text/"), strings.HasSuffix(name, "+json"), strings.HasSuffix(name, "+xml"):
		return true
	}
	k, known := KindOfType(name)
	return known && k.Compressible()
}

// hashedName says whether a name such as app.3f2a9c1b.js, main-DfK3sd9A.css or
// 4f1d…e2.woff2 has a hash in it: a part between dots, dashes or underscores,
// other than the extension, of at least 8 characters that are hexadecimal with a
// digit, or of 8 to 64 characters of mixed letters and digits.
func hashedName(name string) bool {
	stem := name
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		stem = name[:i]
	}
	from := 0
	for i := 0; i <= len(stem); i++ {
		if i < len(stem) && stem[i] != '.' && stem[i] != '-' && stem[i] != '_' && stem[i] != '~' {
			continue
		}
		if hashLike(stem[from:i]) {
			return true
		}
		from = i + 1
	}
	return false
}

// AppendHashPattern appends a path with its hash replaced by "*": what the next
// version of the same file will match. Without a hash it is the path.
func AppendHashPattern(dst, path []byte) []byte {
	slash := bytes.LastIndexByte(path, '/') + 1
	name := path[slash:]
	stem := len(name)
	if i := bytes.LastIndexByte(name, '.'); i > 0 {
		stem = i
	}
	from := 0
	for i := 0; i <= stem; i++ {
		if i < stem && name[i] != '.' && name[i] != '-' && name[i] != '_' && name[i] != '~' {
			continue
		}
		if hashLike(name[from:i]) {
			dst = append(dst, path[:slash+from]...)
			dst = append(dst, '*')
			return append(dst, name[i:]...)
		}
		from = i + 1
	}
	return append(dst, path...)
}

func hashLike[S []byte | string](s S) bool {
	if len(s) < 8 || len(s) > 64 {
		return false
	}
	var digits, small, capital, other, beyondHex int
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c >= 'a' && c <= 'z':
			small++
			if c > 'f' {
				beyondHex++
			}
		case c >= 'A' && c <= 'Z':
			capital++
			if c > 'F' {
				beyondHex++
			}
		default:
			other++
		}
	}
	switch {
	case other > 0 || digits == len(s): // a date or a number is no hash
		return false
	case beyondHex == 0:
		return digits > 0
	}
	// Base-62 and base-32 hashes; a word with a year behind it is none.
	return digits >= 1 && small >= 1 && capital >= 1 || digits >= 2 && small+capital >= 2 && scattered(s)
}

// scattered says whether digits and letters alternate more than once.
func scattered[S []byte | string](s S) bool {
	turns := 0
	for i := 1; i < len(s); i++ {
		if isDigit(s[i]) != isDigit(s[i-1]) {
			turns++
		}
	}
	return turns >= 3
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
