package lambda

import (
	"errors"
)

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
		if s.null() {
			return nil
		}
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
