package wire

import (
	"bytes"
	"io"
)

// Limits of what surrounds the data of a chunked body.
const (
	maxExtensions = 4 << 10  // bytes of chunk extensions beyond an eighth of the data
	maxChunkLine  = 1 << 10  // bytes of one chunk line
	maxTrailers   = 16 << 10 // bytes of the trailer section
)

type framing uint8

const (
	framedNone framing = iota
	framedLength
	framedChunks
	framedClose
)

// Body reads one message's body off a connection by its framing and never a
// byte beyond it. The zero value is an empty body.
type Body struct {
	rd         *Reader
	framing    framing
	left       int64 // bytes of the length, or of the chunk, that are still to come
	inChunk    bool
	inTrailers int // 1 and what was read of the trailer section; 0 before it
	done       bool
	extensions int
	total      int64
	trailers   []byte
	err        error
}

// SetNone makes the body empty.
func (b *Body) SetNone() { b.set(nil, framedNone, 0); b.done = true }

// SetLength makes the body n bytes long.
func (b *Body) SetLength(rd *Reader, n int64) {
	b.set(rd, framedLength, n)
	b.done = n == 0
}

// SetChunked makes the body chunked (RFC 9112 section 7.1).
func (b *Body) SetChunked(rd *Reader) { b.set(rd, framedChunks, 0) }

// SetUntilClose makes the body end with the connection.
func (b *Body) SetUntilClose(rd *Reader) { b.set(rd, framedClose, 0) }

func (b *Body) set(rd *Reader, f framing, n int64) {
	b.rd, b.framing, b.left = rd, f, n
	b.inChunk, b.inTrailers, b.done, b.extensions, b.total, b.err = false, 0, false, 0, 0, nil
	b.trailers = b.trailers[:0]
}

// Done tells whether the whole body has been read.
func (b *Body) Done() bool { return b.done }

// Err is what a Read failed with, nil as long as none did; io.EOF is none.
func (b *Body) Err() error { return b.err }

// Total is the number of bytes read so far.
func (b *Body) Total() int64 { return b.total }

// Trailers are the trailer section's field lines, checked, each with its CRLF,
// without those that must not stand there; they are there once Read said io.EOF.
func (b *Body) Trailers() []byte { return b.trailers }

// Read reads decoded bytes. At the clean end it returns io.EOF; a body that is
// cut off gives io.ErrUnexpectedEOF, malformed chunks an *Error. After an error
// nothing more is read: there is no telling where the next message begins. Only
// ErrInterrupted is not final.
func (b *Body) Read(p []byte) (n int, err error) {
	switch {
	case b.done:
		return 0, io.EOF
	case b.err != nil:
		return 0, b.err
	case len(p) == 0:
		return 0, nil
	}
	switch b.framing {
	case framedNone:
		b.done = true
	case framedClose:
		n, err = b.rd.Read(p)
		b.total += int64(n)
		if err == io.EOF {
			b.done = true
			if n > 0 {
				err = nil
			}
			return n, err
		}
	case framedChunks:
		n, err = b.readChunks(p)
	default:
		n, err = b.readPart(p)
		b.done = b.left == 0
	}
	if err != nil {
		if err != ErrInterrupted {
			b.err = err
		}
		if n > 0 {
			err = nil
		}
	}
	if n == 0 && err == nil && b.done {
		err = io.EOF
	}
	return n, err
}

