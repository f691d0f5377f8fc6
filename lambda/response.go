package lambda

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
)

// Response is what a function answered.
type Response struct {
	Status int
	// Fields are ready to be sent: names are tokens, values have no line breaks,
	// and those of the connection and Content-Length are left out. The
	// Content-Type is apart.
	Fields      []Field
	ContentType []byte
	Body        []byte // of buffered payloads
	// MultiValue takes multiValueHeaders alone, and leaves headers out: a load balancer
	// whose target group has multi-value headers turned on does the same.
	MultiValue bool

	single, multi, cookies []Field // memory of the parser
}

// Limits of a response's head. API Gateway takes 10,240 bytes.
const (
	maxFields     = 512
	maxFieldBytes = 64 << 10
)

// FormatError is a payload that is not of the format. Its text names the field
// and what was found there, shortened, and is for the log.
type FormatError struct{ reason string }

func (e *FormatError) Error() string { return e.reason }

func badFormat(format string, args ...any) error {
	return &FormatError{fmt.Sprintf(format, args...)}
}

var defaultContentType = []byte("application/json")

// separator stands between the head and the body of a streamed response.
var separator = make([]byte, 8)

// Parse reads the payload of a buffered invocation. The payload is changed, and
// what is found points into it. Errors are of type *FormatError.
func (r *Response) Parse(payload []byte, f Format) error {
	s := scan{b: payload}
	if f == HTTP && s.peek() != '{' {
		return r.parseValue(&s)
	}
	// Without statusCode, format 2.0 takes the value itself for the body, so it
	// must not have been changed by then.
	if f == HTTP && !hasStatus(payload) {
		return r.parseValue(&s)
	}
	part, err := r.parseObject(&s, f)
	if err != nil {
		return err
	}
	rest := payload[s.i:]
	if body, ok := bytes.CutPrefix(rest, separator); ok {
		r.Body = body
		return r.finish(part, true, len(body) == 0)
	}
	if s.peek() != 0 || s.i < len(payload) {
		return badFormat("something follows the object: %s", shown(payload[s.i:]))
	}
	if part.status == nil {
		return badFormat("statusCode is missing")
	}
	r.Body = part.body
	if part.base64 {
		n, err := base64.StdEncoding.Decode(part.body, part.body)
		if err != nil {
			return badFormat("body is not base64 although isBase64Encoded is true: %v", err)
		}
		r.Body = part.body[:n]
	}
	return r.finish(part, f == HTTP, len(r.Body) == 0)
}

// ParsePrelude reads the JSON before the eight NUL bytes of a streamed response.
func (r *Response) ParsePrelude(prelude []byte) error {
	s := scan{b: prelude}
	part, err := r.parseObject(&s, HTTP)
	if err != nil {
		return err
	}
	if s.peek() != 0 || s.i < len(prelude) {
		return badFormat("something follows the prelude: %s", shown(prelude[s.i:]))
	}
	r.Body = nil
	return r.finish(part, true, true) // nobody knows what follows
}

// hasStatus tells whether an object has statusCode. Payloads that are not JSON,
// or framed like a stream, are said to: whoever reads on finds out.
func hasStatus(payload []byte) bool {
	s := scan{b: payload}
	s.peek()
	s.i++
	for s.peek() == '"' {
		start, err := s.rawText()
		if err != nil {
			return true
		}
		if string(payload[start:s.i-1]) == "statusCode" {
			return true
		}
		if s.peek() != ':' {
			return true
		}
		s.i++
		if s.skip() != nil {
			return true
		}
		if s.peek() != ',' {
			break
		}
		s.i++
	}
	if s.peek() != '}' {
		return true
	}
	s.i++
	return bytes.HasPrefix(payload[s.i:], separator)
}

// parseValue reads what format 2.0 takes for the body of a 200.
func (r *Response) parseValue(s *scan) error {
	r.Status, r.Fields, r.ContentType = 200, r.Fields[:0], defaultContentType
	if s.peek() == '"' {
		text, err := s.text()
		if err != nil {
			return badFormat("%v: %s", err, shown(s.b))
		}
		r.Body = text
	} else {
		start := s.i
		if err := s.skip(); err != nil {
			return badFormat("%v: %s", err, shown(s.b))
		}
		r.Body = s.b[start:s.i]
	}
	if s.peek() != 0 || s.i < len(s.b) {
		return badFormat("something follows the value: %s", shown(s.b[s.i:]))
	}
	return nil
}

// shown is a piece of a payload for an error, quoted and short.
func shown(b []byte) string {
	const most = 60
	if len(b) > most {
		return strconv.QuoteToASCII(string(b[:most])) + "..."
	}
	return strconv.QuoteToASCII(string(b))
}
