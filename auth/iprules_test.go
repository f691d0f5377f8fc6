package auth

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"edgerouter/internal/idkit"
	"edgerouter/wire"
)

func TestIPRules(t *testing.T) {
	r, err := ParseIPRules("ip.hcl", []byte(`
# the office
allow_all { prefix = "192.168.1.0/24" }
allow_specified {
  prefix = "192.168.1.66/32"
  apps   = ["test"]
}
allow_specified {
  prefix = "192.168.1.66/32"
  apps   = ["more", "test"]
}
allow_all { prefix = "10.1.2.3/8" }
allow_specified {
  prefix = "10.0.0.0/16"
  apps   = ["db"]
}
allow_all { prefix = "255.255.255.255/32" }
allow_all { prefix = "2001:db8::/32" }
allow_specified {
  prefix = "2001:db8:0:1::/64"
  apps   = ["test"]
}
allow_all { prefix = "::ffff:172.16.0.0/108" }
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ip, app string
		want    Denial
	}{
		{"192.168.1.1", "any", ""}, {"192.168.1.0", "any", ""}, {"192.168.1.255", "any", ""},
		{"192.168.0.255", "any", ImplicitDeny}, {"192.168.2.0", "any", ImplicitDeny},
		{"192.168.1.66", "test", ""}, {"192.168.1.66", "more", ""}, {"192.168.1.66", "any", ExplicitDeny}, {"192.168.1.67", "any", ""}, {"192.168.1.65", "any", ""},
		{"10.0.0.1", "db", ""}, {"10.0.0.1", "any", ExplicitDeny}, {"10.1.0.0", "any", ""}, {"10.255.255.255", "any", ""}, {"11.0.0.0", "any", ImplicitDeny}, {"9.255.255.255", "any", ImplicitDeny},
		{"0.0.0.0", "any", ImplicitDeny}, {"255.255.255.255", "any", ""}, {"255.255.255.254", "any", ImplicitDeny},
		{"::", "any", ImplicitDeny}, {"::1", "any", ImplicitDeny}, {"2001:db8::1", "any", ""}, {"2001:db8:0:1::1", "any", ExplicitDeny}, {"2001:db8:0:1::1", "test", ""},
		{"2001:db8:0:2::", "any", ""}, {"2001:db7:ffff::", "any", ImplicitDeny}, {"2001:db9::", "any", ImplicitDeny}, {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "any", ImplicitDeny},
		{"::ffff:192.168.1.1", "any", ""}, {"::ffff:8.8.8.8", "any", ImplicitDeny}, {"172.16.0.1", "any", ""}, {"2001:db8::1%eth0", "any", ""},
	} {
		if got := r.Check(netip.MustParseAddr(c.ip), c.app); got != c.want {
			t.Errorf("%s for %s: %q, want %q", c.ip, c.app, got, c.want)
		}
	}
	if got := r.Check(netip.Addr{}, "any"); got != ImplicitDeny {
		t.Errorf("no address: %q", got)
	}
}

func TestIPRulesErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "ip.hcl: there are no rules",
		"# nothing":                            "ip.hcl: there are no rules",
		"allow_all {":                          "ip.hcl:1,",
		"\nallow_all { }":                      "ip.hcl:2,",
		"allow_none { }":                       "allow_none",
		`prefix = "10.0.0.0/8"`:                "prefix",
		`allow_all { prefix = "10" }`:          `ip.hcl:1: allow_all: prefix "10"`,
		`allow_all { prefix = 10 }`:            `prefix "10"`,
		`allow_all { prefix = "10.0.0.0/33" }`: "10.0.0.0/33",
		`allow_all { prefix = "10.0.0.1" }`:    "one address is /32",
		"allow_all { \n prefix = \"10.0.0.0/8\"\n apps = [\"a\"]\n }":            "ip.hcl:3,",
		"allow_specified { prefix = \"10.0.0.0/8\" }":                            "apps",
		"allow_specified { \n prefix = \"10.0.0.0/8\"\n apps = []\n }":           "ip.hcl:1: allow_specified: apps is empty",
		"allow_specified { \n prefix = \"10.0.0.0/8\"\n apps = \"a\"\n }":        "ip.hcl:3,",
		"allow_all \"x\" { \n prefix = \"10.0.0.0/8\" \n }":                      "ip.hcl:1,",
		"allow_all { \n prefix = \"10.0.0.0/8\" \n prefix = \"11.0.0.0/8\" \n }": "ip.hcl:3,",
	} {
		_, err := ParseIPRules("ip.hcl", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// FuzzIPRules compares with a look at every rule.
func FuzzIPRules(f *testing.F) {
	f.Add(uint64(1), uint64(2), 10)
	f.Add(uint64(0), uint64(0), 100)
	f.Fuzz(func(t *testing.T, a, b uint64, n int) {
		rnd := rand.New(rand.NewPCG(a, b))
		var list []IPRule
		for range 1 + n&127 {
			list = append(list, IPRule{Prefix: somePrefix(rnd), All: rnd.IntN(2) == 0, Apps: []string{"a"}})
		}
		r, err := NewIPRules(list)
		if err != nil {
			t.Fatal(err)
		}
		for range 200 {
			ip := somePrefix(rnd).Addr()
			bits, want := -1, ImplicitDeny
			for _, l := range list {
				if p := l.Prefix.Masked(); p.Contains(ip) && p.Bits() >= bits {
					if p.Bits() > bits {
						want = ExplicitDeny
					}
					bits = p.Bits()
					if l.All {
						want = ""
					}
				}
			}
			if got := r.Check(ip, "b"); got != want {
				t.Fatalf("%s: %q, want %q by %v", ip, got, want, list)
			}
		}
	})
}

// somePrefix has few different bits, so that prefixes are often in each other.
func somePrefix(rnd *rand.Rand) netip.Prefix {
	if rnd.IntN(2) == 0 {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(rnd.IntN(3)) * 127, 0, byte(rnd.IntN(2)) * 255, byte(rnd.IntN(4)) * 85}), rnd.IntN(33))
	}
	var b [16]byte
	b[0], b[7], b[15] = byte(rnd.IntN(3))*127, byte(rnd.IntN(2)), byte(rnd.IntN(256))
	return netip.PrefixFrom(netip.AddrFrom16(b), rnd.IntN(129))
}

func FuzzParseIPRules(f *testing.F) {
	f.Add([]byte("allow_all { prefix = \"10.0.0.0/8\" }\nallow_specified {\n prefix = \"::/0\"\n apps = [\"a\"]\n}"))
	f.Add([]byte("allow_all { prefix = ${x} }"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := ParseIPRules("f", data); err == nil {
			r.Check(netip.MustParseAddr("10.1.1.1"), "a")
		}
	})
}

func manyIPRules(t testing.TB) *IPRules {
	var list []IPRule
	for i := range 10_000 {
		list = append(list, IPRule{Prefix: netip.MustParsePrefix(fmt.Sprintf("10.%d.%d.0/24", i/250, i%250)), Apps: []string{"a", "b"}})
	}
	r, err := NewIPRules(list)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func BenchmarkIPRules(b *testing.B) {
	r := manyIPRules(b)
	ip := netip.MustParseAddr("10.17.33.9")
	b.ReportAllocs()
	for b.Loop() {
		if r.Check(ip, "b") != "" {
			b.Fatal("denied")
		}
	}
}

func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	// So many runs that what ends of earlier tests in the background does not count.
	const runs = 1000
	r := manyIPRules(t)
	ip := netip.MustParseAddr("10.17.33.9")
	if n := testing.AllocsPerRun(runs, func() { r.Check(ip, "b") }); n != 0 {
		t.Errorf("IPRules.Check allocates %v times", n)
	}
	rig := newSSORig(t)
	token := rig.id.Sign(t, "one", idkit.Claims("joonas"))
	s := &sso{now: func() (now time.Time) { return }}
	s.verified.put(token, identity{"joonas", s.now().Add(1)})
	ctx := request("192.0.2.1", "Bearer "+token)
	if n := testing.AllocsPerRun(runs, func() {
		wire.Own(ctx, userField)
		if _, _, err := s.identify(ctx); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("a known token costs %v allocations", n)
	}
}
