package upstream

import (
	"bytes"

	"edgerouter/wire"
)

// trailers says which trailers of a request's body are passed on. None are but
// where the application asks for them, and with gRPC, whose protocol has them:
// others mostly merge trailers with the fields of the head, where one could say
// what only this proxy or a guard may say.
type trailers struct {
	x    *wire.Exchange
	drop []string // names that options set
	pass bool
}

func (c *call) requestTrailers() trailers {
	h := &c.x.Head
	return trailers{c.x, c.s.fixed.dropRequest, h.Chunked && (c.s.opts.RequestTrailers || isGRPC(h.Get("content-type")))}
}

// isGRPC reports whether a media type is application/grpc or one of its variants
// (application/grpc+proto).
func isGRPC(mediaType []byte) bool {
	const grpc = "application/grpc"
	if len(mediaType) < len(grpc) || !wire.EqualFold(mediaType[:len(grpc)], grpc) {
		return false
	}
	rest := mediaType[len(grpc):]
	return len(rest) == 0 || rest[0] == '+' || rest[0] == ';' || rest[0] == ' ' || rest[0] == '\t'
}

// append appends the lines that are passed on; the body must have ended.
func (t *trailers) append(dst []byte) []byte {
	if !t.pass {
		return dst
	}
	lines := t.x.Body.Trailers()
	for len(lines) > 0 {
		end := bytes.IndexByte(lines, '\n') + 1
		if t.passes(lines[:bytes.IndexByte(lines, ':')]) {
			dst = append(dst, lines[:end]...)
		}
		lines = lines[end:]
	}
	return dst
}

// passes reports whether a trailer may have a name: not one of the fields that
// options or handlers set, nor one that the request itself has.
func (t *trailers) passes(name []byte) bool {
	if wire.AnyName(t.drop, name) || wire.AnyName(t.x.Owned, name) {
		return false
	}
	for i := range t.x.Head.Fields {
		if wire.SameName(t.x.Head.Fields[i].Name, name) {
			return false
		}
	}
	return true
}
