package middleware

import (
	"fmt"
	"hash/maphash"
	"net/netip"
	"strings"

	"github.com/valyala/fasthttp"

	"edgerouter/middleware/share"
)

// per says what is counted apart by rate_limit and in_flight: clients, values of
// a header field, or nothing.
type per struct {
	by     perKind
	header string
	seed   maphash.Seed
	shared *share.Key // of the cluster, when others count under the same keys
}

type perKind uint8

const (
	perClient perKind = iota
	perHeader
	perApplication
)

// parsePer reads client_ip (also when it is empty), header:NAME or application.
func parsePer(s string, with *share.Exchange) (per, error) {
	p := per{seed: maphash.MakeSeed()}
	if with != nil {
		key := with.Key()
		p.shared = &key
	}
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
		return p.hash(ctx.Request.Header.Peek(p.header))
	}
	b := clientBytes(clientIP(ctx))
	return p.hash(b[:])
}

func (p *per) hash(b []byte) uint64 {
	if p.shared != nil {
		return p.shared.Sum(b)
	}
	return maphash.Bytes(p.seed, b)
}

// clientKey is the hash of what one client is given.
func clientKey(seed maphash.Seed, ip netip.Addr) uint64 {
	b := clientBytes(ip)
	return maphash.Bytes(seed, b[:])
}

// clientBytes is what one client is given: an IPv4 address, or the /64 of an IPv6
// address.
func clientBytes(ip netip.Addr) (b [9]byte) {
	if ip.Is4() {
		b[0] = 4
		v4 := ip.As4()
		copy(b[1:], v4[:])
	} else {
		b[0] = 6
		v6 := ip.As16()
		copy(b[1:], v6[:8])
	}
	return b
}
