package content

import "bytes"

// RangeVerdict is what a Range field asks for.
type RangeVerdict uint8

// The verdicts.
const (
	RangeNone    RangeVerdict = iota // send all: no range, several, or another unit
	RangePart                        // send the part
	RangeOutside                     // 416
)

// ParseRange reads Range (RFC 9110 section 14.2) for a body of size bytes. Several
// ranges get the whole body, which RFC 9110 allows and costs less than their parts.
func ParseRange(field []byte, size int64) (offset, n int64, v RangeVerdict) {
	field = bytes.TrimSpace(field)
	const unit = "bytes="
	if len(field) < len(unit) || string(field[:len(unit)]) != unit {
		return 0, 0, RangeNone
	}
	spec, more, _ := bytes.Cut(field[len(unit):], comma)
	if len(more) > 0 {
		return 0, 0, RangeNone
	}
	spec = bytes.TrimSpace(spec)
	dash := -1
	for i, c := range spec {
		if c == '-' {
			dash = i
			break
		}
	}
	if dash < 0 {
		return 0, 0, RangeNone
	}
	first, firstOK := number(spec[:dash])
	last, lastOK := number(spec[dash+1:])
	switch {
	case dash == 0: // the last so many bytes
		if !lastOK {
			return 0, 0, RangeNone
		}
		if last == 0 || size == 0 {
			return 0, 0, RangeOutside
		}
		last = min(last, size)
		return size - last, last, RangePart
	case !firstOK, dash < len(spec)-1 && (!lastOK || last < first):
		return 0, 0, RangeNone
	case first >= size:
		return 0, 0, RangeOutside
	case dash == len(spec)-1:
		return first, size - first, RangePart
	}
	last = min(last, size-1)
	return first, last - first + 1, RangePart
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

var comma = []byte{','}
