package wire

import (
	"bytes"
	"sync"

	"github.com/valyala/fasthttp"
)

// Fail leaves a short plain answer with the request's id in ctx, and nothing of
// the cause: that belongs into the log.
func Fail(ctx *fasthttp.RequestCtx, status int, reason string) {
	ctx.Response.Reset()
	ctx.Response.SetStatusCode(status)
	ctx.Response.Header.SetContentType("text/plain; charset=utf-8")
	ctx.Response.Header.Set("X-Content-Type-Options", "nosniff")
	id := ctx.Request.Header.Peek("X-Request-Id")
	if x := From(ctx); x != nil {
		id = x.RequestID
		x.Date = x.Date[:0]
	}
	ctx.Response.AppendBodyString(reason)
	if len(id) > 0 {
		ctx.Response.AppendBodyString("\nrequest id: ")
		ctx.Response.AppendBody(id)
	}
	ctx.Response.AppendBodyString("\n")
}

// StatusText is the reason phrase of a status.
func StatusText(status int) string { return fasthttp.StatusMessage(status) }

// Trailing is a body stream that has trailers once it said io.EOF: field lines,
// each with its CRLF.
type Trailing interface{ Trailers() []byte }

// Unreader is a body stream that takes back what was read of it, for a handler
// that had to look at its beginning.
type Unreader interface{ Unread(p []byte) }

// EachLine calls f for each "name: value\r\n" line of lines that this proxy made.
func EachLine(lines []byte, f func(name, value []byte)) {
	for len(lines) > 0 {
		end := bytes.IndexByte(lines, '\n')
		colon := bytes.IndexByte(lines, ':')
		if end < 2 || colon < 0 || colon > end {
			return
		}
		f(lines[:colon], lines[colon+2:end-1])
		lines = lines[end+1:]
	}
}

// CopyBufferSize is the memory that a streamed body takes in each direction.
const CopyBufferSize = 64 << 10

var copyBuffers = sync.Pool{New: func() any { return new([CopyBufferSize]byte) }}

// GetCopyBuffer takes a buffer of CopyBufferSize from a pool.
func GetCopyBuffer() *[CopyBufferSize]byte { return copyBuffers.Get().(*[CopyBufferSize]byte) }

// PutCopyBuffer gives it back.
func PutCopyBuffer(b *[CopyBufferSize]byte) { copyBuffers.Put(b) }
