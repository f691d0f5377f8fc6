package wire

import (
	"bytes"
	"net/netip"
)

// RequestHead is the head of a request. Its slices point into the bytes that it
// was parsed from.
type RequestHead struct {
	Raw    []byte // from the method up to and with the empty line
	Method []byte
	Target []byte // as it came
	// Path and Query are the parts of the target, the query without its "?".
	Path, Query []byte
	HasQuery    bool
	Minor       int // of the version: 0 or 1
	Host        []byte
	Fields      []Field

	Length  int64 // of the body by Content-Length; -1 when there is no such field
	Chunked bool
	// Close: the client wants or, being of HTTP/1.0, needs the connection closed.
	Close bool
	// Upgrade is the protocol asked for, when Connection says upgrade as well and
	// no body comes first.
	Upgrade []byte
	// Continue: the client waits for 100 (Continue) before it sends the body.
	Continue bool
	// Trailers: the client takes trailer fields (TE: trailers).
	Trailers bool
	// Forwarding: the client sent fields of that kind.
	Forwarding bool
	// Overrides: the client sent fields that make CGI programs and some frameworks
	// take the request for another one: Proxy, X-Original-URL, X-Rewrite-URL. They
	// are not among Fields, unless the limits say so.
	Overrides bool
}

// HasBody tells whether a body follows the head.
func (h *RequestHead) HasBody() bool { return h.Chunked || h.Length > 0 }

// Get returns the value of the first field with a name, given in lower case, or
// nil.
func (h *RequestHead) Get(lower string) []byte {
	for i := range h.Fields {
		if EqualFold(h.Fields[i].Name, lower) {
			return h.Fields[i].Value
		}
	}
	return nil
}

// Parse reads a head from the start of b and returns its length. ErrMore means
// that b ends before the head does; any other error is the answer to give.
// The rules are those of RFC 9112 sections 3, 5, 6 and 11.
func (h *RequestHead) Parse(b []byte, lim *Limits) (int, *Error) {
	pos := 0
	// One empty line before the request is let pass, RFC 9112 section 2.2.
	if len(b) >= 2 && b[0] == '\r' && b[1] == '\n' {
		pos = 2
	}
	start := pos
	end := bytes.IndexByte(b[pos:], '\n')
	if end < 0 {
		if len(b)-pos > lim.Target+64 {
			return 0, errLongTarget
		}
		return 0, ErrMore
	}
	if end == 0 || b[pos+end-1] != '\r' {
		return 0, errBareLF
	}
	if err := h.requestLine(b[pos:pos+end-1], lim); err != nil {
		return 0, err
	}
	pos += end + 1

	h.Fields = h.Fields[:0]
	pos, err := parseFields(b, pos, &h.Fields, lim)
	if err != nil {
		return 0, err
	}
	h.Raw = b[start:pos]
	h.dropOverrides(lim.Overrides)
	return pos, h.understand()
}

func (h *RequestHead) requestLine(line []byte, lim *Limits) *Error {
	sp := bytes.IndexByte(line, ' ')
	if sp <= 0 {
		return errRequestLine
	}
	h.Method = line[:sp]
	if !all(h.Method, classToken) || sp > 32 {
		return errMethod
	}
	line = line[sp+1:]
	sp = bytes.LastIndexByte(line, ' ')
	if sp <= 0 {
		return errRequestLine
	}
	h.Target = line[:sp]
	version := line[sp+1:]
	if len(version) != 8 || string(version[:5]) != "HTTP/" || version[6] != '.' ||
		version[5] < '0' || version[5] > '9' || version[7] < '0' || version[7] > '9' {
		return errRequestLine
	}
	if version[5] != '1' {
		return errVersion
	}
	// A later minor version is read as the last one that is known (RFC 9110
	// section 2.5).
	h.Minor = min(int(version[7]-'0'), 1)
	if len(h.Target) > lim.Target {
		return errLongTarget
	}
	if !all(h.Target, classTarget) {
		return errTarget
	}
	return nil
}

