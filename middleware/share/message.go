package share

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A message has a head of 18 bytes: the version of the format, flags, the mark of
// the key (8 bytes, little endian as all of them) and who it is from (8 bytes,
// chosen anew by each process). Then come sections, one for each limit: its kind,
// its id (8 bytes), how many counts follow (uvarint) and these, each a key (8
// bytes) and a number above 0 (uvarint). Of the counts of requests in flight there
// may be more than one message has; the first and the last are flagged.
const (
	version   = 1
	headLen   = 18
	flagFirst = 1 << 0
	flagLast  = 1 << 1
)

type head struct {
	first, last bool
	mark, from  uint64
}

// count is what is told of one key of a limit.
type count struct {
	kind       Kind
	limit, key uint64
	n          int64
}

// encode makes messages of counts, at least one. Counts of one limit and kind
// follow one another.
func encode(h head, counts []count) [][]byte {
	var out [][]byte
	for first := true; first || len(counts) > 0; first = false {
		b := make([]byte, 0, min(maxMessage, headLen+32*len(counts)))
		b = append(b, version, 0)
		b = binary.LittleEndian.AppendUint64(b, h.mark)
		b = binary.LittleEndian.AppendUint64(b, h.from)
		// The longest count has 8 bytes and 5; a section begins with 9 and at most 2.
		for len(counts) > 0 && len(b) < maxMessage-9-2-13 {
			n := 1
			for room := (maxMessage - len(b) - 9 - 2) / 13; n < len(counts) && n < room; n++ {
				if counts[n].limit != counts[0].limit || counts[n].kind != counts[0].kind {
					break
				}
			}
			b = append(b, byte(counts[0].kind))
			b = binary.LittleEndian.AppendUint64(b, counts[0].limit)
			b = binary.AppendUvarint(b, uint64(n))
			for _, c := range counts[:n] {
				b = binary.LittleEndian.AppendUint64(b, c.key)
				b = binary.AppendUvarint(b, uint64(min(c.n, maxCount)))
			}
			counts = counts[n:]
		}
		out = append(out, b)
	}
	if h.first {
		out[0][1] |= flagFirst
	}
	if h.last {
		out[len(out)-1][1] |= flagLast
	}
	return out
}

var errMessage = errors.New("it is not a message about limits")

// decode reads a message and calls each with its counts. The errors of a message
// are found before the first call when each is nil; call it so first.
func decode(b []byte, each func(count)) (head, error) {
	if len(b) < headLen || len(b) > maxMessage {
		return head{}, fmt.Errorf("%w: it has %d bytes", errMessage, len(b))
	}
	if b[0] != version {
		return head{}, fmt.Errorf("%w of version %d: it has version %d", errMessage, version, b[0])
	}
	if b[1]&^(flagFirst|flagLast) != 0 {
		return head{}, fmt.Errorf("%w: flags %#x", errMessage, b[1])
	}
	h := head{
		first: b[1]&flagFirst != 0, last: b[1]&flagLast != 0,
		mark: binary.LittleEndian.Uint64(b[2:]), from: binary.LittleEndian.Uint64(b[10:]),
	}
	for b = b[headLen:]; len(b) > 0; {
		if len(b) < 9 || b[0] != byte(Rate) && b[0] != byte(InFlight) {
			return h, fmt.Errorf("%w: a section is broken", errMessage)
		}
		c := count{kind: Kind(b[0]), limit: binary.LittleEndian.Uint64(b[1:])}
		n, rest, ok := number(b[9:])
		if !ok || n > uint64(len(rest)/9) {
			return h, fmt.Errorf("%w: the length of a section is broken", errMessage)
		}
		for range n {
			if len(rest) < 9 {
				return h, fmt.Errorf("%w: it is cut off", errMessage)
			}
			c.key = binary.LittleEndian.Uint64(rest)
			var v uint64
			if v, rest, ok = number(rest[8:]); !ok || v > maxCount {
				return h, fmt.Errorf("%w: a count is broken", errMessage)
			}
			c.n = int64(v)
			if each != nil {
				each(c)
			}
		}
		b = rest
	}
	return h, nil
}

// number reads a uvarint above 0 that is written as short as can be.
func number(b []byte) (v uint64, rest []byte, ok bool) {
	v, size := binary.Uvarint(b)
	if size <= 0 || v == 0 || size > 1 && b[size-1] == 0 {
		return 0, nil, false
	}
	return v, b[size:], true
}
