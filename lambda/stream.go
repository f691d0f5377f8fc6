package lambda

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"mime"
	"strings"
)

// Limits of streamed responses.
const (
	maxPrelude = 16 << 10
	maxStream  = 200 << 20
)

// integrationType is the type of streams that begin with a prelude.
const integrationType = "application/vnd.awslambda.http-integration-response"

// eventStreamType is what the API says when the function's own type is in
// X-Amzn-Remapped-Content-Type.
const eventStreamType = "application/vnd.amazon.eventstream"

// FunctionError is an invocation that ended with an error of the function. Code
// and Details are the function's words: for the log, and never for the client.
type FunctionError struct {
	Code    string
	Details string
}

func (e *FunctionError) Error() string { return "the function failed: " + e.Code + " " + e.Details }

// TimedOut tells whether the function's own time-out ended it.
func (e *FunctionError) TimedOut() bool {
	return strings.Contains(e.Details, "Task timed out") || strings.Contains(e.Code, "Timedout") || strings.Contains(e.Code, "TimedOut")
}

var errTooLong = errors.New("the streamed response is longer than 200 MB")

// output is what a function streams: the payload chunks in one piece.
type output struct {
	m     messages
	total int64
	err   error
	// logTail is what InvokeComplete said of the log, in base64.
	logTail []byte
}

// Read returns bytes as they come. io.EOF is the clean end that InvokeComplete
// tells; a *FunctionError is its other end, and io.ErrUnexpectedEOF a stream that
// was cut.
func (o *output) Read(p []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	for {
		if o.m.open && o.m.kind == payloadChunk {
			n, err := payloadOf{&o.m}.Read(p)
			o.total += int64(n)
			if o.total > maxStream {
				o.err = errTooLong
				return 0, o.err
			}
			if n > 0 {
				return n, nil
			}
			if err != io.EOF {
				o.err = err
				return 0, err
			}
		}
		if err := o.advance(); err != nil {
			o.err = err
			return 0, err
		}
	}
}

// advance goes to the next message.
func (o *output) advance() error {
	if err := o.m.next(); err != nil {
		return cut(err)
	}
	if o.m.kind != invokeComplete && o.m.kind != exceptionMessage {
		return nil
	}
	code := string(o.m.code)
	text, err := io.ReadAll(io.LimitReader(payloadOf{&o.m}, 64<<10))
	if err != nil {
		return err
	}
	if o.m.kind == exceptionMessage {
		return &FunctionError{Code: code, Details: string(text)}
	}
	return o.complete(text)
}

// complete reads the payload of InvokeComplete.
func (o *output) complete(payload []byte) error {
	var e FunctionError
	s := scan{b: payload}
	err := s.object(func(key []byte) error {
		name := string(key)
		if s.peek() != '"' {
			return s.skip()
		}
		value, err := s.text()
		switch name {
		case "ErrorCode":
			e.Code = string(value)
		case "ErrorDetails":
			e.Details = string(value)
		case "LogResult":
			o.logTail = value
		}
		return err
	})
	switch {
	case err != nil && len(payload) > 0:
		return badFormat("InvokeComplete: %v", err)
	case e.Code != "" || e.Details != "":
		return &e
	}
	return io.EOF
}

// streamKind tells how to read a stream by its type.
type streamKind uint8

const (
	rawStream     streamKind = iota // the body of a 200 of that type
	preludeStream                   // a prelude, and the body
	unknownStream                   // the type is not told: a prelude if there is one
)

// kindOf reads the type of a stream from the fields of the API's response;
// contentType is what a raw stream is sent as.
func kindOf(contentType, remapped []byte) (kind streamKind, typ []byte) {
	typ = contentType
	if mediaType(contentType) == eventStreamType {
		typ = remapped
	}
	switch mediaType(typ) {
	case "":
		return unknownStream, []byte("application/octet-stream")
	case integrationType:
		return preludeStream, nil
	}
	return rawStream, typ
}

func mediaType(v []byte) string {
	t, _, err := mime.ParseMediaType(string(v))
	if err != nil {
		return strings.ToLower(strings.TrimSpace(string(v)))
	}
	return t
}

// readHead waits for the first bytes of a stream and makes the head of the
// response from them; rest is what has come of the body. It returns when the
// head is known, and does not wait for the body.
func (r *Response) readHead(in io.Reader, kind streamKind, typ []byte, buf []byte) (rest []byte, err error) {
	r.Status, r.Fields, r.ContentType, r.Body = 200, r.Fields[:0], typ, nil
	n := 0
	for {
		if kind == rawStream && n > 0 || kind == unknownStream && n > 0 && buf[0] != '{' {
			return buf[:n], nil
		}
		if i := bytes.IndexByte(buf[:n], 0); i >= 0 {
			if n-i < len(separator) {
				if !bytes.HasPrefix(separator, buf[i:n]) {
					return r.noPrelude(kind, buf[:n])
				}
			} else if bytes.HasPrefix(buf[i:n], separator) {
				if err := r.ParsePrelude(buf[:i]); err != nil {
					return nil, err
				}
				return buf[i+len(separator) : n], nil
			} else {
				return r.noPrelude(kind, buf[:n])
			}
		} else if n > maxPrelude {
			return r.noPrelude(kind, buf[:n])
		}
		m, err := in.Read(buf[n:min(len(buf), maxPrelude+len(separator))])
		n += m
		if err == io.EOF {
			if kind == preludeStream {
				return nil, badFormat("the stream ended before its prelude did: %s", shown(buf[:n]))
			}
			return buf[:n], nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// noPrelude is for a stream whose first bytes are none.
func (r *Response) noPrelude(kind streamKind, b []byte) ([]byte, error) {
	if kind == unknownStream {
		return b, nil
	}
	return nil, badFormat("the stream does not begin with a prelude of at most %d bytes and eight NUL bytes: %s", maxPrelude, shown(b))
}

// preludeBuffer is the memory that readHead needs.
const preludeBuffer = maxPrelude + 8

// readerSize is the memory through which a stream's messages are read.
const readerSize = 16 << 10

func newOutput(in io.Reader) *output {
	o := &output{}
	o.m.in = bufio.NewReaderSize(in, readerSize)
	return o
}