// readPart reads once within what is left of the length or of the chunk.
func (b *Body) readPart(p []byte) (int, error) {
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.rd.Read(p)
	b.left -= int64(n)
	b.total += int64(n)
	switch {
	case n > 0:
		err = nil
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// readChunks fills p with the data of as many chunks as are there already, so
// that small chunks do not become small writes; it waits for the first byte only.
func (b *Body) readChunks(p []byte) (n int, err error) {
	for n < len(p) {
		if b.left == 0 {
			if n > 0 && !b.nextBuffered() {
				break
			}
			if err = b.nextChunk(); err != nil || b.done {
				break
			}
		}
		if n > 0 && b.rd.Empty() {
			break
		}
		m, rerr := b.readPart(p[n:])
		if n += m; rerr != nil {
			return n, rerr
		}
	}
	return n, err
}

// nextBuffered tells whether the end of this chunk and the line of the next are
// buffered, with the end of the body if that is next.
func (b *Body) nextBuffered() bool {
	have := b.rd.Buffered()
	if len(have) < 5 || have[0] != '\r' || have[1] != '\n' {
		return false
	}
	have = have[2:min(len(have), maxChunkLine)]
	end := bytes.IndexByte(have, '\n')
	if end < 0 {
		return false
	}
	return have[0] != '0' || len(have) > end+2 && have[end+1] == '\r' && have[end+2] == '\n'
}

// nextChunk reads the line before a chunk, and the end of the one before it. Each
// line that was taken is noted, so that one who was interrupted can go on.
func (b *Body) nextChunk() error {
	if b.inTrailers > 0 {
		return b.readTrailers()
	}
	if b.inChunk {
		line, err := b.line(2)
		if err != nil {
			return err
		}
		if len(line) != 0 {
			return errChunk
		}
		b.inChunk = false
	}
	line, err := b.line(maxChunkLine)
	if err != nil {
		return err
	}
	size, ext, perr := parseChunkLine(line)
	if perr != nil {
		return perr
	}
	if b.extensions += ext; b.extensions > maxExtensions {
		return errExtension
	}
	if size == 0 {
		b.inTrailers = 1
		return b.readTrailers()
	}
	// Data pays for extensions, so that a long stream of signed chunks passes.
	b.extensions -= int(min(int64(b.extensions), size/8))
	b.left, b.inChunk = size, true
	return nil
}

// line takes one CRLF-ended line off the reader, without the CRLF.
func (b *Body) line(limit int) ([]byte, error) {
	for {
		buffered := b.rd.Buffered()
		if i := bytes.IndexByte(buffered, '\n'); i >= 0 {
			if i == 0 || buffered[i-1] != '\r' || i > limit {
				return nil, errChunk
			}
			b.rd.Skip(i + 1)
			return buffered[:i-1], nil
		}
		if len(buffered) > limit {
			return nil, errChunk
		}
		if _, err := b.rd.Fill(); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// parseChunkLine reads chunk-size [ chunk-ext ].
func parseChunkLine(line []byte) (size int64, ext int, err *Error) {
	digits := 0
	for ; digits < len(line); digits++ {
		c := line[digits]
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			c = 255
		}
		if c == 255 {
			break
		}
		if digits == 15 {
			return 0, 0, errChunk
		}
		size = size<<4 | int64(c)
	}
	if digits == 0 {
		return 0, 0, errChunk
	}
	rest := line[digits:]
	if len(rest) == 0 {
		return size, 0, nil
	}
	// White space before the extension is allowed by RFC 9112 as a bad habit of
	// old; readers differ in what they make of it.
	if rest[0] != ';' || !cleanValue(rest) {
		return 0, 0, errChunk
	}
	return size, len(rest), nil
}

// readTrailers reads the trailer section, with which the body is done, and keeps
// the fields that may stand there (RFC 9110 section 6.5.1).
func (b *Body) readTrailers() error {
	for {
		line, err := b.line(maxTrailers)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			b.done = true
			return nil
		}
		if b.inTrailers += len(line); b.inTrailers > maxTrailers {
			return errTrailer
		}
		colon := 0
		for colon < len(line) && class[line[colon]]&classToken != 0 {
			colon++
		}
		if colon == 0 || colon == len(line) || line[colon] != ':' {
			return errTrailer
		}
		value := trim(line[colon+1:])
		if !cleanValue(value) {
			return errTrailer
		}
		if forbiddenTrailer(line[:colon]) {
			continue
		}
		b.trailers = append(b.trailers, line[:colon]...)
		b.trailers = append(b.trailers, ": "...)
		b.trailers = append(b.trailers, value...)
		b.trailers = append(b.trailers, "\r\n"...)
	}
}

func forbiddenTrailer(name []byte) bool {
	switch KindOf(name) {
	case Ordinary, Date, Server:
	default:
		return true
	}
	for _, n := range [...]string{
		"authorization", "set-cookie", "cache-control", "content-encoding", "content-range", "max-forwards",
		"age", "expires", "location", "retry-after", "vary", "www-authenticate", "range", "if-match",
		"if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "alt-svc",
	} {
		if EqualFold(name, n) {
			return true
		}
	}
	return false
}

// TryEnd takes the end of a chunked body if all of it is buffered already and
// there are no trailers, and tells whether the body is done. It never reads from
// the connection.
func (b *Body) TryEnd() bool {
	const end = "\r\n0\r\n\r\n"
	if !b.done && b.framing == framedChunks && b.left == 0 && b.inChunk {
		if have := b.rd.Buffered(); len(have) >= len(end) && string(have[:len(end)]) == end {
			b.rd.Skip(len(end))
			b.done, b.inChunk = true, false
		}
	}
	return b.done
}
