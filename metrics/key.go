package metrics

import "strconv"

// key is a status code and a method. There are at most 902 codes and 10
// methods, so whatever clients and backends send, the series are bounded.
type key uint16

// methods are the standard ones (RFC 9110 section 9, RFC 5789) and what all
// others are.
var methods = [...]string{"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "OTHER", "PATCH", "POST", "PUT", "TRACE"}

const (
	// Codes without three digits are counted under one of these.
	otherOK   = 0
	otherFail = 1000
)

func keyOf(method []byte, code int) key {
	switch {
	case code < 100:
		code = otherOK
	case code > 999:
		code = otherFail
	}
	return key(code<<4 | methodIndex(method))
}

// methodIndex is case-sensitive, as methods are.
func methodIndex(method []byte) int {
	switch string(method) {
	case "GET":
		return 2
	case "POST":
		return 7
	case "HEAD":
		return 3
	case "PUT":
		return 8
	case "DELETE":
		return 1
	case "OPTIONS":
		return 4
	case "PATCH":
		return 6
	case "CONNECT":
		return 0
	case "TRACE":
		return 9
	}
	return 5
}

func (k key) hash() uint32 { return uint32(k) * 0x9E3779B1 >> 8 }

func (k key) failed() bool { return k>>4 >= 400 }

// appendLabels appends the labels of the key after the application's.
func (k key) appendLabels(b []byte) []byte {
	b = append(b, `,code="`...)
	switch code := k >> 4; code {
	case otherOK, otherFail:
		b = append(b, "other"...)
	default:
		b = strconv.AppendUint(b, uint64(code), 10)
	}
	b = append(b, `",method="`...)
	b = append(b, methods[k&15]...)
	return append(b, '"')
}
