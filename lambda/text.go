package lambda

import "unicode/utf8"

const hexDigits = "0123456789abcdef"

// escapes tells by how much a byte grows in a JSON string: by one with a
// backslash before it, by five as \u00XX.
var escapes = [256]uint8{
	5, 5, 5, 5, 5, 5, 5, 5, '\b': 1, '\t': 1, '\n': 1, 0x0b: 5, '\f': 1, '\r': 1, 0x0e: 5, 0x0f: 5,
	0x10: 5, 0x11: 5, 0x12: 5, 0x13: 5, 0x14: 5, 0x15: 5, 0x16: 5, 0x17: 5,
	0x18: 5, 0x19: 5, 0x1a: 5, 0x1b: 5, 0x1c: 5, 0x1d: 5, 0x1e: 5, 0x1f: 5,
	'"': 1, '\\': 1,
}

// letters stand behind the backslash of an escape of two bytes.
var letters = [256]uint8{'\b': 'b', '\t': 't', '\n': 'n', '\f': 'f', '\r': 'r', '"': '"', '\\': '\\'}

// growth is how many bytes s gains in a JSON string, without the quotes.
func growth(s []byte) (n int) {
	for _, c := range s {
		n += int(escapes[c])
	}
	return n
}

// appendString appends s as a JSON string. Text that is not UTF-8 is taken for
// ISO 8859-1, which field values were before there was UTF-8 (RFC 9110 section
// 5.5), so that no byte is lost.
func appendString[S []byte | string](dst []byte, s S) []byte {
	return append(appendInside(append(dst, '"'), s), '"')
}

// appendInside is appendString without the quotes.
func appendInside[S []byte | string](dst []byte, s S) []byte {
	i := 0
	for i < len(s) && s[i] < utf8.RuneSelf && escapes[s[i]] == 0 {
		i++
	}
	dst = append(dst, s[:i]...)
	if i < len(s) {
		dst = appendEscaped(dst, s[i:])
	}
	return dst
}

func appendEscaped[S []byte | string](dst []byte, s S) []byte {
	latin := !utf8.ValidString(string(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= utf8.RuneSelf && latin:
			dst = utf8.AppendRune(dst, rune(c))
		case escapes[c] == 1:
			dst = append(dst, '\\', letters[c])
		case escapes[c] == 5:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// escapeInPlace makes the text b[at:] the inside of a JSON string. b must have
// room for the growth; it is filled from the end, so that nothing is overwritten
// before it has been read.
func escapeInPlace(b []byte, at int) []byte {
	more := growth(b[at:])
	if more == 0 {
		return b
	}
	from := len(b)
	b = b[:from+more]
	for to := len(b); to > from; {
		from--
		c := b[from]
		switch escapes[c] {
		case 0:
			to--
			b[to] = c
		case 1:
			to -= 2
			b[to], b[to+1] = '\\', letters[c]
		default:
			to -= 6
			copy(b[to:], `\u00`)
			b[to+4], b[to+5] = hexDigits[c>>4], hexDigits[c&15]
		}
	}
	return b
}

const base64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// base64InPlace makes the bytes b[at:] their base64 form (RFC 4648 section 4).
// b must have room for it; it is filled from the end.
func base64InPlace(b []byte, at int) []byte {
	n := len(b) - at
	size := (n + 2) / 3 * 4
	b = b[:at+size]
	body := b[at:]
	to := size
	if rest := n % 3; rest > 0 {
		to -= 4
		var v uint32
		if n -= rest; rest == 2 {
			v = uint32(body[n])<<16 | uint32(body[n+1])<<8
			body[to+2] = base64Digits[v>>6&63]
		} else {
			v = uint32(body[n]) << 16
			body[to+2] = '='
		}
		body[to], body[to+1], body[to+3] = base64Digits[v>>18], base64Digits[v>>12&63], '='
	}
	for n > 0 {
		n -= 3
		to -= 4
		v := uint32(body[n])<<16 | uint32(body[n+1])<<8 | uint32(body[n+2])
		body[to+3] = base64Digits[v&63]
		body[to+2] = base64Digits[v>>6&63]
		body[to+1] = base64Digits[v>>12&63]
		body[to] = base64Digits[v>>18]
	}
	return b
}
