package docker

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// settle lets everything happen that is to happen within d.
func settle(d time.Duration) {
	time.Sleep(d) // of the bubble's clock
	synctest.Wait()
}

func (w *watcher) want(id string, addrs ...string) {
	w.t.Helper()
	got := w.addrs(id)
	if len(addrs) == 0 && got == nil {
		return
	}
	if fmt.Sprint(got) != fmt.Sprint(addrs) {
		w.t.Errorf("the peers of %s are %v, want %v; problems %v, errors %v", id, got, addrs, w.last.Problems, w.errs)
	}
}

func (w *watcher) problem(id, text string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.last.Problems {
		if p.App == id && strings.Contains(p.Error(), text) {
			return
		}
	}
	w.t.Errorf("no problem of %s says %q: %v", id, text, w.last.Problems)
}

func (w *watcher) noProblems() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.last.Problems) > 0 {
		w.t.Errorf("problems: %v", w.last.Problems)
	}
}

func (w *watcher) emitted() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

func (w *watcher) failures() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.errs)
}

// bubble runs a test of a source with a clock of its own.
func bubble(t *testing.T, change func(*Options), run func(t *testing.T, f *fakeEngine, w *watcher, s *Source)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		w, s, stop := f.inBubble(change)
		defer stop()
		settle(time.Second)
		run(t, f, w, s)
	})
}

func TestFollowsContainers(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fakeEngine, w *watcher, s *Source) {
		if w.emitted() != 1 {
			t.Fatalf("emitted %d times for an engine without containers", w.emitted())
		}
		f.start(web(1, "a"))
		settle(100 * time.Millisecond)
		w.want("a", "http://172.17.0.3:8080")
		f.start(web(2, "b"))
		settle(100 * time.Millisecond)
		w.want("b", "http://172.17.0.4:8080")
		w.noProblems()
		if o := s.Origins()["b"]; o.Kind != string(KindContainer) || len(o.Containers) != 1 || o.Containers[0].ID != web(2, "").id || o.Containers[0].Address != "http://172.17.0.4:8080" {
			t.Errorf("origin of b: %+v", o)
		}
		f.die(web(1, "a").id)
		settle(100 * time.Millisecond)
		w.want("a", "none") // 503 for a while
		w.problem("a", "its last container is gone")
		settle(DefaultLinger)
		w.want("a")
		w.noProblems()

		// Nothing at all is asked between events.
		before := f.everything
		settle(time.Hour)
		if f.everything != before {
			t.Errorf("asked the engine %d times without any event: %v", f.everything-before, f.asks[before:])
		}
	})
}

func TestRenamedApplicationComesAtOnce(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fakeEngine, w *watcher, _ *Source) {
		f.start(web(1, "old"))
		settle(time.Second)
		f.die(web(1, "old").id)
		settle(time.Second)
		w.want("old", "none")
		f.start(web(2, "new", "traefik.frontend.rule", "Host:old.test"))
		settle(time.Second)
		w.want("old")
		w.want("new", "http://172.17.0.4:8080")
	})
}

// Of two that claim the same host the one that is left takes over at once.
func TestOtherOfTwoTakesOver(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fakeEngine, w *watcher, _ *Source) {
		f.start(web(1, "blue", "traefik.frontend.rule", "Host:same.test"))
		f.start(web(2, "green", "traefik.frontend.rule", "Host:same.test"))
		f.start(web(3, "other"))
		settle(time.Second)
		f.die(web(3, "").id)
		f.die(web(1, "").id)
		settle(leaveGap)
		w.want("blue")
		w.want("green", "http://172.17.0.4:8080")
		w.want("other", "none")
	})
}

func TestDraining(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fakeEngine, w *watcher, _ *Source) {
		one, two := "http://172.17.0.3:8080", "http://172.17.0.4:8080"
		f.start(replica(1))
		f.start(replica(2))
		settle(time.Second)
		w.want("p_s", one, two)

		// Another signal than the one that stops it means nothing.
		f.event("container", "kill", replica(1).id, "signal", "1")
		settle(time.Second)
		w.want("p_s", one, two)
		f.event("container", "kill", replica(1).id, "signal", "15")
		settle(leaveGap)
		w.want("p_s", two)
		// The last one that is left goes on, and so do both when both drain.
		f.event("container", "kill", replica(2).id, "signal", "15")
		settle(leaveGap)
		w.want("p_s", one, two)
		f.die(replica(1).id)
		settle(leaveGap)
		w.want("p_s", two)
		f.start(replica(3))
		settle(100 * time.Millisecond)
		w.want("p_s", "http://172.17.0.5:8080")
		f.die(replica(2).id)
		settle(time.Second)
		w.want("p_s", "http://172.17.0.5:8080")

		// A restarted container is a new one.
		f.event("container", "kill", replica(3).id, "signal", "9")
		f.die(replica(3).id)
		f.start(replica(3))
		settle(time.Second)
		w.want("p_s", "http://172.17.0.5:8080")
		w.noProblems()
	})
}

