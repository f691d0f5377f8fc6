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

// Gzipped reports whether files of the kind are compressed, and meant to be sent
// with Content-Encoding: gzip.
func (k Kind) Gzipped() bool { return types[k.mime].extensions == "svgz" }

// HTML reports whether the file is a page, which links to the others: a browser
// that kept it for ever would never see another version of the site.
func (k Kind) HTML() bool {
	t := k.Type()
	return strings.HasPrefix(t, "text/html") || strings.HasPrefix(t, "application/xhtml")
}

// KindOf reads a path.
func KindOf(path string) Kind {
	name := path[strings.LastIndexByte(path, '/')+1:]
	k := Kind{mime: mimeOf(name)}
	k.Hashed = !k.HTML() && hashedName(name)
	return k
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

// hashedName reports whether a name has a hash in it, see hashAt.
func hashedName(name string) bool {
	_, _, ok := hashAt(name)
	return ok
}

// AppendHashPattern appends a path with its hash replaced by "*": what the next
// version of the same file will match. Without a hash it is the path.
func AppendHashPattern(dst, path []byte) []byte {
	slash := bytes.LastIndexByte(path, '/') + 1
	name := path[slash:]
	if from, to, ok := hashAt(name); ok {
		dst = append(dst, path[:slash+from]...)
		dst = append(dst, '*')
		return append(dst, name[to:]...)
	}
	return append(dst, path...)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
