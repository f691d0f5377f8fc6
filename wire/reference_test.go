package wire

import (
	"bufio"
	"bytes"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// differences are the heads that this parser takes and net/http does not, or
// reads otherwise, each with the reason why that is right. The fuzz target
// compares all others.
var differences = []struct {
	why  string
	meet func(raw []byte, h *RequestHead) bool
}{
	{"an empty line before the request is let pass, RFC 9112 section 2.2",
		func(raw []byte, h *RequestHead) bool { return raw[0] == '\r' }},
	{"a list of equal lengths is one length, RFC 9110 section 8.6; it is forwarded as one",
		func(_ []byte, h *RequestHead) bool {
			return anyField(h, func(f Field) bool { return f.Kind == ContentLength && bytes.IndexByte(f.Value, ',') >= 0 })
		}},
	{"the path's escapes are judged where it is matched, by router.NormalizePath",
		func(_ []byte, h *RequestHead) bool { return badEscape(h.Path) }},
	{"net/http refuses some names in Trailer, which announces and frames nothing here",
		func(_ []byte, h *RequestHead) bool {
			return anyField(h, func(f Field) bool { return f.Kind == Trailer })
		}},
}

func anyField(h *RequestHead, f func(Field) bool) bool { return slices.ContainsFunc(h.Fields, f) }

func badEscape(path []byte) bool {
	for i, c := range path {
		if c == '%' && (i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2])) {
			return true
		}
	}
	return false
}

func isHex(c byte) bool { return strings.IndexByte("0123456789abcdefABCDEF", c) >= 0 }

// readByNetHTTP parses a head, without a body, with net/http.
func readByNetHTTP(head []byte) (*http.Request, error) {
	return http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
}

// headerOf is what net/http should have of the fields: those that it keeps in
// Request.Header, by canonical name.
func headerOf(fields []Field) http.Header {
	header := http.Header{}
	for _, f := range fields {
		switch f.Kind {
		case Host, TransferEncoding:
			continue
		}
		key := textproto.CanonicalMIMEHeaderKey(string(f.Name))
		header[key] = append(header[key], string(f.Value))
	}
	return header
}
