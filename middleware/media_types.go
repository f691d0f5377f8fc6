package middleware

import (
	"bytes"
	"fmt"
	"strings"
)

// mediaTypes says which media types are compressed.
type mediaTypes struct {
	only     typeList // nil: those that compressible knows
	excluded typeList
}

// typeList are media types in lower case; "text/*" and "*/*" are families.
type typeList map[string]bool

func parseTypes(field string, types []string) (typeList, error) {
	if len(types) == 0 {
		return nil, nil
	}
	list := typeList{}
	for i, t := range types {
		main, sub, ok := strings.Cut(t, "/")
		if !ok || !isToken(main) || !isToken(sub) {
			return nil, fmt.Errorf(`%s[%d]: %q is not a media type such as "text/html" or "text/*", without parameters`, field, i, t)
		}
		list[strings.ToLower(t)] = true
	}
	return list, nil
}

// has tells whether a type, in lower case, is in the list.
func (l typeList) has(t []byte) bool {
	if len(l) == 0 {
		return false
	}
	if l[string(t)] || l["*/*"] {
		return true
	}
	var family [64]byte
	main, _ := cutByte(t, '/')
	if len(main)+2 > len(family) {
		return false
	}
	n := copy(family[:], main)
	n += copy(family[n:], "/*")
	return l[string(family[:n])]
}

// wants tells whether bodies of a Content-Type are compressed.
func (m *mediaTypes) wants(contentType []byte) bool {
	var lower [128]byte
	t, _ := cutByte(contentType, ';')
	t = trimSpace(t)
	if len(t) == 0 || len(t) > len(lower) {
		return false
	}
	for i, c := range t {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		lower[i] = c
	}
	t = lower[:len(t)]
	if m.only != nil {
		return m.only.has(t)
	}
	return compressible(t) && !m.excluded.has(t)
}

// compressible tells whether a media type, in lower case, is text at heart.
func compressible(t []byte) bool {
	main, sub := cutByte(t, '/')
	switch string(main) {
	case "text":
		return true
	case "application", "image", "font", "model", "message":
	default:
		return false
	}
	if bytes.HasPrefix(sub, []byte("grpc")) {
		return false // it has a compression of its own, and knows no other
	}
	if i := len(sub) - 5; i > 0 && string(sub[i:]) == "+json" {
		return true
	}
	if i := len(sub) - 4; i > 0 && string(sub[i:]) == "+xml" {
		return true
	}
	switch string(t) {
	case "application/json", "application/json5", "application/x-ndjson", "application/jsonl", "application/json-seq",
		"application/xml", "application/xml-dtd", "application/yaml", "application/x-yaml", "application/toml",
		"application/javascript", "application/x-javascript", "application/ecmascript", "application/typescript",
		"application/graphql", "application/sql", "application/rtf", "application/postscript", "application/n-triples",
		"application/wasm", "application/protobuf", "application/x-protobuf", "application/x-www-form-urlencoded",
		"application/vnd.ms-fontobject", "application/x-font-ttf", "application/x-font-opentype",
		"font/ttf", "font/otf", "font/collection", "font/sfnt",
		"image/bmp", "image/x-icon", "image/vnd.microsoft.icon", "model/gltf-binary", "message/rfc822":
		return true
	}
	return false
}
