package wire

import "bytes"

// ResponseHead is the head of a response. Its slices point into the bytes that
// it was parsed from.
type ResponseHead struct {
	Minor  int
	Status int
	Reason []byte
	Fields []Field

	Length  int64 // by Content-Length; -1 when there is no such field
	Chunked bool
	Close   bool   // the peer closes the connection after it
	Upgrade []byte // the protocol of a 101
	HasDate bool
}

var responseLimits = Limits{Head: 256 << 10, Fields: 512}

// Parse reads a head from the start of b and returns its length. ErrMore means
// that b ends before the head does. What a peer sends is read by the same rules
// as what a client sends (RFC 9112 section 4 and 6): framing that two readers
// may understand differently is refused, for it is how responses get split.
func (h *ResponseHead) Parse(b []byte) (int, *Error) {
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		if len(b) > 4096 {
			return 0, errStatusLine
		}
		return 0, ErrMore
	}
	line := b[:end]
	if end == 0 || line[end-1] != '\r' {
		return 0, errStatusLine
	}
	line = line[:end-1]
	// HTTP/1.x SP 3DIGIT SP reason; the last SP is left out by some.
	if len(line) < 12 || string(line[:7]) != "HTTP/1." || line[8] != ' ' ||
		line[7] < '0' || line[7] > '9' || (len(line) > 12 && line[12] != ' ') {
		return 0, errStatusLine
	}
	h.Minor = int(line[7] - '0')
	h.Status = 0
	for _, c := range line[9:12] {
		if c < '0' || c > '9' {
			return 0, errStatusLine
		}
		h.Status = h.Status*10 + int(c-'0')
	}
	if h.Status < 100 || h.Status > 599 {
		return 0, errStatusLine
	}
	h.Reason = nil
	if len(line) > 13 {
		h.Reason = line[13:]
		if !cleanValue(h.Reason) {
			return 0, errStatusLine
		}
	}
	h.Fields = h.Fields[:0]
	pos, err := parseFields(b, end+1, &h.Fields, &responseLimits)
	if err != nil {
		if err == ErrMore {
			return 0, err
		}
		return 0, &Error{Status: 502, Reason: "response head: " + err.Reason}
	}
	return pos, h.understand()
}

func (h *ResponseHead) understand() *Error {
	h.Length, h.Chunked, h.Close, h.HasDate, h.Upgrade = -1, false, h.Minor == 0, false, nil
	connection := false
	for i := range h.Fields {
		f := &h.Fields[i]
		switch f.Kind {
		case ContentLength:
			if addLength(&h.Length, f.Value) != nil {
				return errResponse
			}
		case TransferEncoding:
			if h.Chunked || h.Minor == 0 || !EqualFold(f.Value, "chunked") {
				return errResponse
			}
			h.Chunked = true
		case Connection:
			connection = true
		case Upgrade:
			h.Upgrade = f.Value
		case Date:
			h.HasDate = true
		}
	}
	if h.Chunked && h.Length >= 0 {
		// RFC 9112 section 6.3: the coding overrides the length, which is not
		// forwarded; the connection is not used again.
		h.Length = -1
		h.Close = true
	}
	if connection {
		closing, keep, _ := connectionTokens(h.Fields)
		h.Close = h.Close && !(h.Minor == 0 && keep) || closing
	}
	return nil
}

// NoBody tells whether a response to a request with the method has no body
// whatever its fields say (RFC 9112 section 6.3).
func (h *ResponseHead) NoBody(head bool) bool {
	return head || h.Status < 200 || h.Status == 204 || h.Status == 304
}

// Get returns the value of the first field with a name, given in lower case, or
// nil.
func (h *ResponseHead) Get(lower string) []byte {
	for i := range h.Fields {
		if EqualFold(h.Fields[i].Name, lower) {
			return h.Fields[i].Value
		}
	}
	return nil
}
