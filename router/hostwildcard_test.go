package router

import "testing"

func TestHostWildcard(t *testing.T) {
	f := func(pattern, host string, want bool) {
		t.Helper()
		if got := HostWildcard(pattern).Match([]byte(host), []byte("/"), nil); got != want {
			t.Errorf("Host(%s) takes %q: %v", pattern, host, got)
		}
	}
	f("*.a.test", "x.a.test", true)
	f("*.A.Test.", "x.a.test", true)
	f("*.a.test", "a.test", false)
	f("*.a.test", "x.y.a.test", false)
	f("*.a.test", "xa.test", false)
	f("*.a.test", "", false)
	f("*", "x.a.test", true)
	f("*", "", true)
	if text := text(HostWildcard("*.A.test")); text != "Host(`*.a.test`)" {
		t.Error(text)
	}
}
