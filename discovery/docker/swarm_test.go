package docker

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// fakeService is a service that wants to be served, and its tasks.
func fakeService(name string, replicas int, labels map[string]string) any {
	if labels == nil {
		labels = map[string]string{"edgerouter.auth": "public", "traefik.http.routers.r.rule": "Host(`" + name + ".test`)", "traefik.http.services.s.loadbalancer.server.port": "8080"}
	}
	return map[string]any{"ID": "id-" + name, "Spec": map[string]any{
		"Name": name, "Labels": labels, "Mode": map[string]any{"Replicated": map[string]any{"Replicas": replicas}},
	}}
}

func fakeTask(service string, n int, state, container string) any {
	return map[string]any{
		"ID": fmt.Sprintf("task%d", n), "ServiceID": "id-" + service, "NodeID": "here", "Slot": n, "DesiredState": "running",
		"Status": map[string]any{"State": state, "ContainerStatus": map[string]any{"ContainerID": container}},
		"NetworksAttachments": []any{
			map[string]any{"Network": map[string]any{"Spec": map[string]any{"Name": "ingress", "Ingress": true}}, "Addresses": []string{"10.0.0.9/24"}},
			map[string]any{"Network": map[string]any{"Spec": map[string]any{"Name": "ov"}}, "Addresses": []string{fmt.Sprintf("10.0.1.%d/24", n)}},
		},
	}
}

func inSwarm(t *testing.T, run func(t *testing.T, f *fakeEngine, w *watcher)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.noManager = ""
		f.nodes = []any{map[string]any{"ID": "here", "Status": map[string]any{"State": "ready", "Addr": "192.168.0.1"}}}
		f.services = []any{fakeService("web", 2, nil)}
		f.tasks = []any{fakeTask("web", 1, "running", "c1"), fakeTask("web", 2, "running", "c2")}
		w, _, stop := f.inBubble(func(o *Options) { o.Network = "ov" })
		defer stop()
		settle(time.Second)
		run(t, f, w)
	})
}

func TestSwarm(t *testing.T) {
	inSwarm(t, func(t *testing.T, f *fakeEngine, w *watcher) {
		one, two := "http://10.0.1.1:8080", "http://10.0.1.2:8080"
		w.want("web", one, two)

		// Of a task's container that dies the engine tells before the manager.
		taskLabels := []string{swarmTask, "task1", swarmServiceID, "id-web", swarmService, "web"}
		f.event("container", "die", "c1", taskLabels...)
		settle(leaveGap)
		w.want("web", two)
		f.set(func() {
			f.tasks = []any{fakeTask("web", 2, "running", "c2"), fakeTask("web", 3, "starting", "c3")}
		})
		settle(3 * time.Second)
		w.want("web", two)
		f.set(func() {
			f.tasks = []any{fakeTask("web", 2, "running", "c2"), fakeTask("web", 3, "running", "c3")}
		})
		settle(2 * time.Second) // it converges
		w.want("web", two, "http://10.0.1.3:8080")
		w.noProblems()

		// The container of a task on this node that is about to stop.
		c := web(2, "web.2.x", "traefik.frontend.rule", "", "edgerouter.auth", "", swarmServiceID, "id-web", swarmService, "web", swarmTask, "task2")
		c.id = "c2"
		f.start(c)
		settle(time.Second)
		f.event("container", "kill", "c2", "signal", "15")
		settle(leaveGap)
		w.want("web", "http://10.0.1.3:8080")
	})
}

func TestSwarmAsksSeldom(t *testing.T) {
	inSwarm(t, func(t *testing.T, f *fakeEngine, w *watcher) {
		settle(time.Minute)
		before, emits := f.count("/tasks"), w.emitted()
		services := f.count("/services")
		settle(10 * time.Minute)
		if n := f.count("/tasks") - before; n < 39 || n > 41 {
			t.Errorf("listed tasks %d times in 10 quiet minutes, want every 15 s", n)
		}
		if f.count("/services") != services || w.emitted() != emits {
			t.Error("services were listed, or something was emitted, without any event")
		}
		before = f.count("/tasks")
		f.set(func() { f.services = []any{fakeService("web", 5, nil)} })
		f.event("service", "update", "id-web")
		settle(leaveGap)
		if f.count("/tasks") != before+1 {
			t.Error("tasks were not listed at once after an event of a service")
		}
		before = f.count("/tasks")
		settle(time.Minute)
		if n := f.count("/tasks") - before; n < 29 || n > 35 {
			t.Errorf("listed tasks %d times in a minute of converging, want every 2 s", n)
		}
		settle(10 * time.Minute)
		before = f.count("/tasks")
		settle(time.Minute)
		if n := f.count("/tasks") - before; n > 5 {
			t.Errorf("a service that never converges is asked for %d times in a minute", n)
		}
	})
}

