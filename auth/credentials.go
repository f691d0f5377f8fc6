package auth

import (
	"bytes"
	"encoding/base64"
)

// Scratch is where Basic credentials are decoded: a token of MaxToken bytes after
// "x:", which is also a whole number of base64 groups.
type Scratch [MaxToken + 2]byte

// Credentials takes the token out of an Authorization field: all that follows
// "Bearer " (RFC 6750 section 2.1), or the password of "Basic " (RFC 7617) when
// the user name is empty or "x". The name of the scheme is compared without case.
//
// The token is part of field or of scratch, and credentials that do not fit there
// are refused. ok is false for any other scheme, for broken base64, for another
// user name and for an empty token.
func Credentials(field []byte, scratch *Scratch) (token []byte, ok bool) {
	scheme, rest, found := bytes.Cut(field, []byte(" "))
	if !found {
		return nil, false
	}
	rest = bytes.TrimLeft(rest, " ")
	switch {
	case equalFold(scheme, "bearer"):
		token = rest
	case equalFold(scheme, "basic"):
		token, ok = password(rest, scratch)
		if !ok {
			return nil, false
		}
	}
	return token, len(token) > 0
}

func password(encoded []byte, scratch *Scratch) ([]byte, bool) {
	if base64.StdEncoding.DecodedLen(len(encoded)) > len(scratch) {
		return nil, false
	}
	n, err := base64.StdEncoding.Decode(scratch[:], encoded)
	if err != nil {
		return nil, false
	}
	user, pass, found := bytes.Cut(scratch[:n], []byte(":"))
	if !found || len(user) > 1 || len(user) == 1 && user[0] != 'x' {
		return nil, false
	}
	return pass, true
}

// equalFold compares ASCII letters without case; lower is in lower case.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range b {
		if b[i]|0x20 != lower[i] {
			return false
		}
	}
	return true
}
