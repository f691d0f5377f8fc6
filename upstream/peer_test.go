package upstream

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"edgerouter/app"
)

func TestParseAddress(t *testing.T) {
	for _, tt := range []struct {
		in, dial, authority, path string
		tls, h2c                  bool
		ip                        string
	}{
		{in: "http://192.168.1.2", dial: "192.168.1.2:80", authority: "192.168.1.2", ip: "192.168.1.2"},
		{in: "http://192.168.1.3:8080", dial: "192.168.1.3:8080", authority: "192.168.1.3:8080", ip: "192.168.1.3"},
		{in: "http://192.168.1.3:80/", dial: "192.168.1.3:80", authority: "192.168.1.3", ip: "192.168.1.3"},
		{in: "https://Example.COM", dial: "example.com:443", authority: "example.com", tls: true},
		{in: "HTTPS://example.com:80", dial: "example.com:80", authority: "example.com:80", tls: true},
		{in: "h2c://grpc.internal", dial: "grpc.internal:80", authority: "grpc.internal", h2c: true},
		{in: "http://a/base/v1/", dial: "a:80", authority: "a", path: "/base/v1"},
		{in: "http://a/b%2Fc//", dial: "a:80", authority: "a", path: "/b%2Fc"},
		{in: "http://[::1]", dial: "[::1]:80", authority: "[::1]", ip: "::1"},
		{in: "http://[0:0::1]:81", dial: "[::1]:81", authority: "[::1]:81", ip: "::1"},
		{in: "http://[::ffff:10.0.0.1]", dial: "10.0.0.1:80", authority: "10.0.0.1", ip: "10.0.0.1"},
		{in: "http://[fe80::1%25eth0]:90", dial: "[fe80::1%eth0]:90", authority: "[fe80::1]:90", ip: "fe80::1%eth0"},
		{in: "http://xn--bcher-kva.example", dial: "xn--bcher-kva.example:80", authority: "xn--bcher-kva.example"},
		{in: "http://a_b.c-d", dial: "a_b.c-d:80", authority: "a_b.c-d"},
	} {
		got, err := parseAddress(tt.in)
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		if got.Raw != tt.in || got.Dial != tt.dial || got.Authority != tt.authority || got.Path != tt.path ||
			got.TLS != tt.tls || got.H2C != tt.h2c {
			t.Errorf("%s: %+v", tt.in, got)
		}
		if want, _ := netip.ParseAddr(tt.ip); got.IP != want {
			t.Errorf("%s: IP %v", tt.in, got.IP)
		}
	}
}

func TestParseAddressRefuses(t *testing.T) {
	for in, part := range map[string]string{
		"":                      "no scheme",
		"192.168.1.2:80":        "no scheme",
		"ftp://a":               `scheme "ftp"`,
		"http://":               "no host",
		"http://:80":            "no host",
		"http://a:":             "colon without a port",
		"http://a:0":            "1-65535",
		"http://a:65536":        "1-65535",
		"http://a:x":            "port",
		"http://u:p@a":          "user name",
		"http://a?b":            "query",
		"http://a/?":            "query",
		"http://a#":             "fragment",
		"http://a/ b":           "space",
		"http://a/\r\nX: y":     "control character",
		"http://b\xc3\xbccher":  "ASCII",
		"h2c://b%c3%bccher":     "ASCII",
		"h2C://0%80":            "ASCII",
		"http://[::1":           "missing",
		"http://[zz::1]":        "zz::1",
		"http://a/%zz":          "%zz",
		"http://1.2.3.4:80:90":  "80:90",
		"http://[::1%25a b]:80": "space",
		"http://[v1.x]":         "v1.x",
	} {
		_, err := parseAddress(in)
		if err == nil || !strings.Contains(err.Error(), part) || !strings.HasPrefix(err.Error(), "addrs: ") {
			t.Errorf("%q: %v, want %q in it", in, err, part)
		}
	}
}

// FuzzParseAddress: whatever is accepted has a dialable form without anything
// that could break a header, and means the same when it is read again.
func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"http://a", "https://[::1]:8443/x", "h2c://10.0.0.1:1/%2f", "http://[fe80::1%25eth0]/", "http://a:b@c/?#"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := parseAddress(s)
		if err != nil {
			return
		}
		for _, part := range []string{a.Dial, a.Authority, a.Path, a.Host} {
			if strings.ContainsAny(part, " \r\n\t\x00?#") {
				t.Fatalf("%q: unsafe %+v", s, a)
			}
		}
		if a.Port == 0 || a.Host == "" || strings.HasSuffix(a.Path, "/") || a.TLS && a.H2C {
			t.Fatalf("%q: %+v", s, a)
		}
		if a.IP.Zone() != "" {
			return // the zone is not part of the authority
		}
		again, err := parseAddress(a.Scheme + "://" + a.Authority + a.Path)
		if err != nil || again.identity() != a.identity() || again.Authority != a.Authority {
			t.Fatalf("%q: %+v read again: %+v, %v", s, a, again, err)
		}
	})
}

