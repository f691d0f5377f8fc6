package lambda

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"edgerouter/wire"
)

// Format is the form of an event.
type Format string

// The formats; the values are those of payload_format_version.
const (
	REST Format = "1.0" // API Gateway REST API, Lambda proxy integration
	HTTP Format = "2.0" // API Gateway HTTP API, and function URLs
	ALB  Format = "alb" // Application Load Balancer
)

// Formats are all of them.
func Formats() []Format { return []Format{REST, HTTP, ALB} }

// Place is what an event says of where it comes from; it is the same for all
// requests of one application.
type Place struct {
	Format Format
	// MultiValue is for ALB: multiValueHeaders and multiValueQueryStringParameters
	// instead of the objects with one value each.
	MultiValue bool
	// APIID is told as the id of the API or the name of the target group: the
	// application's id.
	APIID string
	// AccountID and Region are those of the function.
	AccountID, Region string
}

// noAccount stands where the account is not known: twelve digits, as programs
// that check the form expect.
const noAccount = "000000000000"

// Request is what an event is made from. Nothing in it is kept or changed.
type Request struct {
	Method []byte
	// Path is raw, after strip_path_prefix; FullPath is before it.
	Path, FullPath []byte
	Query          []byte // raw, without the question mark
	Protocol       string // "HTTP/1.1"
	Host           []byte
	// Fields are the header fields in their order and case, Host among them,
	// without those of the connection.
	Fields    []Field
	SourceIP  netip.Addr
	RequestID []byte
	Time      time.Time
}

// field returns the last value of a field, its name given in lower case.
func (r *Request) field(lower string) []byte {
	for i := len(r.Fields) - 1; i >= 0; i-- {
		if wire.EqualFold(r.Fields[i].Name, lower) {
			return r.Fields[i].Value
		}
	}
	return nil
}

// Builder builds events. Its memory is used again for each; the zero value is
// ready. It is not for use by several goroutines at a time.
type Builder struct {
	headers, query pairs
	arena          []byte
}

// AppendHead appends an event up to where its body stands. The raw bytes of the
// body are to be put BodyGap bytes behind it and given to Finish.
func (b *Builder) AppendHead(dst []byte, p *Place, r *Request) []byte {
	b.headers.reset()
	b.query.reset()
	for _, f := range r.Fields {
		if p.Format == HTTP && wire.EqualFold(f.Name, "cookie") {
			continue
		}
		b.headers.add(f.Name, f.Value)
	}
	b.headers.chain(true)
	b.arena = splitQuery(&b.query, r.Query, b.arena[:0], p.Format != ALB)
	b.query.chain(false)
	switch p.Format {
	case HTTP:
		return b.appendHTTP(dst, p, r)
	case ALB:
		return b.appendALB(dst, p, r)
	}
	return b.appendREST(dst, p, r)
}

const bodyKey = `,"body":"`

// BodyGap is the room between an event's head and its raw body.
const BodyGap = len(bodyKey)

// Text tells whether a body of these fields is text to a function, as long as it
// is UTF-8. contentType is nil when there is none, encoded tells that there is a
// Content-Encoding.
func Text(contentType []byte, encoded bool) bool {
	if encoded || len(contentType) == 0 {
		return false
	}
	t, _, _ := strings.Cut(strings.ToLower(string(contentType)), ";")
	t = strings.TrimSpace(t)
	kind, sub, _ := strings.Cut(t, "/")
	switch {
	case kind == "text":
		return true
	case kind != "application":
		return strings.HasSuffix(sub, "+xml") || strings.HasSuffix(sub, "+json")
	case strings.HasSuffix(sub, "+json"), strings.HasSuffix(sub, "+xml"):
		return true
	}
	switch sub {
	case "json", "xml", "javascript", "x-javascript", "ecmascript", "x-www-form-urlencoded", "x-ndjson", "xml-dtd":
		return true
	}
	return false
}

// Finished is how long an event becomes whose head is head bytes long and whose
// raw body is body.
func Finished(head int, body []byte, text bool) int {
	inside := (len(body) + 2) / 3 * 4
	if text && utf8.Valid(body) {
		inside = len(body) + growth(body)
	}
	return head + BodyGap + inside + len(tailBase64)
}

const (
	tailText   = `","isBase64Encoded":false}`
	tailBase64 = `","isBase64Encoded":true}`
)

// Finish ends an event. b is its head, a gap of BodyGap bytes, and the raw body;
// head is the length of the first. The body is coded where it stands, which
// needs the capacity that Finished tells.
func Finish(b []byte, head int, f Format, text bool) []byte {
	at := head + BodyGap
	if len(b) <= at {
		b = b[:head]
		switch f {
		case REST:
			b = append(b, `,"body":null`...)
		case ALB:
			b = append(b, `,"body":""`...)
		}
		return append(b, `,"isBase64Encoded":false}`...)
	}
	copy(b[head:], bodyKey)
	if text && utf8.Valid(b[at:]) {
		return append(escapeInPlace(b, at), tailText...)
	}
	return append(base64InPlace(b, at), tailBase64...)
}

// clf is the time in an event, as API Gateway writes it.
const clf = "02/Jan/2006:15:04:05 -0700"

func appendTime(dst []byte, t time.Time) []byte {
	dst = append(dst, '"')
	dst = t.UTC().AppendFormat(dst, clf)
	return append(dst, '"')
}

func appendMillis(dst []byte, t time.Time) []byte { return strconv.AppendInt(dst, t.UnixMilli(), 10) }

func appendIP(dst []byte, a netip.Addr) []byte {
	dst = append(dst, '"')
	if a.IsValid() {
		dst = a.AppendTo(dst)
	}
	return append(dst, '"')
}

// domain is the Host without its port, and the first label of it.
func domain(host []byte) (name, prefix []byte) {
	name = host
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && bytes.IndexByte(host[i:], ']') < 0 {
		name = host[:i]
	}
	prefix = name
	if i := bytes.IndexByte(name, '.'); i >= 0 {
		prefix = name[:i]
	}
	return name, prefix
}

// appendDomain writes domainName and domainPrefix.
func appendDomain(dst, host []byte) []byte {
	name, prefix := domain(host)
	dst = append(dst, `"domainName":`...)
	dst = appendString(dst, name)
	dst = append(dst, `,"domainPrefix":`...)
	return appendString(dst, prefix)
}
