package upstream_test

import (
	"testing"

	"edgerouter/app"
)

// TestDrainPeer: who drains a peer sees it get nothing new, through changes of
// addrs and weights, until it is put back.
func TestDrainPeer(t *testing.T) {
	bothModes(t, func(t *testing.T, how setup) {
		noLeaks(t)
		a, b := startNamed(t, "a"), startNamed(t, "b")
		p := startProxy(t, app.PeerSetOpts{Addrs: []string{a.url, b.url}, Policy: app.PolicyRoundRobin}, how)
		c := p.dial(t)
		answers := func() map[string]int {
			texts := map[string]int{}
			for range 6 {
				texts[c.get("/").text]++
				p.status(t)
			}
			return texts
		}
		if p.set.DrainPeer("http://127.0.0.1:1", true) {
			t.Error("a peer that is not there was drained")
		}
		if !p.set.DrainPeer(a.url, true) {
			t.Fatal("the peer is not there")
		}
		if got := answers(); got["b"] != 6 {
			t.Errorf("while a is drained: %v", got)
		}
		if s := p.peer(a.url); s.State != "draining" || !s.Drained || s.Reason == "" || s.Weight != 0 {
			t.Errorf("%+v", s)
		}
		if err := p.set.Update([]string{b.url, a.url}, map[string]int{a.url: 5}); err != nil {
			t.Fatal(err)
		}
		if got := answers(); got["b"] != 6 {
			t.Errorf("after a change of weights: %v", got)
		}
		p.update(t, b.url)
		p.gone(t, a.url)
		p.update(t, b.url, a.url)
		if s := p.peer(a.url); !s.Drained {
			t.Errorf("it came back: %+v", s)
		}
		if !p.set.DrainPeer(a.url, false) {
			t.Fatal("the peer is not there")
		}
		p.joined(t, a.url)
		if got := answers(); got["a"] != 3 || got["b"] != 3 {
			t.Errorf("afterwards: %v", got)
		}
		// The last one can be drained as well: then nobody answers.
		p.set.DrainPeer(a.url, true)
		p.set.DrainPeer(b.url, true)
		if r := c.get("/"); r.StatusCode != 503 {
			t.Errorf("all are drained: %d", r.StatusCode)
		}
		p.status(t)
	})
}
