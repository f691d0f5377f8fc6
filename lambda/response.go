package lambda

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"

	"edgerouter/wire"
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
		return r.finish(part, true)
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
	return r.finish(part, f == HTTP)
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
	return r.finish(part, true)
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

// parts are the members of a response that are not fields.
type parts struct {
	status []byte // nil: not given
	body   []byte
	base64 bool
}

func (r *Response) parseObject(s *scan, f Format) (p parts, err error) {
	r.single, r.multi, r.cookies = r.single[:0], r.multi[:0], r.cookies[:0]
	if s.peek() != '{' {
		return p, badFormat("not a JSON object: %s", shown(s.b[s.i:]))
	}
	err = s.object(func(key []byte) error {
		switch string(key) {
		case "statusCode":
			return p.parseStatus(s)
		case "headers":
			r.single = r.single[:0]
			return r.parseHeaders(s)
		case "multiValueHeaders":
			r.multi = r.multi[:0]
			return r.parseMultiHeaders(s)
		case "cookies":
			r.cookies = r.cookies[:0]
			return r.parseCookies(s)
		case "body":
			p.body = nil
			if s.null() {
				return nil
			}
			if s.peek() != '"' {
				return wrongType(s, "body", "a string")
			}
			var err error
			p.body, err = s.text()
			return err
		case "isBase64Encoded":
			if s.null() {
				p.base64 = false
				return nil
			}
			word, err := s.literal()
			if err != nil || len(word) < 4 || word[0] != 't' && word[0] != 'f' {
				return badFormat("isBase64Encoded is neither true nor false")
			}
			p.base64 = word[0] == 't'
			return nil
		}
		return s.skip()
	})
	if err != nil {
		var format *FormatError
		if !errors.As(err, &format) {
			err = badFormat("%v", err)
		}
	}
	return p, err
}

// parseStatus takes a number, or a string with one: so many functions send.
func (p *parts) parseStatus(s *scan) error {
	if s.null() {
		p.status = nil
		return nil
	}
	var err error
	if s.peek() == '"' {
		p.status, err = s.text()
	} else {
		p.status, err = s.literal()
	}
	if err != nil {
		return wrongType(s, "statusCode", "a number")
	}
	return nil
}

// wrongType says what stands at a member.
func wrongType(s *scan, name, want string) error {
	return badFormat("%s is not %s: %s", name, want, shown(s.b[min(s.i, len(s.b)):]))
}

// scalar reads a value of a header: a string, number or boolean. A null has none.
func (s *scan) scalar(name string) (value []byte, ok bool, err error) {
	switch s.peek() {
	case '"':
		value, err = s.text()
		return value, true, err
	case '{', '[':
		return nil, false, wrongType(s, name, "a string")
	}
	if s.null() {
		return nil, false, nil
	}
	value, err = s.literal()
	return value, true, err
}

func (r *Response) parseHeaders(s *scan) error {
	if s.null() {
		return nil
	}
	if s.peek() != '{' {
		return wrongType(s, "headers", "an object")
	}
	return s.object(func(name []byte) error {
		value, ok, err := s.scalar("a value in headers")
		if err != nil || !ok {
			return err
		}
		return addField(&r.single, name, value)
	})
}

func (r *Response) parseMultiHeaders(s *scan) error {
	if s.null() {
		return nil
	}
	if s.peek() != '{' {
		return wrongType(s, "multiValueHeaders", "an object")
	}
	return s.object(func(name []byte) error {
		if s.null() {
			return nil
		}
		if s.peek() != '[' {
			return wrongType(s, "a value in multiValueHeaders", "a list")
		}
		return s.list(func() error {
			value, ok, err := s.scalar("a value in multiValueHeaders")
			if err != nil || !ok {
				return err
			}
			return addField(&r.multi, name, value)
		})
	})
}

func (r *Response) parseCookies(s *scan) error {
	if s.null() {
		return nil
	}
	if s.peek() != '[' {
		return wrongType(s, "cookies", "a list")
	}
	return s.list(func() error {
		if s.peek() != '"' {
			return wrongType(s, "an element of cookies", "a string")
		}
		value, err := s.text()
		if err != nil {
			return err
		}
		return addField(&r.cookies, setCookie, value)
	})
}

