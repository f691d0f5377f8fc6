package auth

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sort"
)

// IPRule lets the addresses of a prefix in: to every application, or to some.
type IPRule struct {
	Prefix netip.Prefix
	// All: every application. Otherwise Apps are their ids.
	All  bool
	Apps []string
}

// IPRules say which client addresses may enter which application. The longest
// prefix that holds an address decides; an address that is in none may not enter.
// The value is immutable and safe for concurrent use.
type IPRules struct {
	rules []rule
	spans []span // by their first address; each ends where the next begins
}

type rule struct {
	prefix netip.Prefix
	all    bool
	apps   map[string]struct{}
}

// span is a part of the address space in which one rule decides.
type span struct {
	from netip.Addr
	rule int32 // index; -1: none
}

// NewIPRules makes rules ready for use. Bits of an address beyond its prefix are
// ignored, and rules for the same prefix add up. No rules at all are an error,
// since they would let nobody in, which is rarely meant, and so is a rule without
// applications.
func NewIPRules(list []IPRule) (*IPRules, error) {
	if len(list) == 0 {
		return nil, errors.New("there are no rules; to let everybody in, do not give any file")
	}
	r := &IPRules{}
	at := map[netip.Prefix]int{}
	for i, in := range list {
		if !in.Prefix.IsValid() {
			return nil, fmt.Errorf("rule %d: the prefix is not valid", i+1)
		}
		if !in.All && len(in.Apps) == 0 {
			return nil, fmt.Errorf("rule %d for %s: apps is empty; it would let nobody in", i+1, in.Prefix)
		}
		prefix := unmapped(in.Prefix)
		n, known := at[prefix]
		if !known {
			n = len(r.rules)
			at[prefix] = n
			r.rules = append(r.rules, rule{prefix: prefix, apps: map[string]struct{}{}})
		}
		r.rules[n].all = r.rules[n].all || in.All
		for _, app := range in.Apps {
			r.rules[n].apps[app] = struct{}{}
		}
	}
	r.cut()
	return r, nil
}

// unmapped is a prefix in the form that addresses are looked up in: IPv4 in IPv6
// (RFC 4291 section 2.5.5.2) is IPv4.
func unmapped(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}

// cut makes the spans: prefixes lie within each other or apart, so going through
// them in order, a stack holds those that the present address is in.
func (r *IPRules) cut() {
	order := make([]int32, len(r.rules))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		pa, pb := r.rules[a].prefix, r.rules[b].prefix
		return cmp.Or(pa.Addr().Compare(pb.Addr()), cmp.Compare(pa.Bits(), pb.Bits()))
	})
	var within []int32
	leave := func() {
		after := lastOf(r.rules[within[len(within)-1]].prefix).Next()
		within = within[:len(within)-1]
		if !after.IsValid() {
			return // the end of the addresses of this kind
		}
		outer := int32(-1)
		if len(within) > 0 {
			outer = within[len(within)-1]
		}
		r.begin(after, outer)
	}
	for _, i := range order {
		from := r.rules[i].prefix.Addr()
		for len(within) > 0 && !r.rules[within[len(within)-1]].prefix.Contains(from) {
			leave()
		}
		r.begin(from, i)
		within = append(within, i)
	}
	for len(within) > 0 {
		leave()
	}
}

// begin adds a span, which takes the place of one that begins there as well.
func (r *IPRules) begin(from netip.Addr, rule int32) {
	if n := len(r.spans); n > 0 && r.spans[n-1].from == from {
		r.spans[n-1].rule = rule
		return
	}
	r.spans = append(r.spans, span{from, rule})
}

// lastOf is the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	last, _ := netip.AddrFromSlice(b)
	return last
}

// Len is the number of prefixes.
func (r *IPRules) Len() int { return len(r.rules) }

// Denial says why an address may not enter; "" is no denial.
type Denial string

// The reasons.
const (
	ImplicitDeny Denial = "implicit deny" // no prefix holds the address
	ExplicitDeny Denial = "explicit deny" // the longest one that does is not for this application
)

// Check says whether an address may enter an application. It allocates nothing.
func (r *IPRules) Check(client netip.Addr, app string) Denial {
	client = client.Unmap().WithZone("")
	n := sort.Search(len(r.spans), func(i int) bool { return client.Less(r.spans[i].from) }) - 1
	if n < 0 || r.spans[n].rule < 0 {
		return ImplicitDeny
	}
	found := &r.rules[r.spans[n].rule]
	if found.prefix.Addr().BitLen() != client.BitLen() {
		return ImplicitDeny // the last of the IPv4 spans goes on into IPv6
	}
	if found.all {
		return ""
	}
	if _, ok := found.apps[app]; !ok {
		return ExplicitDeny
	}
	return ""
}