func TestIdentity(t *testing.T) {
	same := []string{"http://A", "http://a:80/", "HTTP://a/"}
	for _, s := range same {
		a, _ := parseAddress(s)
		if a.identity() != "http://a:80" {
			t.Errorf("%s: %s", s, a.identity())
		}
	}
}

func TestCounters(t *testing.T) {
	p := testPeers(t, 1)[0]
	const ms = int64(time.Millisecond)
	p.begin()
	p.begin()
	p.begin()
	p.end(outcomeOK, 80*ms, 0)
	p.end(outcomeFailed, 1, 0) // no ejector: counting must do without
	s := p.status(time.Unix(0, 0))
	if s.InFlight != 1 || s.Requests != 3 || s.Failures != 1 || s.LatencyMS != 80 {
		t.Errorf("%+v", s)
	}
	p.end(outcomeCanceled, 9999*ms, 0)
	if s := p.status(time.Unix(0, 0)); s.InFlight != 0 || s.Failures != 1 || s.LatencyMS != 80 {
		t.Errorf("canceled: %+v", s)
	}
	p.begin()
	p.end(outcomeOK, 160*ms, 0)
	if s := p.status(time.Unix(0, 0)); s.LatencyMS != 90 {
		t.Errorf("average: %v", s.LatencyMS)
	}
	for range 60 {
		p.begin()
		p.end(outcomeOK, 10*ms, 0)
	}
	if s := p.status(time.Unix(0, 0)); s.LatencyMS < 10 || s.LatencyMS > 10.2 {
		t.Errorf("average does not follow: %v", s.LatencyMS)
	}
}

func TestStatus(t *testing.T) {
	now := time.Unix(1000, 0)
	b, err := newBalancer(testPeers(t, 4), app.PeerSetOpts{Weights: map[string]int{testAddr(3): 0}},
		func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	p := b.peers()
	p[0].setDown("refused")
	p[1].setDraining(true)
	for range defaultFailures {
		p[2].begin()
		p[2].end(outcomeFailed, 0, now.UnixNano())
	}
	want := []string{stateDown, stateDraining, stateUp, stateDraining}
	for i, w := range want {
		if s := p[i].status(now); s.State != w {
			t.Errorf("peer %d: %+v, want %s", i, s, w)
		}
	}
	// Of one able peer none may be ejected; of two one may.
	p[0].setUp()
	for range defaultFailures {
		p[2].end(outcomeFailed, 0, now.UnixNano())
	}
	s := p[2].status(now)
	if s.State != stateEjected || s.Reason == "" || !s.EjectedUntil.Equal(now.Add(defaultEject)) {
		t.Errorf("%+v", s)
	}
	if s := p[2].status(now.Add(defaultEject)); s.State != stateUp || s.Reason != "" || s.EjectedUntil != nil {
		t.Errorf("after its time: %+v", s)
	}
	if s := p[0].status(now); s.State != stateUp || s.Reason != "" {
		t.Errorf("back up: %+v", s)
	}
	p[1].setDown("refused")
	if s := p[1].status(now); s.State != stateDraining || s.Reason != "" {
		t.Errorf("draining and down: %+v", s)
	}
	p[1].setUp()
	p[1].setJoining(true)
	p[1].setDraining(false)
	if s := p[1].status(now); s.State != stateJoining || s.Reason != "" {
		t.Errorf("joining: %+v", s)
	}
	p[1].setJoining(false)
	if s := p[1].status(now); s.State != stateUp {
		t.Errorf("no longer draining: %+v", s)
	}
	if s := p[3].status(now); s.Weight != 0 {
		t.Errorf("%+v", s)
	}
}

func TestStatusJSON(t *testing.T) {
	p := testPeers(t, 1)[0]
	p.begin()
	p.end(outcomeOK, 1500000, 0)
	got, err := json.Marshal(p.status(time.Unix(0, 0)))
	const want = `{"addr":"http://10.0.0.0:8080","state":"up","in_flight":0,"weight":1,"requests":1,"failures":0,"latency_ms":1.5}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
}
