package turbo

import (
	"encoding/base64"

	"edgerouter/turbo/content"
)

// An ETag is "ID" for identity and "ID-gz", "ID-br", "ID-zstd" for encodings, "ID-dcb"
// and "ID-dcz" for those with a dictionary. All of them stand for the same
// content, so that a client's copy is good in whichever encoding it came.

// appendETag appends an ETag with its quotes.
func appendETag(dst []byte, id content.ID, suffix string) []byte {
	dst = append(dst, '"')
	dst = id.Append(dst)
	if suffix != "" {
		dst = append(append(dst, '-'), suffix...)
	}
	return append(dst, '"')
}

// matchETag says whether a list of entity tags (If-None-Match) has one of the
// object's, and its suffix. The comparison is weak (RFC 9110 section 13.1.2).
func matchETag(field []byte, id content.ID) (suffix string, ok bool) {
	var text [content.IDLength]byte
	id.Append(text[:0])
	for len(field) > 0 {
		field = trim(field)
		if len(field) == 1 && field[0] == '*' {
			return "", true
		}
		if len(field) > 2 && field[0] == 'W' && field[1] == '/' {
			field = field[2:]
		}
		if len(field) == 0 || field[0] != '"' {
			return "", false // not a list of tags
		}
		tag, rest := cut(field[1:], '"')
		_, field = cut(rest, ',')
		if len(tag) < content.IDLength || string(tag[:content.IDLength]) != string(text[:]) {
			continue
		}
		if suffix, ok = knownSuffix(tag[content.IDLength:]); ok {
			return suffix, true
		}
	}
	return "", false
}

func knownSuffix(s []byte) (suffix string, ok bool) {
	if len(s) == 0 {
		return "", true
	}
	if s[0] != '-' {
		return "", false
	}
	switch string(s[1:]) {
	case "gz":
		return "gz", true
	case "br":
		return "br", true
	case "zstd":
		return "zstd", true
	case "dcb":
		return "dcb", true
	case "dcz":
		return "dcz", true
	}
	return "", false
}

// rangeable says whether If-Range lets a range of the identity copy be sent: there
// is none, or it has the strong tag of that copy (RFC 9110 section 13.1.5). We send
// no Last-Modified, so that a date never matches.
func rangeable(ifRange []byte, id content.ID) bool {
	if len(ifRange) == 0 {
		return true
	}
	var tag [content.IDLength + 2]byte
	return string(trim(ifRange)) == string(appendETag(tag[:0], id, ""))
}

// parseDictionary reads Available-Dictionary (RFC 9842 section 2.2): a byte
// sequence of structured fields, :base64: of a SHA-256.
func parseDictionary(field []byte) (id content.ID, ok bool) {
	field = trim(field)
	const length = 44 // 32 bytes in base64
	if len(field) != length+2 || field[0] != ':' || field[length+1] != ':' {
		return id, false
	}
	var raw [33]byte
	n, err := base64.StdEncoding.Decode(raw[:], field[1:length+1])
	if err != nil || n != len(id) {
		return content.ID{}, false
	}
	return content.ID(raw[:32]), true
}
