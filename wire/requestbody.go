package wire

import (
	"io"
	"sync/atomic"
)

// RequestBody is the body of the request on a client's connection. It alone knows
// how much of the body has left the connection: reading moves it forward, and
// nothing moves it back, replaces it or declares it read. The connection carries
// another request only after Done (RFC 9112 section 9.3), so no handler can make
// the rest of a body a request.
//
// One goroutine at a time reads. Done, Left and Total may be called meanwhile by
// another.
type RequestBody struct {
	body  Body
	left  atomic.Int64 // to come; leftUnknown
	total atomic.Int64
	limit int64 // of Limit; 0: none
	over  *Error
	err   error // the first that a reader was given, but for io.EOF and ErrInterrupted
}

const leftUnknown = -1

// ErrInterrupted is the error of a Read that Client.StopReading ended. Nothing is
// lost by it: a later Read goes on where this one stopped.
var ErrInterrupted error = interrupted{}

type interrupted struct{}

// Error makes it an error.
func (interrupted) Error() string { return "reading the request's body was interrupted" }

// Timeout tells that the body did not come in the time that it was given.
func (interrupted) Timeout() bool { return true }

// begin makes it the body that h announces.
func (b *RequestBody) begin(h *RequestHead, rd *Reader) {
	switch {
	case h.Chunked:
		b.body.SetChunked(rd)
	case h.Length > 0:
		b.body.SetLength(rd, h.Length)
	default:
		b.body.SetNone()
	}
	b.limit, b.over, b.err = 0, nil, nil
	b.note()
}

// note publishes how far the body has been read. A request without a body costs
// two loads.
func (b *RequestBody) note() {
	left := int64(0)
	switch {
	case b.body.done:
	case b.body.framing == framedLength:
		left = b.body.left
	default:
		left = leftUnknown
	}
	if b.left.Load() != left {
		b.left.Store(left)
	}
	if b.total.Load() != b.body.total {
		b.total.Store(b.body.total)
	}
}

// Read reads decoded bytes, io.EOF at the end. An error other than ErrInterrupted
// is final.
func (b *RequestBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.body.Read(p)
	b.note()
	if b.limit > 0 && b.body.total > b.limit {
		n, err = 0, b.over
	}
	if err != nil && err != io.EOF && err != ErrInterrupted {
		b.err = err
	}
	return n, err
}

// Discard reads on for nobody and returns how many bytes it threw away into p,
// also after a reader was refused more by Limit. The error is that of the
// connection or of the framing.
func (b *RequestBody) Discard(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.note()
	return n, err
}

// Limit has reading fail with err beyond n bytes. Of several limits the lowest
// holds.
func (b *RequestBody) Limit(n int64, err *Error) {
	if b.limit == 0 || n < b.limit {
		b.limit, b.over = n, err
	}
}

// Done reports whether the whole body has left the connection.
func (b *RequestBody) Done() bool { return b.left.Load() == 0 }

// Left returns the number of bytes that are still to come; false when it is not
// known.
func (b *RequestBody) Left() (int64, bool) {
	n := b.left.Load()
	return n, n != leftUnknown
}

// Total returns the number of bytes read so far.
func (b *RequestBody) Total() int64 { return b.total.Load() }

// Err returns what a reader was told, nil as long as none met with an error;
// io.EOF and ErrInterrupted are none.
func (b *RequestBody) Err() error { return b.err }

// Lost reports whether there is no telling any more where the body ends.
func (b *RequestBody) Lost() bool { return b.body.err != nil }

// Trailers returns the trailer section's field lines once Read returned io.EOF.
func (b *RequestBody) Trailers() []byte { return b.body.Trailers() }

func (b *RequestBody) release() { b.body.trailers = nil }
