package middleware

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
)

func TestAllowedIPs(t *testing.T) {
	w := must(t)(NewAllowedIPs(app.AllowedIPsOpts{Ranges: []string{
		"10.0.0.0/8", "10.1.0.0/16", "192.0.2.7", "198.51.100.77/24", "2001:db8::/32", "fe80::1", "::ffff:172.16.0.0/108", "0.0.0.0/32",
	}}, Deps{}))
	for _, c := range []struct {
		ip   string
		want bool
	}{
		{"10.0.0.0", true}, {"10.255.255.255", true}, {"11.0.0.0", false}, {"9.255.255.255", false}, {"10.1.2.3", true},
		{"192.0.2.7", true}, {"192.0.2.6", false}, {"192.0.2.8", false},
		{"198.51.100.0", true}, {"198.51.100.255", true}, {"198.51.101.0", false},
		{"2001:db8::1", true}, {"2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", true}, {"2001:db9::", false}, {"2001:db7:ffff::", false},
		{"fe80::1", true}, {"fe80::2", false}, {"::", false}, {"::ffff:10.1.1.1", true}, {"::ffff:11.1.1.1", false},
		{"172.16.0.1", true}, {"172.32.0.1", false}, {"0.0.0.0", true}, {"0.0.0.1", false}, {"255.255.255.255", false},
	} {
		s := &spy{}
		ctx := request("GET", "/")
		from(ctx, c.ip)
		w(s.serve)(ctx)
		if (s.asked == 1) != c.want {
			t.Errorf("%s: allowed %v, want %v", c.ip, s.asked == 1, c.want)
		}
		if body := string(ctx.Response.Body()); !c.want && (ctx.Response.StatusCode() != 403 ||
			!strings.HasPrefix(body, "your IP ("+netip.MustParseAddr(c.ip).Unmap().String()+") is not allowed (implicit deny)")) {
			t.Errorf("%s: %d %q", c.ip, ctx.Response.StatusCode(), body)
		}
	}
	for _, c := range []struct {
		ranges []string
		want   string
	}{
		{nil, "allowed_ips_opts.ranges: is empty"},
		{[]string{"10.0.0.0/8", "x"}, `allowed_ips_opts.ranges[1]: "x" is neither`},
		{[]string{"10.0.0.0/33"}, "allowed_ips_opts.ranges[0]"},
		{[]string{"fe80::1%eth0"}, "allowed_ips_opts.ranges[0]"},
		{[]string{""}, "allowed_ips_opts.ranges[0]"},
	} {
		_, err := NewAllowedIPs(app.AllowedIPsOpts{Ranges: c.ranges}, Deps{})
		refused(t, err, c.want)
	}
}

// TestAddrSet compares the set with what netip says of each network.
func TestAddrSet(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func() netip.Addr {
		if r.IntN(2) == 0 {
			return netip.AddrFrom4([4]byte{10, byte(r.IntN(3)), byte(r.Uint32()), byte(r.Uint32())})
		}
		b := [16]byte{0x20, 1, 0, byte(r.IntN(3)), 15: byte(r.Uint32())}
		return netip.AddrFrom16(b)
	}
	for round := range 200 {
		var networks []netip.Prefix
		for range r.IntN(8) {
			a := random()
			networks = append(networks, netip.PrefixFrom(a, r.IntN(a.BitLen()+1)).Masked())
		}
		set := newAddrSet(networks)
		for range 200 {
			a, want := random(), false
			if len(networks) > 0 && r.IntN(4) == 0 {
				p := networks[r.IntN(len(networks))]
				if a = lastOf(p); r.IntN(2) == 0 {
					a = a.Next()
				}
				if !a.IsValid() {
					continue
				}
			}
			for _, p := range networks {
				want = want || p.Contains(a)
			}
			if set.contains(a) != want {
				t.Fatalf("round %d: %v in %v: %v, want %v (%v)", round, a, networks, !want, want, set)
			}
		}
	}
	if (addrSet{}).contains(netip.MustParseAddr("::1")) || newAddrSet([]netip.Prefix{netip.MustParsePrefix("::/0")}).contains(netip.Addr{}) {
		t.Error("an address that is none, or no network, is in the set")
	}
}

func TestAllowedIPsAllocateNothing(t *testing.T) {
	var ranges []string
	for i := range 1000 {
		ranges = append(ranges, fmt.Sprintf("10.%d.%d.0/25", i/250, i%250))
	}
	h := must(t)(NewAllowedIPs(app.AllowedIPsOpts{Ranges: ranges}, Deps{}))(func(*fasthttp.RequestCtx) {})
	ctx := request("GET", "/")
	from(ctx, "10.2.99.3")
	allocates(t, 0, func() { h(ctx) })
	if ctx.Response.StatusCode() != 200 {
		t.Errorf("status %d", ctx.Response.StatusCode())
	}
}
