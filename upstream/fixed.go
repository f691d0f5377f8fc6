package upstream

import (
	"bytes"
	"fmt"
	"sort"
	"strings"

	"edgerouter/app"
	"edgerouter/wire"
)

// fixedHeaders are the lines that options add to every request and response,
// and the names that they stand in for, in any spelling.
type fixedHeaders struct {
	toPeer, toClient []byte
	dropRequest      []string
	dropResponse     []string
	rules            []wire.FieldRule // toClient and dropResponse, for interim responses
	// host is the Host for the peers that headers_to_origin gives; "" for none.
	host string
	// forwarding tells that dropRequest has names of the lines that the server
	// adds (X-Forwarded-* and the like).
	forwarding bool
}

func newFixedHeaders(o *app.PeerSetOpts) (f fixedHeaders, err error) {
	toPeer := make(map[string]string, len(o.HeadersToOrigin))
	for name, value := range o.HeadersToOrigin {
		if strings.EqualFold(name, "host") {
			if value == "" || strings.ContainsAny(value, " \t\r\n\x00") {
				return f, fmt.Errorf("headers_to_origin: %q: %q is not a host", name, value)
			}
			f.host = value
			continue
		}
		toPeer[name] = value
	}
	if f.toPeer, f.dropRequest, err = headerLines("headers_to_origin", toPeer); err != nil {
		return f, err
	}
	for _, n := range f.dropRequest {
		f.forwarding = f.forwarding || wire.KindOf([]byte(n)) == wire.Forwarding
	}
	if o.ResponseHeaders == nil {
		return f, nil
	}
	if f.toClient, f.dropResponse, err = headerLines("response_headers.set", o.ResponseHeaders.Set); err != nil {
		return f, err
	}
	for _, n := range o.ResponseHeaders.Remove {
		f.dropResponse = append(f.dropResponse, strings.ToLower(n))
	}
	wire.EachLine(f.toClient, func(name, value []byte) {
		f.rules = append(f.rules, wire.FieldRule{Name: string(name), Value: string(value)})
	})
	for _, n := range f.dropResponse {
		f.rules = append(f.rules, wire.FieldRule{Name: n})
	}
	return f, nil
}

// headerLines makes field lines, sorted by name, and the names in lower case. An
// empty value for the peers means that the field is taken away.
func headerLines(field string, set map[string]string) (lines []byte, names []string, err error) {
	for n := range set {
		names = append(names, n)
	}
	sort.Strings(names)
	for i, n := range names {
		if !isToken(n) || strings.ContainsAny(set[n], "\r\n\x00") {
			return nil, nil, fmt.Errorf("%s: %q is not the name of a field, or its value has a control character", field, n)
		}
		switch wire.KindOf([]byte(n)) {
		case wire.Host, wire.ContentLength, wire.TransferEncoding, wire.Connection, wire.Upgrade, wire.TE, wire.Expect, wire.Trailer:
			return nil, nil, fmt.Errorf("%s: %q: this field belongs to the connection or to the body and cannot be set", field, n)
		}
		if set[n] != "" || field != "headers_to_origin" {
			lines = wire.AppendField(lines, n, []byte(set[n]))
		}
		names[i] = strings.ToLower(n)
	}
	return lines, names, nil
}

// appendWithout appends lines, each with its CRLF, but those with one of the names.
func appendWithout(dst, lines []byte, names []string) []byte {
	for len(lines) > 0 {
		end := bytes.IndexByte(lines, '\n') + 1
		colon := bytes.IndexByte(lines, ':')
		if end <= 0 || colon < 0 {
			return dst
		}
		if !wire.AnyName(names, lines[:colon]) {
			dst = append(dst, lines[:end]...)
		}
		lines = lines[end:]
	}
	return dst
}
