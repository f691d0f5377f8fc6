package wire

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// AppendField appends one field line.
func AppendField(dst []byte, name string, value []byte) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// AppendLength appends a Content-Length line.
func AppendLength(dst []byte, n int64) []byte {
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, "\r\n"...)
}

// AppendStatusLine appends the line of an HTTP/1.1 response.
func AppendStatusLine(dst []byte, status int, reason []byte) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = append(dst, reason...)
	return append(dst, "\r\n"...)
}

const hexDigits = "0123456789abcdef"

// ChunkHeadSize is the room that PutChunkHead needs.
const ChunkHeadSize = 10

// PutChunkHead writes the line of a chunk of n bytes so that it ends at the end
// of room, and returns where it begins. n is below 1<<32.
func PutChunkHead(room []byte, n int) int {
	i := len(room)
	room[i-1], room[i-2] = '\n', '\r'
	i -= 2
	for {
		i--
		room[i] = hexDigits[n&15]
		n >>= 4
		if n == 0 {
			return i
		}
	}
}

// AppendDate appends a Date line. now, a reading of Now, tells when the text is
// old: it is made once a second, from the system's clock, which may be set while
// Now goes on.
func AppendDate(dst []byte, now int64) []byte {
	second := now / 1e9
	d := dateLine.Load()
	if d == nil || d.second != second {
		d = &datedLine{second, "Date: " + time.Now().UTC().Format(http.TimeFormat) + "\r\n"}
		dateLine.Store(d)
	}
	return append(dst, d.line...)
}

type datedLine struct {
	second int64
	line   string
}

var dateLine atomic.Pointer[datedLine]
