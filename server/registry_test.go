package server

import (
	"math/rand/v2"
	"net"
	"testing"

	"edgerouter/wire"
)

// TestRegistryKeepsItsOrder: whatever comes and goes, each connection stands in
// its slot, and the parked ones behind the others.
func TestRegistryKeepsItsOrder(t *testing.T) {
	var r registry
	random := rand.New(rand.NewPCG(1, 2))
	parked := map[*conn]bool{} // all that are registered
	var all []*conn
	for range 5000 {
		switch n := random.IntN(10); {
		case n < 4 || len(all) == 0:
			c := &conn{}
			r.add(c)
			all = append(all, c)
			parked[c] = false
		case n < 6:
			i := random.IntN(len(all))
			c := all[i]
			all[i] = all[len(all)-1]
			all = all[:len(all)-1]
			r.remove(c)
			delete(parked, c)
		default:
			c := all[random.IntN(len(all))]
			if parked[c] {
				r.unpark(c)
			} else {
				r.park(c)
			}
			parked[c] = !parked[c]
		}
		if r.len() != len(all) {
			t.Fatalf("%d of %d are registered", r.len(), len(all))
		}
		for i, c := range r.list {
			if c.slot != i || parked[c] != (i >= r.awake) {
				t.Fatalf("in slot %d of %d, %d awake: one that thinks it is in %d, parked %v", i, len(r.list), r.awake, c.slot, parked[c])
			}
		}
	}
}

// TestOnlyIdleConnectionsAreTaken, those that are idle for long enough, and no
// more than asked for.
func TestOnlyIdleConnectionsAreTaken(t *testing.T) {
	var r registry
	now := wire.Now()
	states := map[string]int64{
		"idle": -(now - 300), "lately idle": -(now - 100), "fresh": -(now + freshGrace), "busy": busy, "in service": now - 1000, "taken": taken,
	}
	conns := map[string]*conn{}
	for name, s := range states {
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		c := &conn{raw: a}
		c.state.Store(s)
		r.add(c)
		conns[name] = c
	}
	if n := r.closeIdle(now, 200, 10); n != len(states) {
		t.Errorf("%d are open", n)
	}
	for name, c := range conns {
		want := states[name]
		if name == "idle" {
			want = taken
		}
		if got := c.state.Load(); got != want {
			t.Errorf("%s: state %d, not %d", name, got, want)
		}
	}
	conns["idle"].state.Store(states["idle"])
	conns["lately idle"].state.Store(states["idle"])
	r.closeIdle(now, 200, 1)
	if a, b := conns["idle"].state.Load(), conns["lately idle"].state.Load(); (a == taken) == (b == taken) {
		t.Errorf("with a limit of one the states are %d and %d", a, b)
	}
}

// TestRequestThatComesWhenItsConnectionIsTaken is claimed all the same, and the
// deadline that woke the connection is not taken for its own.
func TestRequestThatComesWhenItsConnectionIsTaken(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	s := &Server{}
	c := &conn{srv: s, raw: a, idleFrom: 100, readDeadline: 500}
	s.conns.add(c)
	c.state.Store(-c.idleFrom)
	s.conns.closeIdle(1000, 200, 10)
	c.claim(2000)
	if c.state.Load() != 2000 || c.readDeadline != 0 {
		t.Errorf("state %d, deadline %d", c.state.Load(), c.readDeadline)
	}
	c.claim(3000) // a head that came in pieces
	if c.state.Load() != 3000 {
		t.Errorf("state %d", c.state.Load())
	}
}