var setCookie = []byte("Set-Cookie")

// addField checks a field and keeps it.
func addField(list *[]Field, name, value []byte) error {
	if !isToken(name) {
		return badFormat("%s is not the name of a header", shown(name))
	}
	value = bytes.Trim(value, " \t")
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return badFormat("the value of the header %s has a control character in it", shown(name))
		}
	}
	if len(*list) == maxFields {
		return badFormat("more than %d headers", maxFields)
	}
	*list = append(*list, Field{name, value})
	return nil
}

// isToken tells whether s may be the name of a field (RFC 9110 section 5.6.2).
func isToken(s []byte) bool {
	for _, c := range s {
		switch {
		case c|0x20 >= 'a' && c|0x20 <= 'z', c >= '0' && c <= '9':
		case bytes.IndexByte(tokenMarks, c) < 0:
			return false
		}
	}
	return len(s) > 0 && len(s) <= 256
}

var tokenMarks = []byte("!#$%&'*+-.^_`|~")

// finish checks the status and puts the fields together.
func (r *Response) finish(p parts, cookies bool) error {
	r.Status = 200
	if p.status != nil {
		n, err := strconv.ParseFloat(string(p.status), 64)
		if r.Status = int(n); err != nil || n != float64(r.Status) || n < 200 || n > 599 {
			return badFormat("statusCode is %s; want a status from 200 to 599", shown(p.status))
		}
	}
	r.Fields, r.ContentType = r.Fields[:0], nil
	size := 0
	hops := r.hops()
	for i, list := range [...][]Field{r.multi, r.single} {
		for _, f := range list {
			if !r.takes(f, i == 1) || named(hops, f.Name) {
				continue
			}
			size += len(f.Name) + len(f.Value) + len(": \r\n")
			if wire.KindOf(f.Name) == wire.ContentType {
				r.ContentType = f.Value
				continue
			}
			r.Fields = append(r.Fields, f)
		}
	}
	if cookies {
		for _, f := range r.cookies {
			size += len(f.Value) + len("Set-Cookie: \r\n")
			r.Fields = append(r.Fields, f)
		}
	}
	if len(r.ContentType) == 0 {
		r.ContentType = defaultContentType
	}
	if size > maxFieldBytes || len(r.Fields) > maxFields {
		return badFormat("%d headers of %d bytes; the limits are %d and %d", len(r.Fields), size, maxFields, maxFieldBytes)
	}
	return nil
}

// takes tells whether a field goes to the client: not those of the connection,
// and of headers none that multiValueHeaders has too.
func (r *Response) takes(f Field, single bool) bool {
	switch wire.KindOf(f.Name) {
	case wire.Host, wire.ContentLength, wire.TransferEncoding, wire.Connection, wire.Upgrade, wire.TE, wire.Expect, wire.Hop, wire.Trailer:
		return false
	}
	if single {
		for _, m := range r.multi {
			if wire.EqualNames(m.Name, f.Name) && bytes.Equal(m.Value, f.Value) {
				return false
			}
		}
	}
	return true
}

// hops are the values of Connection: lists of names of fields that end here
// (RFC 9110 section 7.6.1).
func (r *Response) hops() (values [][]byte) {
	for _, list := range [...][]Field{r.multi, r.single} {
		for _, f := range list {
			if wire.KindOf(f.Name) == wire.Connection {
				values = append(values, f.Value)
			}
		}
	}
	return values
}

func named(hops [][]byte, name []byte) bool {
	for _, rest := range hops {
		for len(rest) > 0 {
			var one []byte
			one, rest, _ = bytes.Cut(rest, comma)
			if wire.EqualNames(bytes.TrimSpace(one), name) {
				return true
			}
		}
	}
	return false
}

var comma = []byte{','}

// shown is a piece of a payload for an error, quoted and short.
func shown(b []byte) string {
	const most = 60
	if len(b) > most {
		return strconv.QuoteToASCII(string(b[:most])) + "..."
	}
	return strconv.QuoteToASCII(string(b))
}
