// Package wire is HTTP/1.1 as bytes: the strict parser of request and response
// heads, the framing of bodies, and the Exchange through which a backend that
// wants to may read the request and write the response without a detour.
//
// Bytes of a connection go in, heads and bodies that point into the buffer they
// were read to come out; nothing is copied and nothing is allocated once the
// buffers have their size. What is refused, and why, is in RFC 9112 and is said
// by the returned *Error, which carries the HTTP status to answer with.
//
// The package opens no connection, sets no deadline and knows nothing of
// applications or peers.
package wire

import "strconv"

// Error is a message that cannot be taken: the status to answer with and the
// reason in words that may be shown to the one who sent it.
type Error struct {
	Status int
	Reason string
}

func (e *Error) Error() string { return strconv.Itoa(e.Status) + " " + e.Reason }

func bad(reason string) *Error { return &Error{Status: 400, Reason: reason} }

// Sentinel errors of the parsers; they are compared by identity.
var (
	// ErrMore means that the head is not complete yet.
	ErrMore = &Error{Status: 0, Reason: "the head is not complete"}

	errBareLF        = bad("bare LF in the head")
	errRequestLine   = bad("malformed request line")
	errMethod        = bad("malformed method")
	errTarget        = bad("malformed request target")
	errFieldName     = bad("malformed field name")
	errFieldSpace    = bad("white space before the colon of a field")
	errFold          = bad("folded field line")
	errFieldValue    = bad("control character in a field value")
	errNoHost        = bad("no Host field")
	errTwoHosts      = bad("more than one Host field")
	errHost          = bad("malformed Host field")
	errLength        = bad("malformed Content-Length")
	errLengthsDiffer = bad("differing Content-Length values")
	errCoding        = bad("transfer coding other than chunked")
	errCoding10      = bad("Transfer-Encoding in HTTP/1.0")
	errLengthCoding  = bad("both Content-Length and Transfer-Encoding")
	errChunk         = bad("malformed chunk")
	errExtension     = bad("chunk extensions too long")
	errTrailer       = bad("malformed trailer")
	errUnknownCoding = &Error{Status: 501, Reason: "unknown transfer coding"}
	errVersion       = &Error{Status: 505, Reason: "HTTP version not supported"}
	errConnect       = &Error{Status: 501, Reason: "CONNECT is not supported"}
	errExpect        = &Error{Status: 417, Reason: "expectation other than 100-continue"}
	errLongTarget    = &Error{Status: 414, Reason: "request target too long"}
	errLongHead      = &Error{Status: 431, Reason: "head too large"}
	errManyFields    = &Error{Status: 431, Reason: "too many fields"}

	// ErrBodyLimit is what reading a body beyond the limit of the server fails with.
	ErrBodyLimit = &Error{Status: 413, Reason: "the request's body is too large"}

	errStatusLine = &Error{Status: 502, Reason: "malformed status line"}
	errResponse   = &Error{Status: 502, Reason: "malformed response head"}
)

// Limits bound what is taken of one message.
type Limits struct {
	Head   int // bytes of the whole head
	Target int // bytes of the request target
	Fields int // number of field lines
	// Overrides keeps the fields that RequestHead.Overrides tells of.
	Overrides bool
}

// DefaultLimits are used where a limit is zero.
var DefaultLimits = Limits{Head: 32 << 10, Target: 8 << 10, Fields: 128}
