package upstream

import (
	"bytes"

	"edgerouter/wire"
)

// appendRequest writes the head that the peer gets: the client's fields in their
// order and case, without those of the connection, and with what this proxy adds.
func (c *call) appendRequest(dst []byte, p *peer) []byte {
	x := c.x
	dst = append(dst, c.method...)
	dst = append(dst, ' ')
	dst = c.appendTarget(dst, p)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = c.appendHost(dst, p)
	dst = append(dst, "\r\n"...)
	if c.direct {
		dst = c.appendFields(dst)
		if c.s.fixed.forwarding {
			dst = appendWithout(dst, x.Forward, c.s.fixed.dropRequest)
		} else {
			dst = append(dst, x.Forward...)
		}
	} else {
		dst = c.appendChangedFields(dst)
	}
	switch {
	case c.upgrade != nil:
		dst = append(dst, "Connection: Upgrade\r\nUpgrade: "...)
		dst = append(dst, c.upgrade...)
		dst = append(dst, "\r\n"...)
	case x.Head.Trailers:
		// RFC 9110 section 10.1.4.
		dst = append(dst, "Connection: TE\r\nTE: trailers\r\n"...)
	}
	dst = append(dst, c.s.fixed.toPeer...)
	return append(dst, "\r\n"...)
}

// appendHost writes the Host for p: what headers_to_origin says, else what a
// handler has put in the place of the client's, else the client's or the peer's
// own.
func (c *call) appendHost(dst []byte, p *peer) []byte {
	host := c.x.Head.Host
	pass := c.s.opts.PassHostHeader
	if !c.direct {
		host = c.ctx.Request.Header.Host()
		pass = pass || !bytes.Equal(host, c.x.Head.Host)
	}
	switch {
	case c.s.fixed.host != "":
		return append(dst, c.s.fixed.host...)
	case pass && len(host) > 0:
		return append(dst, host...)
	}
	return append(dst, p.addr.Authority...)
}

// appendTarget writes the path of the address, and the request's own.
func (c *call) appendTarget(dst []byte, p *peer) []byte {
	target := c.target()
	if len(target) > 0 && target[0] == '/' {
		dst = append(dst, p.addr.Path...) // not before the "*" of OPTIONS
	}
	index, bare := c.s.opts.IndexDocument, c.s.opts.RemoveQueryString
	if index == "" && !bare {
		return append(dst, target...)
	}
	path, query := target, []byte(nil)
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		path, query = target[:i], target[i:]
	}
	dst = append(dst, path...)
	if index != "" && bytes.HasSuffix(path, slash) {
		dst = append(dst, index...)
	}
	if !bare {
		dst = append(dst, query...)
	}
	return dst
}

// target is the request's, which handlers may have changed: then it is seen to
// that it cannot end the request line.
func (c *call) target() []byte {
	if c.direct {
		return c.x.Target
	}
	target := c.ctx.Request.Header.RequestURI()
	if len(target) > 0 && (target[0] == '/' || bytes.Equal(target, c.x.Target)) && bytes.IndexFunc(target, notInTarget) < 0 {
		return target
	}
	escaped := []byte("/")
	for i, ch := range target {
		switch {
		case ch <= ' ' || ch == 0x7f || ch == '#':
			escaped = append(escaped, '%', hexDigits[ch>>4], hexDigits[ch&15])
		case i > 0 || ch != '/':
			escaped = append(escaped, ch)
		}
	}
	return escaped
}

var slash = []byte("/")

const hexDigits = "0123456789ABCDEF"

func notInTarget(r rune) bool { return r <= ' ' || r == 0x7f || r == '#' }

func (c *call) appendFields(dst []byte) []byte {
	fields := c.x.Head.Fields
	for i := range fields {
		f := &fields[i]
		switch f.Kind {
		case wire.Trailer:
			if c.trailers.pass {
				dst = appendField(dst, f)
			}
		case wire.Ordinary, wire.Cookie, wire.ContentType, wire.Date, wire.Server:
			if c.s.fixed.dropRequest != nil && wire.AnyName(c.s.fixed.dropRequest, f.Name) {
				continue
			}
			dst = appendField(dst, f)
		case wire.ContentLength, wire.TransferEncoding:
			dst = c.appendFraming(dst, f)
		}
	}
	return dst
}

// appendFraming writes the body's framing once, where the client had it.
func (c *call) appendFraming(dst []byte, f *wire.Field) []byte {
	fields := c.x.Head.Fields
	for i := range fields {
		if fields[i].Kind == f.Kind {
			if &fields[i] != f {
				return dst
			}
			break
		}
	}
	if c.length < 0 {
		return append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	return wire.AppendLength(dst, c.length)
}

// appendChangedFields is appendFields for a request that other handlers may have
// changed: the client's lines that ctx still has, in their order and case, then
// what was added.
func (c *call) appendChangedFields(dst []byte) []byte {
	h := &c.ctx.Request.Header
	fields := c.x.Head.Fields
	drop := c.s.fixed.dropRequest
	cookies := wire.KeptCookies(h, fields)
	for i := range fields {
		f := &fields[i]
		if wire.AnyName(drop, f.Name) {
			continue
		}
		switch f.Kind {
		case wire.Cookie:
			if cookies {
				dst = appendField(dst, f)
			}
		case wire.Ordinary, wire.ContentType, wire.Date, wire.Server:
			if wire.HasValue(h.PeekAll(string(f.Name)), f.Value) {
				dst = appendField(dst, f)
			}
		case wire.Trailer:
			if c.trailers.pass {
				dst = appendField(dst, f)
			}
		case wire.ContentLength, wire.TransferEncoding:
			dst = c.appendFraming(dst, f)
		}
	}
	for k, v := range h.All() {
		switch wire.KindOf(k) {
		case wire.Cookie:
			if cookies {
				continue
			}
		case wire.Forwarding:
		case wire.Ordinary, wire.ContentType, wire.Date, wire.Server:
			if wire.FromClient(fields, k, v) {
				continue
			}
		default:
			continue
		}
		if !wire.AnyName(drop, k) {
			dst = wire.AppendField(dst, string(k), v)
		}
	}
	return dst
}

func appendField(dst []byte, f *wire.Field) []byte {
	dst = append(dst, f.Name...)
	dst = append(dst, ": "...)
	dst = append(dst, f.Value...)
	return append(dst, "\r\n"...)
}
