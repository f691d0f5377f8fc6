package middleware

import (
	"fmt"
	"strings"

	"edgerouter/wire"
)

// checkFieldName says what is wrong with the name of a field that a definition
// sets or removes. Fields that belong to the connection or frame a body are the
// proxy's own.
func checkFieldName(name string) error {
	if !isToken(name) {
		return fmt.Errorf("%q is not the name of a header field", name)
	}
	switch wire.KindOf([]byte(name)) {
	case wire.ContentLength, wire.TransferEncoding, wire.Connection, wire.Upgrade, wire.TE, wire.Expect, wire.Trailer, wire.Hop:
		return fmt.Errorf("%q belongs to the connection or frames the body and cannot be set or removed", name)
	}
	return nil
}

// checkFieldValue says what is wrong with a field's value; it does not repeat
// it, as it may be a secret.
func checkFieldValue(value string) error {
	for i := 0; i < len(value); i++ {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return fmt.Errorf("byte %d of the value is a control character (%q)", i+1, c)
		}
	}
	return nil
}

// isToken tells whether s is a token (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}
