package middleware

import (
	"fmt"
	"hash/maphash"
	"net/netip"
	"strings"

	"github.com/valyala/fasthttp"
)

// per says what is counted apart by rate_limit and in_flight: clients, values of
// a header field, or nothing.
type per struct {
	by     perKind
	header string
	seed   maphash.Seed
}

type perKind uint8

const (
	perClient perKind = iota
	perHeader
	perApplication
)

// parsePer reads client_ip (also when it is empty), header:NAME or application.
func parsePer(s string) (per, error) {
	p := per{seed: maphash.MakeSeed()}
	name, isHeader := strings.CutPrefix(s, "header:")
	switch {
	case s == "" || s == "client_ip":
	case s == "application":
		p.by = perApplication
	case isHeader && isToken(name):
		p.by, p.header = perHeader, name
	default:
		return p, fmt.Errorf("%q is none of client_ip, header:NAME and application", s)
	}
	return p, nil
}

// key is what the request is counted under; not for perApplication. Requests
// without the header field share one. It is a hash whose seed nobody knows, so
// that no client can choose to be counted as another.
func (p *per) key(ctx *fasthttp.RequestCtx) uint64 {
	if p.by == perHeader {
		return maphash.Bytes(p.seed, ctx.Request.Header.Peek(p.header))
	}
	return clientKey(p.seed, clientIP(ctx))
}

// clientKey is the hash of what one client is given: an IPv4 address, or the /64
// of an IPv6 address.
func clientKey(seed maphash.Seed, ip netip.Addr) uint64 {
	var b [9]byte
	if ip.Is4() {
		b[0] = 4
		v4 := ip.As4()
		copy(b[1:], v4[:])
	} else {
		b[0] = 6
		v6 := ip.As16()
		copy(b[1:], v6[:8])
	}
	return maphash.Bytes(seed, b[:])
}
