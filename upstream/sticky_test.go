package upstream

import (
	"strings"
	"testing"
	"time"

	"edgerouter/app"
)

func TestStickyLine(t *testing.T) {
	for _, tt := range []struct {
		opts app.StickyCookie
		want string
	}{
		{app.StickyCookie{}, "er_peer=VALUE; Path=/; HttpOnly; SameSite=Lax"},
		{app.StickyCookie{Name: "srv", MaxAge: app.Duration(90 * time.Minute), Secure: true, SameSite: "strict"},
			"srv=VALUE; Path=/; Max-Age=5400; HttpOnly; Secure; SameSite=Strict"},
		{app.StickyCookie{SameSite: "None"}, "er_peer=VALUE; Path=/; HttpOnly; Secure; SameSite=None"},
	} {
		b := testBalancer(t, 1, app.PeerSetOpts{StickyCookie: &tt.opts})
		p := b.peers()[0]
		if got := strings.Replace(string(p.setCookie), string(p.cookie), "VALUE", 1); got != tt.want {
			t.Errorf("%+v: %s", tt.opts, got)
		}
	}
}

func TestStickyRefuses(t *testing.T) {
	for want, opts := range map[string]app.StickyCookie{
		"sticky_cookie.name: \"a;b\"":        {Name: "a;b"},
		"sticky_cookie.max_age: 1ms":         {MaxAge: app.Duration(time.Millisecond)},
		"sticky_cookie.max_age: -1s":         {MaxAge: app.Duration(-time.Second)},
		"sticky_cookie.same_site: \"laxer\"": {SameSite: "laxer"},
	} {
		if _, err := newStickiness(&opts); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestStickyValue: the value is the same after a restart and with another
// spelling of the address, tells nothing of it, and depends on the key.
func TestStickyValue(t *testing.T) {
	value := func(addr string, key []byte) string {
		a, err := parseAddress(addr)
		if err != nil {
			t.Fatal(err)
		}
		b, err := newBalancer([]*peer{newPeer(a)}, app.PeerSetOpts{StickyCookie: &app.StickyCookie{}}, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		if key != nil {
			b.useStickyKey(key)
			if p := b.peers()[0]; b.list.Load().lookup(p.cookie) != p {
				t.Error("not found by its new value")
			}
		}
		return string(b.peers()[0].cookie)
	}
	a := value("http://backend-7:80", nil)
	if a != value("http://BACKEND-7", nil) {
		t.Error("another spelling, another value")
	}
	if len(a) != 16 || strings.Trim(a, "0123456789abcdef") != "" {
		t.Errorf("%q", a)
	}
	if a != "64eac6fefb9cb78b" {
		t.Errorf("%s: clients would lose their peers with an update", a)
	}
	if a == value("http://backend-8", nil) || a == value("https://backend-7", nil) {
		t.Error("two addresses, one value")
	}
	if k := value("http://backend-7", []byte("k")); k == a || k != value("http://backend-7", []byte("k")) {
		t.Error("the key makes no difference, or a random one")
	}
}

func TestStickyPick(t *testing.T) {
	now := time.Unix(1e6, 0)
	for _, policy := range policies {
		b, err := newBalancer(testPeers(t, 4), app.PeerSetOpts{Policy: policy, MaxRequests: 3, StickyCookie: &app.StickyCookie{}},
			func() time.Time { return now })
		if err != nil {
			t.Fatal(err)
		}
		p := b.peers()[2]
		always := func(what string, want bool) {
			t.Helper()
			n := 0
			for range 40 {
				c := choice{Sticky: p.cookie, HasHash: true, Hash: 12345}
				got := b.pick(&c)
				if got == nil {
					t.Fatalf("%s, %s: nil", policy, what)
				}
				if got == p {
					n++
				} else if want {
					t.Errorf("%s, %s: sent elsewhere", policy, what)
					return
				}
			}
			if !want && n > 0 {
				t.Errorf("%s, %s: sent there", policy, what)
			}
		}
		always("up", true)
		p.inFlight.Store(3)
		always("full", true)
		p.weight.Store(0)
		b.replace(b.peers())
		always("weight 0", true)
		p.setJoining(true)
		always("joining", true)
		p.setDraining(true)
		always("draining", false)
		p.setDraining(false)
		p.setJoining(false)
		p.ejectedUntil.Store(now.Add(time.Minute).UnixNano())
		always("ejected", false)
		p.ejectedUntil.Store(now.UnixNano())
		always("ejection over", true)
		p.setDown("test")
		always("down", false)
		p.setUp()
		b.replace(b.peers()[:2])
		always("gone", false)

		c := choice{Sticky: b.peers()[1].cookie, HasHash: true}
		c.try(b.peers()[1])
		if b.pick(&c) != b.peers()[0] {
			t.Errorf("%s: tried before", policy)
		}
	}
}

func TestStickTo(t *testing.T) {
	b := testBalancer(t, 2, app.PeerSetOpts{StickyCookie: &app.StickyCookie{Name: "n"}})
	p := b.peers()
	if b.cookieName() != "n" {
		t.Error(b.cookieName())
	}
	if line := b.stickTo(p[0], p[0].cookie); line != nil {
		t.Errorf("set again: %s", line)
	}
	for _, sent := range [][]byte{nil, []byte(""), p[1].cookie, []byte("forged")} {
		if line := b.stickTo(p[0], sent); string(line) != string(p[0].setCookie) {
			t.Errorf("after %q: %q", sent, line)
		}
	}
	b = testBalancer(t, 1, app.PeerSetOpts{})
	if b.cookieName() != "" || b.stickTo(b.peers()[0], nil) != nil {
		t.Error("a cookie that nobody asked for")
	}
	b.useStickyKey([]byte("k"))
	if b.peers()[0].cookie != nil {
		t.Error("a key made a cookie")
	}
}
