package server

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/netip"

	"edgerouter/wire"
)

// forward holds the lines that were made for the request before: those of one
// connection differ in the id only, as long as the Host stays the same.
type forward struct {
	lines  []byte
	idAt   int
	host   []byte
	secure bool
	prefix string
	client netip.Addr
	ready  bool
}

const idLength = 32

// putID writes a request id: 128 random bits in hex.
func putID(dst []byte) {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], rand.Uint64())
	binary.LittleEndian.PutUint64(b[8:], rand.Uint64())
	hex.Encode(dst, b[:])
}

// identify says who the client is and whether it spoke TLS. A trusted proxy is
// believed; of X-Forwarded-For, the last address that is not a trusted proxy.
func (c *conn) identify() (secure bool) {
	secure = c.tls != nil
	c.client = c.peer
	if !c.trusted || !c.x.Head.Forwarding {
		return secure
	}
	if v := c.x.Head.Get("x-forwarded-proto"); len(v) > 0 {
		secure = wire.EqualFold(v, "https") || wire.EqualFold(v, "wss")
	}
	fields := c.x.Head.Fields
	for i := len(fields) - 1; i >= 0; i-- {
		if !wire.EqualFold(fields[i].Name, "x-forwarded-for") {
			continue
		}
		list := fields[i].Value
		for len(list) > 0 {
			item := list
			if j := bytes.LastIndexByte(list, ','); j >= 0 {
				item, list = list[j+1:], list[:j]
			} else {
				list = nil
			}
			item = bytes.TrimSpace(item)
			if len(item) == 0 && len(list) > 0 {
				continue // RFC 9110 section 5.6.1.2
			}
			a, ok := parseAddress(string(item))
			if !ok {
				// The proxy knows somebody whom we do not: an unknown client, whom no
				// rule of addresses admits. What stands before cannot be believed.
				c.client = netip.Addr{}
				return secure
			}
			c.client = a
			if !c.srv.trusts(a) {
				return secure
			}
		}
	}
	return secure
}

// parseAddress reads an element of X-Forwarded-For: an address, of IPv6 also in
// brackets; some proxies add a port.
func parseAddress(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		if n := len(s); n > 2 && s[0] == '[' && s[n-1] == ']' {
			a, err = netip.ParseAddr(s[1 : n-1])
			if err == nil && !a.Is6() {
				return a, false
			}
		} else {
			var ap netip.AddrPort
			ap, err = netip.ParseAddrPort(s)
			a = ap.Addr()
		}
	}
	return a.Unmap().WithZone(""), err == nil
}

// forwardLines makes x.Forward. From clients that are no trusted proxies nothing
// of the kind is taken over.
func (c *conn) forwardLines(secure bool, prefix string) {
	x, f := &c.x, &c.fwd
	believed := c.trusted && x.Head.Forwarding
	if f.ready && !believed && f.secure == secure && f.prefix == prefix && f.client == c.client && bytes.Equal(f.host, x.Head.Host) {
		putID(f.lines[f.idAt : f.idAt+idLength])
		x.Forward = f.lines
		x.RequestID = f.lines[f.idAt : f.idAt+idLength]
		return
	}
	b := f.lines[:0]
	host, id := x.Head.Host, []byte(nil)
	var before []byte // the part of X-Forwarded-Prefix that others stripped
	b = append(b, "X-Forwarded-For: "...)
	if believed {
		for i := range x.Head.Fields {
			field := &x.Head.Fields[i]
			switch {
			case len(field.Value) == 0:
			case wire.EqualFold(field.Name, "x-forwarded-for"):
				b = append(append(b, field.Value...), ", "...)
			case wire.EqualFold(field.Name, "x-forwarded-host"):
				host = field.Value
			case wire.EqualFold(field.Name, "x-forwarded-prefix"):
				before = field.Value
			case wire.EqualFold(field.Name, "x-request-id") && goodID(field.Value):
				id = field.Value
			}
		}
	}
	b = c.peer.AppendTo(b)
	b = append(b, "\r\nX-Forwarded-Proto: "...)
	if secure {
		b = append(b, "https\r\n"...)
	} else {
		b = append(b, "http\r\n"...)
	}
	if len(host) > 0 {
		b = wire.AppendField(b, "X-Forwarded-Host", host)
	}
	if len(before) > 0 || prefix != "" {
		b = append(b, "X-Forwarded-Prefix: "...)
		b = append(append(b, before...), prefix...)
		b = append(b, "\r\n"...)
	}
	if believed {
		b = c.appendOthers(b)
	}
	if c.client.IsValid() {
		b = append(b, "X-Real-Ip: "...)
		b = c.client.AppendTo(b)
		b = append(b, "\r\n"...)
	}
	b = append(b, "X-Request-Id: "...)
	f.idAt = len(b)
	if id == nil {
		b = append(b, make([]byte, idLength)...)
		putID(b[f.idAt:])
	} else {
		b = append(b, id...)
	}
	idEnd := len(b)
	b = append(b, "\r\n"...)
	f.lines = b
	f.host = append(f.host[:0], x.Head.Host...)
	f.secure, f.prefix, f.client, f.ready = secure, prefix, c.client, !believed
	x.Forward, x.RequestID = b, b[f.idAt:idEnd]
}

// appendOthers passes on what a trusted proxy said and this one has nothing to
// add to: X-Forwarded-Port and the like.
func (c *conn) appendOthers(b []byte) []byte {
	for i := range c.x.Head.Fields {
		f := &c.x.Head.Fields[i]
		if f.Kind != wire.Forwarding || len(f.Name) < len("x-forwarded-") {
			continue
		}
		switch name := f.Name; {
		case !wire.EqualFold(name[:len("x-forwarded-")], "x-forwarded-"),
			wire.EqualFold(name, "x-forwarded-for"), wire.EqualFold(name, "x-forwarded-host"),
			wire.EqualFold(name, "x-forwarded-proto"), wire.EqualFold(name, "x-forwarded-prefix"):
		default:
			b = append(append(b, name...), ": "...)
			b = append(append(b, f.Value...), "\r\n"...)
		}
	}
	return b
}

// goodID tells whether an id of a trusted proxy may go into logs and fields.
func goodID(id []byte) bool {
	if len(id) == 0 || len(id) > 128 {
		return false
	}
	for _, ch := range id {
		if ch <= ' ' || ch >= 0x7f {
			return false
		}
	}
	return true
}

func (s *Server) trusts(a netip.Addr) bool {
	for _, p := range s.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
