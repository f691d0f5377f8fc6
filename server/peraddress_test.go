package server

import (
	"net/netip"
	"testing"
	"time"
)

// One subscriber has a /64 of IPv6, and one IPv4 address.
func TestSubscriber(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "2001:db8:1:2::1": "2001:db8:1:2::", "2001:db8:1:3::1": "2001:db8:1:3::",
	} {
		if got := subscriber(netip.MustParseAddr(in)).String(); got != want {
			t.Errorf("%s counts as %s, not %s", in, got, want)
		}
	}
}

func TestPerAddressForgets(t *testing.T) {
	p := perAddress{most: 2}
	a := netip.MustParseAddr("192.0.2.1")
	for i, want := range []bool{true, true, false} {
		if p.enter(a) != want {
			t.Errorf("connection %d is let in: %v", i+1, !want)
		}
	}
	p.leave(a)
	p.leave(a)
	for i := range p.shards {
		if len(p.shards[i].open) != 0 {
			t.Errorf("%v is left", p.shards[i].open)
		}
	}
}

func TestBodyPatience(t *testing.T) {
	const most, rate = time.Minute, 100
	p := bodyPatience(most)
	for range 5 {
		p.spend(10*time.Second, 100, rate, most) // a tenth of the rate
	}
	if got := time.Duration(p); got != 15*time.Second {
		t.Errorf("%v is left after 50 s at a tenth of the rate", got)
	}
	p.spend(time.Millisecond, 1<<20, rate, most)
	if got := time.Duration(p); got != most {
		t.Errorf("%v after a burst", got)
	}
	p.spend(50*time.Second, 1, rate, most)
	if got := time.Duration(p); got < 10*time.Second || got > 11*time.Second {
		t.Errorf("%v after a pause", got)
	}
}