// parseFields reads field lines up to and with the empty line.
func parseFields(b []byte, pos int, fields *[]Field, lim *Limits) (int, *Error) {
	list := *fields
	for {
		end := bytes.IndexByte(b[pos:], '\n')
		if end < 0 {
			if len(b) > lim.Head {
				return 0, errLongHead
			}
			return 0, ErrMore
		}
		if end == 0 || b[pos+end-1] != '\r' {
			return 0, errBareLF
		}
		line := b[pos : pos+end-1]
		pos += end + 1
		if pos > lim.Head {
			return 0, errLongHead
		}
		if len(line) == 0 {
			*fields = list
			return pos, nil
		}
		if len(list) >= lim.Fields {
			return 0, errManyFields
		}
		if line[0] == ' ' || line[0] == '\t' {
			return 0, errFold
		}
		colon := 0
		for colon < len(line) && class[line[colon]]&classToken != 0 {
			colon++
		}
		if colon == len(line) || line[colon] != ':' || colon == 0 {
			if colon > 0 && colon < len(line) && (line[colon] == ' ' || line[colon] == '\t') {
				return 0, errFieldSpace
			}
			return 0, errFieldName
		}
		value := trim(line[colon+1:])
		if !cleanValue(value) {
			return 0, errFieldValue
		}
		name := line[:colon:colon]
		list = append(list, Field{Name: name, Value: value, Kind: KindOf(name)})
	}
}

// understand derives framing, host and connection from the fields.
func (h *RequestHead) understand() *Error {
	h.Length, h.Chunked, h.Close, h.Continue, h.Trailers, h.Forwarding = -1, false, false, false, false, false
	h.Host, h.Upgrade = nil, nil
	hosts, connection := 0, false
	var upgrade []byte
	for i := range h.Fields {
		f := &h.Fields[i]
		switch f.Kind {
		case Host:
			hosts++
			h.Host = f.Value
		case ContentLength:
			if err := addLength(&h.Length, f.Value); err != nil {
				return err
			}
		case TransferEncoding:
			if h.Minor == 0 {
				return errCoding10
			}
			if h.Chunked {
				return errCoding
			}
			if !EqualFold(f.Value, "chunked") {
				return codingError(f.Value)
			}
			h.Chunked = true
		case Connection:
			connection = true
		case Upgrade:
			upgrade = f.Value
		case TE:
			h.Trailers = h.Trailers || HasToken(f.Value, "trailers")
		case Expect:
			if h.Minor == 0 {
				continue // RFC 9110 section 10.1.1: ignored in HTTP/1.0
			}
			if !EqualFold(f.Value, "100-continue") {
				return errExpect
			}
			h.Continue = true
		case Forwarding:
			h.Forwarding = true
		}
	}
	if h.Chunked && h.Length >= 0 {
		return errLengthCoding
	}
	if string(h.Method) == "CONNECT" {
		return errConnect
	}
	switch {
	case hosts > 1:
		return errTwoHosts
	case hosts == 0 && h.Minor == 1:
		return errNoHost
	case hosts == 1 && !validHost(h.Host):
		return errHost
	}
	if err := h.splitTarget(); err != nil {
		return err
	}
	h.Continue = h.Continue && h.HasBody()
	h.Close = h.Minor == 0
	if connection {
		closing, keep, up := connectionTokens(h.Fields)
		h.Close = closing || (h.Minor == 0 && !keep)
		// With a body before it there is nothing to switch yet; a server may
		// ignore Upgrade at any time (RFC 9110 section 7.8).
		if up && h.Minor == 1 && len(upgrade) > 0 && !h.HasBody() {
			h.Upgrade = upgrade
		}
	}
	return nil
}

// codingError is the answer to transfer codings other than chunked: 501 for those
// that are not known (RFC 9112 section 6.1), 400 for what is no list of codings or
// has chunked where it is not the last.
func codingError(list []byte) *Error {
	for rest := list; ; {
		var t []byte
		t, rest = token(rest)
		name := t
		if i := bytes.IndexByte(t, ';'); i >= 0 {
			name = trim(t[:i])
		}
		if len(name) == 0 || !all(name, classToken) || EqualFold(name, "chunked") && (rest != nil || len(t) == len(trim(list)) || len(name) < len(t)) {
			return errCoding
		}
		if rest == nil {
			return errUnknownCoding
		}
	}
}

