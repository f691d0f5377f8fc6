package wire

import "encoding/binary"

// Classes of bytes, RFC 9110 section 5.6.2 and RFC 3986 section 3.2.2. Hosts are
// not percent-encoded here: no name in use needs it, and readers differ in
// whether they decode it.
const (
	classToken = 1 << iota
	classTarget
	classHost
)

var class = func() (t [256]uint8) {
	for c := '0'; c <= '9'; c++ {
		t[c] |= classToken | classHost
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c] |= classToken | classHost
		t[c-32] |= classToken | classHost
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] |= classToken
	}
	for _, c := range "-._~!$&'()*+,;=" {
		t[c] |= classHost
	}
	for c := 0x21; c < 256; c++ {
		if c != 0x7f && c != '#' {
			t[c] |= classTarget
		}
	}
	return t
}()

func all(b []byte, c uint8) bool {
	for _, x := range b {
		if class[x]&c == 0 {
			return false
		}
	}
	return true
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// cleanValue tells whether a field value has no control character; HT is not one
// (RFC 9110 section 5.5). It looks at eight bytes at a time.
func cleanValue(b []byte) bool {
	for len(b) >= 8 {
		x := binary.LittleEndian.Uint64(b)
		low := (x - ones*0x20) & ^x & highs
		del := x ^ ones*0x7f
		if low|((del-ones) & ^del & highs) != 0 && !cleanBytes(b[:8]) {
			return false
		}
		b = b[8:]
	}
	return cleanBytes(b)
}

func cleanBytes(b []byte) bool {
	for _, c := range b {
		if (c < 0x20 && c != '\t') || c == 0x7f {
			return false
		}
	}
	return true
}

// EqualFold compares an ASCII name in any case with name, which is in lower case.
func EqualFold(b []byte, name string) bool {
	if len(b) != len(name) {
		return false
	}
	for i := 0; i < len(name); i++ {
		if lower(b[i]) != name[i] {
			return false
		}
	}
	return true
}

func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// token cuts the next element off a comma-separated list; empty ones are
// returned as they are.
func token(list []byte) (first, rest []byte) {
	for i, c := range list {
		if c == ',' {
			return trim(list[:i]), list[i+1:]
		}
	}
	return trim(list), nil
}

// HasToken tells whether a comma-separated list has the element name, which is
// in lower case; the list's may be in any.
func HasToken(list []byte, name string) bool {
	for len(list) > 0 {
		var t []byte
		t, list = token(list)
		if EqualFold(t, name) {
			return true
		}
	}
	return false
}
