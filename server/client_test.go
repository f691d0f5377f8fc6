package server

import (
	"net/netip"
	"testing"
)

// TestParseAddress: what proxies write, and what is nobody's address.
func TestParseAddress(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "192.0.2.1:80": "192.0.2.1", "192.0.2.1:65535": "192.0.2.1", "2001:db8::1": "2001:db8::1", "[2001:db8::1]": "2001:db8::1",
		"[2001:db8::1]:443": "2001:db8::1", "fe80::1%eth0": "fe80::1", "[fe80::1%eth0]": "fe80::1", "[fe80::1%eth0]:1": "fe80::1", "::ffff:192.0.2.1": "192.0.2.1", "[::ffff:192.0.2.1]": "192.0.2.1",
		"192.0.2.1:65536": "", "[2001:db8::1]:65536": "", "192.0.2.1:": "", "[192.0.2.1]": "", "[]": "", "[": "", "unknown": "", "_hidden": "", "": "", "192.0.2.1.5": "", "192.0.2.01": "", "::1]": "", `"192.0.2.1"`: "",
	} {
		got, ok := parseAddress(text)
		if ok != (want != "") || ok && got != netip.MustParseAddr(want) {
			t.Errorf("parseAddress(%q) = %v, %v; want %q", text, got, ok, want)
		}
	}
}
