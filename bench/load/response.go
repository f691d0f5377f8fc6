package load

import (
	"bytes"
	"errors"
)

// maxHead bounds a head: the connection's buffer holds it whole.
const maxHead = 32 << 10

var (
	errHead  = errors.New("not an HTTP/1.1 response head")
	errChunk = errors.New("wrong chunk")
)

// head is what the generator needs to know of a response's status line and fields.
type head struct {
	status  int
	length  int64 // Content-Length; -1 when there is none
	chunked bool
	close   bool
}

// parseHead reads a response head from the start of b. size is its length with
// the empty line, 0 when b does not hold all of it yet.
func parseHead(b []byte) (h head, size int, err error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		if len(b) >= maxHead {
			return h, 0, errHead
		}
		return h, 0, nil
	}
	if end < 12 || string(b[:7]) != "HTTP/1." || b[8] != ' ' || !digit(b[9]) || !digit(b[10]) || !digit(b[11]) {
		return h, 0, errHead
	}
	h.status = int(b[9]-'0')*100 + int(b[10]-'0')*10 + int(b[11]-'0')
	h.close = b[7] == '0'
	h.length = -1
	fields := b[:end+2]
	at := bytes.IndexByte(fields, '\n') + 1
	for at < len(fields) {
		next := at + bytes.IndexByte(fields[at:], '\n') + 1
		if next-at < 2 || fields[next-2] != '\r' {
			return h, 0, errHead
		}
		line := fields[at : next-2]
		at = next
		// Only three fields matter; their lengths and first letters leave out
		// nearly all others at once.
		switch {
		case len(line) > 15 && line[14] == ':' && line[0]|0x20 == 'c' && fold(line[:14], "content-length"):
			n, ok := parseLength(trim(line[15:]))
			if !ok || h.length >= 0 && h.length != n {
				return h, 0, errHead
			}
			h.length = n
		case len(line) > 18 && line[17] == ':' && line[0]|0x20 == 't' && fold(line[:17], "transfer-encoding"):
			h.chunked = fold(trim(line[18:]), "chunked")
			if !h.chunked {
				return h, 0, errHead
			}
		case len(line) > 11 && line[10] == ':' && line[0]|0x20 == 'c' && fold(line[:10], "connection"):
			h.close = fold(trim(line[11:]), "close")
		}
	}
	if h.chunked && h.length >= 0 {
		return h, 0, errHead
	}
	if h.status == 204 || h.status == 304 { // no body, whatever the fields say (RFC 9112 section 6.3)
		h.length, h.chunked = 0, false
	}
	return h, end + 4, nil
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// fold compares b with a lower-case name.
func fold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range b {
		c := b[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
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

func parseLength(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		if !digit(c) {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// chunks is the state of a chunked body between reads.
type chunks struct {
	state chunkState
	left  int64 // of the chunk's data
	size  int64 // being read
	some  bool  // a digit of the size was seen
}

type chunkState uint8

const (
	chunkSize chunkState = iota
	chunkExtension
	chunkData
	chunkEnd // CRLF after the data
	chunkTrailer
	chunkTrailerLine
)

// feed consumes b. used is how much of it belongs to the body, data how many
// bytes of content that was; done tells that the last chunk has ended.
func (c *chunks) feed(b []byte) (used int, data int64, done bool, err error) {
	for used < len(b) {
		switch c.state {
		case chunkData:
			n := min(c.left, int64(len(b)-used))
			used += int(n)
			data += n
			if c.left -= n; c.left == 0 {
				c.state = chunkEnd
			}
			continue
		}
		ch := b[used]
		used++
		switch c.state {
		case chunkSize:
			switch v := unhex(ch); {
			case v >= 0:
				if c.size > 1<<58 {
					return used, data, false, errChunk
				}
				c.size, c.some = c.size<<4|int64(v), true
			case !c.some:
				return used, data, false, errChunk
			case ch == '\n':
				c.sized()
			case ch == '\r':
			case ch == ';' || ch == ' ' || ch == '\t':
				c.state = chunkExtension
			default:
				return used, data, false, errChunk
			}
		case chunkExtension:
			if ch == '\n' {
				c.sized()
			}
		case chunkEnd:
			switch ch {
			case '\r':
			case '\n':
				c.state = chunkSize
			default:
				return used, data, false, errChunk
			}
		case chunkTrailer:
			switch ch {
			case '\r':
			case '\n':
				*c = chunks{}
				return used, data, true, nil
			default:
				c.state = chunkTrailerLine
			}
		case chunkTrailerLine:
			if ch == '\n' {
				c.state = chunkTrailer
			}
		}
	}
	return used, data, false, nil
}

func (c *chunks) sized() {
	c.left, c.size, c.some = c.size, 0, false
	c.state = chunkData
	if c.left == 0 {
		c.state = chunkTrailer
	}
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