func TestDrainingBySignal(t *testing.T) {
	for _, c := range []struct {
		stops, signal string
		drains        bool
	}{
		{"", "15", true}, {"SIGTERM", "15", true}, {"", "9", true}, {"SIGQUIT", "9", true}, {"SIGQUIT", "3", true},
		{"SIGQUIT", "15", false}, {"SIGRTMIN+3", "37", true}, {"SIGRTMIN+3", "15", false}, {"WINCH", "28", true}, {"28", "28", true},
		{"", "1", false}, {"", "10", false}, {"", "SIGTERM", true}, {"", "", false}, {"", "x", false},
	} {
		bubble(t, nil, func(t *testing.T, f *fakeEngine, w *watcher, _ *Source) {
			first := replica(1)
			first.stopSignal = c.stops
			f.start(first)
			f.start(replica(2))
			settle(time.Second)
			f.event("container", "kill", first.id, "signal", c.signal)
			settle(100 * time.Millisecond)
			if got := len(w.addrs("p_s")) == 1; got != c.drains {
				t.Errorf("stop signal %q, signal %q: draining is %v", c.stops, c.signal, got)
			}
		})
	}
}

// Sticky clients move at once: what stops may be gone at their next request.
func TestStickyPeerDrains(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fakeEngine, w *watcher, _ *Source) {
		sticky := []string{"traefik.backend.loadbalancer.stickiness", "true"}
		f.start(replica(1, sticky...))
		f.start(replica(2, sticky...))
		settle(time.Second)
		f.event("container", "kill", replica(1).id, "signal", "15")
		settle(leaveGap)
		w.want("p_s", "http://172.17.0.4:8080")
		f.die(replica(1).id)
		settle(leaveGap)
		w.want("p_s", "http://172.17.0.4:8080")
	})
}

func TestSignalWithoutEnd(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fakeEngine, w *watcher, _ *Source) {
		f.start(replica(1))
		f.start(replica(2))
		settle(time.Second)
		f.event("container", "kill", replica(1).id, "signal", "15")
		settle(drainLimit - time.Second)
		if len(w.addrs("p_s")) != 1 {
			t.Error("the container that got its stop signal is in service")
		}
		settle(2 * time.Second)
		w.want("p_s", "http://172.17.0.3:8080", "http://172.17.0.4:8080")
	})
}

func TestHealth(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fakeEngine, w *watcher, _ *Source) {
		c := web(1, "a")
		c.status = "Up 1 second (health: starting)"
		f.start(c)
		settle(time.Second)
		w.want("a")
		w.problem("a", "is starting")
		f.event("container", "health_status: healthy", c.id)
		settle(leaveGap)
		w.want("a", "http://172.17.0.3:8080")
		w.noProblems()
		f.event("container", "health_status: unhealthy", c.id)
		settle(leaveGap)
		w.want("a", "none")
		w.problem("a", "is unhealthy")
		f.event("container", "health_status: healthy", c.id)
		settle(leaveGap)
		w.want("a", "http://172.17.0.3:8080")
		f.event("container", "pause", c.id)
		settle(leaveGap)
		w.want("a", "none")
		f.event("container", "unpause", c.id)
		settle(leaveGap)
		w.want("a", "http://172.17.0.3:8080")
		if n := f.count("/containers/json"); n != 2 {
			t.Errorf("listed containers %d times", n)
		}
	})
}

func TestBrokenKeepsWhatWasGood(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fakeEngine, w *watcher, _ *Source) {
		f.start(replica(1))
		f.start(web(9, "other"))
		settle(time.Second)
		// Made anew with broken labels: the old rule, the new address.
		f.die(replica(1).id)
		f.start(replica(2, "edgerouter.auth", ""))
		settle(time.Second)
		w.want("p_s", "http://172.17.0.4:8080")
		w.problem("p_s", "edgerouter.auth: is missing")
		w.problem("p_s", "stays in service")
		w.want("other", "http://172.17.0.11:8080")
		f.start(replica(3, "traefik.port", "81", "traefik.frontend.rule", "Host:repaired.test"))
		settle(time.Second)
		w.want("p_s", "http://172.17.0.5:81")
		w.problem("p_s", "has labels that cannot be served")
		f.die(replica(2).id)
		settle(time.Second)
		w.want("p_s", "http://172.17.0.5:81")
		w.noProblems()
	})
}

func TestNewestDecides(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fakeEngine, w *watcher, _ *Source) {
		f.start(replica(1))
		next := replica(2, "traefik.frontend.rule", "Host:next.test")
		next.status = "Up 1 second (health: starting)"
		f.start(next)
		settle(time.Second)
		rule := func() string { return w.last.Apps[0].Frontends[0].Rule }
		if got := rule(); got != "Host(`s.test`)" {
			t.Errorf("the labels of a container that does not serve yet are used: %s", got)
		}
		f.event("container", "health_status: healthy", next.id)
		settle(time.Second)
		if got := rule(); got != "Host(`next.test`)" {
			t.Errorf("the newest container's labels are not used: %s", got)
		}
		w.problem("p_s", "other labels")
	})
}

