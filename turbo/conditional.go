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

// verdict on a Range field.
type rangeVerdict uint8

const (
	rangeNone    rangeVerdict = iota // send all: no range, several, or another unit
	rangePart                        // send the part
	rangeOutside                     // 416
)

// parseRange reads Range (RFC 9110 section 14.2) for a body of size bytes. Several
// ranges get the whole body, which RFC 9110 allows and costs less than their parts.
func parseRange(field []byte, size int64) (offset, n int64, v rangeVerdict) {
	field = trim(field)
	const unit = "bytes="
	if len(field) < len(unit) || string(field[:len(unit)]) != unit {
		return 0, 0, rangeNone
	}
	spec, more := cut(field[len(unit):], ',')
	if len(more) > 0 {
		return 0, 0, rangeNone
	}
	spec = trim(spec)
	dash := -1
	for i, c := range spec {
		if c == '-' {
			dash = i
			break
		}
	}
	if dash < 0 {
		return 0, 0, rangeNone
	}
	first, firstOK := number(spec[:dash])
	last, lastOK := number(spec[dash+1:])
	switch {
	case dash == 0: // the last so many bytes
		if !lastOK {
			return 0, 0, rangeNone
		}
		if last == 0 || size == 0 {
			return 0, 0, rangeOutside
		}
		last = min(last, size)
		return size - last, last, rangePart
	case !firstOK, dash < len(spec)-1 && (!lastOK || last < first):
		return 0, 0, rangeNone
	case first >= size:
		return 0, 0, rangeOutside
	case dash == len(spec)-1:
		return first, size - first, rangePart
	}
	last = min(last, size-1)
	return first, last - first + 1, rangePart
}

// number reads digits; those that are too many for 2^62 stand for 2^62.
func number(b []byte) (n int64, ok bool) {
	if len(b) == 0 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n < 1<<62/10 {
			n = n*10 + int64(c-'0')
		} else {
			n = 1 << 62
		}
	}
	return n, true
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