// splitTarget takes the target apart: origin-form, absolute-form, or "*" of
// OPTIONS (RFC 9112 section 3.2).
func (h *RequestHead) splitTarget() *Error {
	t := h.Target
	if t[0] != '/' {
		if len(t) == 1 && t[0] == '*' && string(h.Method) == "OPTIONS" {
			h.Path, h.Query, h.HasQuery = t, nil, false
			return nil
		}
		rest := t
		switch {
		case len(t) > 7 && EqualFold(t[:7], "http://"):
			rest = t[7:]
		case len(t) > 8 && EqualFold(t[:8], "https://"):
			rest = t[8:]
		default:
			return errTarget
		}
		authority := rest
		if i := bytes.IndexAny(rest, "/?"); i >= 0 {
			authority = rest[:i]
		}
		if !validHost(authority) {
			return errTarget
		}
		// Whatever Host says, RFC 9112 section 3.2.2.
		h.Host = authority
		t = rest[len(authority):]
		// The origin gets the origin-form, RFC 9112 section 3.2.2.
		h.Target = t
	}
	path := t
	h.Query, h.HasQuery = nil, false
	if i := bytes.IndexByte(t, '?'); i >= 0 {
		path, h.Query, h.HasQuery = t[:i], t[i+1:], true
	}
	if len(t) == 0 && string(h.Method) == "OPTIONS" {
		h.Path, h.Target = star, star // RFC 9112 section 3.2.4
		return nil
	}
	if len(path) == 0 {
		path = slash
		// "http://host" and "http://host?q": there is no byte for the slash in
		// the buffer, so this rare target is made anew.
		h.Target = append(append([]byte(nil), '/'), t...)
		if h.HasQuery {
			h.Query = h.Target[2:]
		}
	}
	h.Path = path
	return nil
}

var slash, star = []byte("/"), []byte("*")

// addLength takes one Content-Length field: digits, or a list of equal values
// (RFC 9110 section 8.6).
func addLength(length *int64, value []byte) *Error {
	if len(value) == 0 {
		return errLength
	}
	for first := true; first || value != nil; first = false {
		var t []byte
		t, value = token(value)
		if len(t) == 0 || len(t) > 18 {
			return errLength
		}
		n := int64(0)
		for _, c := range t {
			if c < '0' || c > '9' {
				return errLength
			}
			n = n*10 + int64(c-'0')
		}
		if *length >= 0 && *length != n {
			return errLengthsDiffer
		}
		*length = n
	}
	return nil
}

// validHost checks host[:port] (RFC 3986 section 3.2.2).
func validHost(b []byte) bool {
	if len(b) == 0 || len(b) > 255+6 {
		return false
	}
	port := b[len(b):]
	if b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 0 || !validIPv6(b[1:end]) {
			return false
		}
		port = b[end+1:]
	} else {
		host := b
		if colon := bytes.IndexByte(b, ':'); colon >= 0 {
			host, port = b[:colon], b[colon:]
		}
		if len(host) == 0 || !all(host, classHost) {
			return false
		}
	}
	if len(port) == 0 {
		return true
	}
	if port[0] != ':' || len(port) > 6 {
		return false
	}
	for _, c := range port[1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// validIPv6 checks an address literal without a zone.
func validIPv6(b []byte) bool {
	if len(b) > 45 {
		return false
	}
	a, err := netip.ParseAddr(string(b))
	return err == nil && a.Is6() && a.Zone() == ""
}

// GetAnyCase is Get for a name in any case.
func (h *RequestHead) GetAnyCase(name string) []byte {
	for i := range h.Fields {
		if equalFold(h.Fields[i].Name, name) {
			return h.Fields[i].Value
		}
	}
	return nil
}