func TestSwarmServiceComesAndGoes(t *testing.T) {
	inSwarm(t, func(t *testing.T, f *fakeEngine, w *watcher) {
		f.set(func() {
			f.services = append(f.services, fakeService("api", 1, nil))
			f.tasks = append(f.tasks, fakeTask("api", 7, "running", "c7"))
		})
		f.event("service", "create", "id-api")
		settle(leaveGap)
		w.want("api", "http://10.0.1.7:8080")

		// Scaled to nothing it is still there, and answers 503.
		f.set(func() { f.services[1] = fakeService("api", 0, nil); f.tasks = f.tasks[:2] })
		f.event("service", "update", "id-api")
		settle(time.Hour)
		w.want("api", "none")
		w.problem("api", "nothing runs that could be given requests")

		// Labels that do not want it any more take it out at once.
		f.set(func() { f.services[1] = fakeService("api", 0, map[string]string{"traefik.enable": "false"}) })
		f.event("service", "update", "id-api")
		settle(leaveGap)
		w.want("api")
		f.set(func() { f.services = f.services[:1] })
		f.event("service", "remove", "id-api")
		settle(time.Minute)
		w.want("api")
		w.want("web", "http://10.0.1.1:8080", "http://10.0.1.2:8080")
	})
}

func TestNodeGoesDown(t *testing.T) {
	inSwarm(t, func(t *testing.T, f *fakeEngine, w *watcher) {
		f.set(func() { f.nodes = []any{map[string]any{"ID": "here", "Status": map[string]any{"State": "down"}}} })
		f.event("node", "update", "here")
		settle(leaveGap)
		w.want("web", "none")
		f.set(func() { f.nodes = []any{map[string]any{"ID": "here", "Status": map[string]any{"State": "ready"}}} })
		f.event("node", "update", "here")
		settle(leaveGap)
		w.want("web", "http://10.0.1.1:8080", "http://10.0.1.2:8080")
	})
}

func TestManagerWithoutLeader(t *testing.T) {
	inSwarm(t, func(t *testing.T, f *fakeEngine, w *watcher) {
		f.set(func() { f.refuse["/tasks"] = 503; f.refuse["/services"] = 500 })
		settle(time.Minute)
		w.want("web", "http://10.0.1.1:8080", "http://10.0.1.2:8080")
		if w.failures() == 0 || w.failures() > 2 {
			t.Errorf("told %d times: %v", w.failures(), w.errs)
		}
		// Containers are followed all the same.
		c := web(1, "a")
		c.networks = map[string]string{"ov": "10.0.1.77"}
		f.start(c)
		settle(3 * time.Second)
		f.set(func() { clear(f.refuse) })
		settle(5 * time.Second)
		w.want("a", "http://10.0.1.77:8080")
	})
}

func TestLeavesSwarm(t *testing.T) {
	inSwarm(t, func(t *testing.T, f *fakeEngine, w *watcher) {
		f.set(func() {
			f.noManager = "This node is not a swarm manager. Use \"docker swarm init\""
			f.refuse["/tasks"] = 0
		})
		f.event("node", "remove", "here")
		settle(DefaultLinger + 20*time.Second)
		w.want("web")
		before := f.everything
		settle(time.Hour)
		if f.everything != before || w.failures() > 0 {
			t.Errorf("asked %d times in an hour, errors %v", f.everything-before, w.errs)
		}
		// And becomes a manager again.
		f.set(func() { f.noManager = "" })
		f.event("node", "update", "here")
		settle(time.Second)
		w.want("web", "http://10.0.1.1:8080", "http://10.0.1.2:8080")
	})
}

func TestWorkerServesItsTasks(t *testing.T) {
	bubble(t, func(o *Options) { o.Network = "ov" }, func(t *testing.T, f *fakeEngine, w *watcher, _ *Source) {
		for n := 1; n <= 2; n++ {
			c := web(n, fmt.Sprintf("web.%d.x", n), "traefik.frontend.rule", "Host:w.test", swarmService, "web", swarmServiceID, "id-web", swarmTask, "t")
			c.networks = map[string]string{"ov": fmt.Sprintf("10.0.1.%d", n)}
			f.start(c)
		}
		settle(time.Second)
		w.want("web", "http://10.0.1.1:8080", "http://10.0.1.2:8080")
	})
}

// Where there is no manager nobody says when a task is forgotten, so nothing is
// kept of those that died.
func TestWorkerKeepsNothingOfDeadTasks(t *testing.T) {
	now := time.Now()
	s := newState()
	dies := func() {
		s.apply(event{kind: "container", action: "die", id: "c", attributes: map[string]string{swarmTask: "t"}}, now)
	}
	dies()
	if len(s.dead) != 1 {
		t.Error("a task that died is forgotten before its manager was asked")
	}
	s.leaveSwarm()
	dies()
	if len(s.dead) != 0 {
		t.Error("something is kept of a dead task of another's Swarm")
	}
}
