package lambda

import (
	"bytes"
	"strconv"

	"edgerouter/wire"
)

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

// finish checks the status and puts the fields together. empty says that there is
// no body, or none that is known.
func (r *Response) finish(p parts, cookies, empty bool) error {
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
		if i == 1 && r.MultiValue {
			break
		}
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
	if len(r.ContentType) == 0 && !untyped(r.Status, empty) {
		r.ContentType = defaultContentType
	}
	if size > maxFieldBytes || len(r.Fields) > maxFields {
		return badFormat("%d headers of %d bytes; the limits are %d and %d", len(r.Fields), size, maxFields, maxFieldBytes)
	}
	return nil
}

// untyped says whether a response has no content that a type could be of. On a 304
// a default would even replace the type of what the client has stored (RFC 9111
// section 3.2).
func untyped(status int, empty bool) bool {
	return status == 204 || status == 205 || status == 304 || status >= 300 && status < 400 && empty
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
