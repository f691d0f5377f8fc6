package lambda

import "bytes"

// splitQuery takes a query apart at "&". A parameter without "=" has the empty
// value. decode: percent escapes and "+" are decoded into arena, which is
// returned grown; escapes that are none stay as they are.
func splitQuery(p *pairs, query, arena []byte, decode bool) []byte {
	// The arena must not move while pairs point into it.
	if decode && cap(arena)-len(arena) < len(query) {
		arena = make([]byte, 0, 2*len(query))
	}
	for len(query) > 0 {
		part := query
		if i := bytes.IndexByte(query, '&'); i >= 0 {
			part, query = query[:i], query[i+1:]
		} else {
			query = nil
		}
		if len(part) == 0 {
			continue
		}
		name, value, _ := bytes.Cut(part, equals)
		if decode {
			at := len(arena)
			arena = appendDecoded(arena, name)
			middle := len(arena)
			arena = appendDecoded(arena, value)
			name, value = arena[at:middle:middle], arena[middle:len(arena):len(arena)]
		}
		p.add(name, value)
	}
	return arena
}

var equals = []byte{'='}

func appendDecoded(dst, s []byte) []byte {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+':
			dst = append(dst, ' ')
		case c == '%' && i+2 < len(s) && unhex(s[i+1]) < 16 && unhex(s[i+2]) < 16:
			dst = append(dst, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// unhex is the value of a hexadecimal digit, 255 for what is none.
func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}