func TestNetworkChanges(t *testing.T) {
	bubble(t, func(o *Options) { o.Network = "front" }, func(t *testing.T, f *fakeEngine, w *watcher, _ *Source) {
		c := web(1, "a")
		c.networks = map[string]string{"back": "10.1.0.2"}
		f.start(c)
		settle(time.Second)
		w.want("a")
		w.problem("a", "has no address on the network front, which --docker-network asks for, but is on back")
		f.set(func() { c.networks["front"] = "10.2.0.2" })
		f.event("network", "connect", "n1", "container", c.id, "name", "front")
		settle(time.Second)
		w.want("a", "http://10.2.0.2:8080")
		f.set(func() { delete(c.networks, "front") })
		f.event("network", "disconnect", "n1", "container", c.id, "name", "front")
		settle(time.Second)
		w.want("a", "none")
	})
}

func TestGatewayNetwork(t *testing.T) {
	bubble(t, func(o *Options) { o.Network = GatewayNetwork }, func(t *testing.T, f *fakeEngine, w *watcher, _ *Source) {
		c := web(1, "a")
		c.networks = map[string]string{"ov": "10.0.1.2"}
		f.set(func() {
			f.networks[GatewayNetwork] = map[string]any{"Containers": map[string]any{c.id: map[string]any{"IPv4Address": "172.19.0.9/16"}}}
		})
		f.start(c)
		settle(time.Second)
		w.want("a", "http://172.19.0.9:8080")
	})
}

func TestPortByInspecting(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fakeEngine, w *watcher, _ *Source) {
		c := web(1, "a")
		c.ports, c.mode, c.networks = nil, "host", map[string]string{"host": ""}
		c.exposed = []string{"9000/tcp", "53/udp"}
		f.start(c)
		settle(time.Second)
		w.want("a", "http://127.0.0.1:9000")
		if w.everProblem {
			t.Error("that the port is asked for was told as a problem")
		}
		if n := f.count("/containers/" + c.id + "/json"); n != 1 {
			t.Errorf("inspected %d times", n)
		}
		f.start(web(2, "b", "traefik.port", "81"))
		settle(time.Second)
		if n := f.count("/containers/" + web(2, "").id + "/json"); n != 0 {
			t.Error("inspected a container whose label says the port")
		}
	})
}

func TestSharedMiddleware(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fakeEngine, w *watcher, _ *Source) {
		f.start(web(1, "a", "traefik.frontend.rule", "", "traefik.http.routers.a.rule", "Host(`a.test`)", "traefik.http.routers.a.middlewares", "users@docker"))
		settle(time.Second)
		w.want("a")
		w.problem("a", "no label declares this middleware")
		f.start(web(2, "b", "traefik.frontend.rule", "", "traefik.http.middlewares.users.basicauth.users", "joe:{SHA}abc"))
		settle(time.Second)
		w.want("a", "http://172.17.0.3:8080")
		if m := w.last.Apps[0].Middlewares; len(m) != 1 || m[0].BasicAuth == nil {
			t.Errorf("middlewares: %+v", m)
		}
		f.start(web(3, "c", "traefik.frontend.rule", "", "traefik.http.middlewares.users.basicauth.users", "eve:{SHA}abc"))
		settle(time.Second)
		w.problem("a", "several containers declare this middleware")
		w.want("a", "http://172.17.0.3:8080") // as it was
		f.die(web(3, "").id)
		settle(time.Second)
		w.noProblems()
	})
}

// Several applications of one container know of each other, and which of them
// are broken.
func TestSiblings(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fakeEngine, w *watcher, s *Source) {
		f.start(web(1, "a", "traefik.frontend.rule", "", "traefik.one.frontend.rule", "Host:one.test", "traefik.two.frontend.rule", "Hst:two.test"))
		settle(time.Second)
		w.want("a-one", "http://172.17.0.3:8080")
		w.want("a-two")
		w.problem("a-two", `unknown matcher "Hst"`)
		one, two := s.Origins()["a-one"], s.Origins()["a-two"]
		if fmt.Sprint(one.Siblings) != "[{a-two false true}]" || fmt.Sprint(two.Siblings) != "[{a-one true false}]" {
			t.Errorf("siblings of one: %+v; of two: %+v", one.Siblings, two.Siblings)
		}
		if two.Name != "a" || len(two.Containers) != 1 || two.Containers[0].State != "has labels that cannot be served" {
			t.Errorf("origin of the broken one: %+v", two)
		}
		f.die(web(1, "").id)
		settle(time.Second)
		if o := s.Origins()["a-one"]; o.Containers == nil || len(o.Containers) != 0 || o.Siblings != nil {
			t.Errorf("origin of what is gone: %+v", o)
		}
	})
}
