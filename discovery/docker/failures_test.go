package docker

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestBurst(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fakeEngine, w *watcher, _ *Source) {
		f.start(web(1, "flaps"))
		settle(time.Minute)
		emits, lists := w.emitted(), f.count("/containers/json")
		for range 100 { // ten times a second
			f.die(web(1, "").id)
			settle(50 * time.Millisecond)
			f.start(web(1, "flaps"))
			settle(50 * time.Millisecond)
		}
		emits, lists = w.emitted()-emits, f.count("/containers/json")-lists
		if emits > emitBurst+emitsPerSecond*10+leaveBurst+leavesPerSecond*10+2 || lists > askBurst+asksPerSecond*10+2 {
			t.Errorf("200 changes in 10 s were emitted %d times, the engine was asked %d times", emits, lists)
		}
		// Another container is not held up by that one.
		f.start(web(2, "quiet"))
		settle(450 * time.Millisecond)
		w.want("quiet", "http://172.17.0.4:8080")
		settle(time.Second)
		w.want("flaps", "http://172.17.0.3:8080")
	})
}

func TestLostStream(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fakeEngine, w *watcher, s *Source) {
		f.start(web(1, "a"))
		settle(time.Second)
		for _, c := range []struct {
			name string
			lose func()
			says string
		}{
			{"an end", f.cut, "ended its stream of events"},
			{"half an event", func() { f.raw(`{"Type":"container","Action":"sta`); f.cut() }, "stream of events broke off"},
			{"nonsense", func() { f.raw("<html>") }, "following its events"},
		} {
			n := w.failures()
			f.set(func() { f.running = append(f.running, web(n+2, fmt.Sprintf("new%d", n))) })
			c.lose()
			settle(5 * time.Second)
			if w.failures() != n+1 || !strings.Contains(w.errs[n].Error(), c.says) {
				t.Errorf("%s: errors %v", c.name, w.errs[n:])
			}
			w.want("a", "http://172.17.0.3:8080")
			w.want(fmt.Sprintf("new%d", n), fmt.Sprintf("http://172.17.0.%d:8080", n+4))
		}
	})
}

func TestEngineAway(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fakeEngine, w *watcher, _ *Source) {
		f.start(web(1, "a"))
		settle(time.Second)
		f.set(func() { f.refuse["*"] = 500 })
		f.cut()
		settle(20 * time.Second)
		w.want("a", "http://172.17.0.3:8080")
		if n := w.failures(); n != 2 { // the stream, and that it is not to be had again
			t.Errorf("told %d times: %v", n, w.errs)
		}
		f.set(func() { delete(f.refuse, "*"); f.running = []*fakeContainer{web(2, "b")} })
		settle(3 * time.Second)
		w.want("b", "http://172.17.0.4:8080")
		settle(DefaultLinger)
		w.want("a")
	})
}

func TestEngineHangs(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fakeEngine, w *watcher, _ *Source) {
		f.start(replica(1))
		f.start(replica(2))
		settle(time.Second)
		release := make(chan struct{})
		f.set(func() { f.hang["/containers/json"] = release })
		f.start(web(3, "late"))
		settle(time.Second)
		// What the events say counts although the engine does not answer.
		f.event("container", "kill", replica(1).id, "signal", "15")
		settle(leaveGap)
		w.want("p_s", "http://172.17.0.4:8080")
		settle(20 * time.Second)
		if w.failures() != 1 || !strings.Contains(w.errs[0].Error(), "no answer within 15s") {
			t.Errorf("errors: %v", w.errs)
		}
		f.set(func() { delete(f.hang, "/containers/json") })
		close(release)
		settle(20 * time.Second)
		w.want("late", "http://172.17.0.5:8080")
		w.want("p_s", "http://172.17.0.4:8080")
	})
}

func TestReadOnlyProxy(t *testing.T) {
	for _, path := range []string{"/version", "/info", "/services", "/nodes", "/networks/docker_gwbridge"} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t)
			f.noManager = ""
			f.refuse[path] = 403
			f.running = []*fakeContainer{web(1, "a")}
			w, _, stop := f.inBubble(nil)
			defer stop()
			settle(time.Minute)
			w.want("a", "http://172.17.0.3:8080")
			if w.failures() > 0 {
				t.Errorf("%s refused: %v", path, w.errs)
			}
		})
	}
}
