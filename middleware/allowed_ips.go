package middleware

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/wire"
)

// NewAllowedIPs returns the wrapper of kind allowed_ips: only clients whose
// address is in one of the ranges get to next, others get 403. The address is
// that of the connection, or what a trusted proxy says. It allocates nothing for
// those that get in.
func NewAllowedIPs(opts app.AllowedIPsOpts, _ Deps) (Wrapper, error) {
	if len(opts.Ranges) == 0 {
		return nil, fmt.Errorf("allowed_ips_opts.ranges: is empty, so that nobody may enter")
	}
	var networks []netip.Prefix
	for i, s := range opts.Ranges {
		p, err := parseNetwork(s)
		if err != nil {
			return nil, fmt.Errorf("allowed_ips_opts.ranges[%d]: %w", i, err)
		}
		networks = append(networks, p)
	}
	allowed := newAddrSet(networks)
	return func(next fasthttp.RequestHandler) fasthttp.RequestHandler {
		return func(ctx *fasthttp.RequestCtx) {
			if ip := clientIP(ctx); !allowed.contains(ip) {
				wire.Fail(ctx, fasthttp.StatusForbidden, "your IP ("+ip.String()+") is not allowed (implicit deny)")
				return
			}
			next(ctx)
		}
	}, nil
}

// parseNetwork reads a network or a single address. IPv4 within IPv6 is IPv4.
func parseNetwork(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return p, fmt.Errorf("%q is neither a network such as 10.0.0.0/8 nor an address", s)
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

// addrSet is an immutable set of addresses: disjoint spans in ascending order,
// so that any number of networks is searched in few steps.
type addrSet struct{ spans []span }

type span struct{ first, last netip.Addr }

func newAddrSet(networks []netip.Prefix) addrSet {
	var all []span
	for _, p := range networks {
		all = append(all, span{p.Addr(), lastOf(p)})
	}
	slices.SortFunc(all, func(a, b span) int { return a.first.Compare(b.first) })
	var s addrSet
	for _, next := range all {
		if n := len(s.spans); n > 0 {
			before := &s.spans[n-1]
			if next.first.BitLen() == before.last.BitLen() && next.first.Compare(before.last) <= 0 {
				if next.last.Compare(before.last) > 0 {
					before.last = next.last
				}
				continue
			}
		}
		s.spans = append(s.spans, next)
	}
	return s
}

// contains tells whether a, which is no IPv4 address within IPv6, is in the set.
func (s addrSet) contains(a netip.Addr) bool {
	i, found := slices.BinarySearchFunc(s.spans, a, func(sp span, a netip.Addr) int { return sp.first.Compare(a) })
	if found {
		return true
	}
	return i > 0 && a.BitLen() == s.spans[i-1].last.BitLen() && a.Compare(s.spans[i-1].last) <= 0
}

// lastOf is the last address of a network.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
