package upstream_test

import (
	"net/http"
	"testing"

	"edgerouter/app"
)

// TestPardonOnReturn: a peer that was ejected, left the set and is back at the
// same address at once may be another container: it gets requests again.
func TestPardonOnReturn(t *testing.T) {
	t.Parallel()
	dead := refusing(t)
	fine := startOrigin(t, answering(func(req *http.Request, _ string) string { return ok(req.Method) })).url
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{fine, dead}, PassiveHealth: &app.PassiveHealth{Failures: 2}})
	c := p.dial(t)
	eventually(t, "the dead peer is ejected", func() bool {
		if a := c.get("/"); a.StatusCode != http.StatusOK {
			t.Fatalf("status %d", a.StatusCode)
		}
		return p.peer(dead).State == "ejected"
	})
	p.update(t, fine)
	p.update(t, fine, dead)
	if got := p.peer(dead); got.State != "up" {
		t.Errorf("the peer is %s (%s) when it is back, want up", got.State, got.Reason)
	}
}
