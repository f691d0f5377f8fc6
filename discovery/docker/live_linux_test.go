package docker

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	containertypes "github.com/docker/docker/api/types/container"
	swarmtypes "github.com/docker/docker/api/types/swarm"

	"edgerouter/app"
)

func TestLiveContainers(t *testing.T) {
	l := newLive(t)
	w := l.watch(DefaultNetwork)
	name := l.id + "-plain"
	id := l.run(name, liveImage, DefaultNetwork, l.labels("plain"))
	t.Logf("in service %s after it was started", w.untilPeers(name, 1))
	if said, err := l.say(w.addrs(name)[0]); err != nil || said != id[:12] {
		t.Errorf("%s answers %q, %v, and is container %s", w.addrs(name)[0], said, err, id[:12])
	}
	ctx := context.Background()
	l.must(l.api.ContainerPause(ctx, id))
	w.until("the peer to be out while it is paused", func() bool { return fmt.Sprint(w.addrs(name)) == "[none]" })
	l.must(l.api.ContainerUnpause(ctx, id))
	w.until("the peer to be back", func() bool { a := w.addrs(name); return len(a) == 1 && a[0] != "none" })
	l.must(l.api.ContainerKill(ctx, id, "HUP"))
	// It does not handle HUP and dies of it.
	w.until("the application to be gone", func() bool { return w.addrs(name) == nil })
	l.must(l.api.ContainerStart(ctx, id, containertypes.StartOptions{}))
	w.untilPeers(name, 1)
	l.must(l.api.ContainerRename(ctx, id, name+"2"))
	w.until("the new name", func() bool { return w.addrs(name) == nil && len(w.addrs(name+"2")) == 1 })
	began := time.Now()
	l.must(l.api.ContainerStop(ctx, id, containertypes.StopOptions{}))
	w.until("the application to be gone", func() bool { return w.addrs(name+"2") == nil })
	t.Logf("gone %s after it was told to stop", time.Since(began))

	host := l.id + "-host"
	l.run(host, liveImage, "host", l.labels("host"))
	w.untilPeers(host, 1)
	if got := w.addrs(host)[0]; got != "http://127.0.0.1:8080" {
		t.Errorf("a container on the host's network has the address %s", got)
	}
}

func TestLiveCompose(t *testing.T) {
	l := newLive(t)
	network := l.network("bridge")
	w := l.watch(network)
	labels := l.labels("compose")
	labels[composeProject], labels[composeService] = l.id, "web"
	service := l.id + "_web"
	first := l.run(l.id+"-web-1", liveImage, network, labels)
	l.run(l.id+"-web-2", liveImage, network, labels)
	w.untilPeers(service, 2)
	// It takes its time to stop: a request is on its way.
	began := time.Now()
	go l.api.ContainerStop(context.Background(), first, containertypes.StopOptions{})
	w.untilPeers(service, 1)
	t.Logf("out of service %s after it was told to stop", time.Since(began))
	l.must(l.api.ContainerStart(context.Background(), l.waitStopped(first), containertypes.StartOptions{}))
	w.untilPeers(service, 2)
}

func TestLiveHealth(t *testing.T) {
	l := newLive(t)
	w := l.watch(DefaultNetwork)
	name := l.id + "-checked"
	l.run(name, checkedPeer, DefaultNetwork, l.labels("checked"))
	w.untilPeers(name, 1)
	addr := w.addrs(name)[0]
	turn := func() {
		resp, err := http.Get(addr + "/sick")
		l.must(err)
		resp.Body.Close()
	}
	turn()
	w.until("the sick peer to be out", func() bool { a := w.addrs(name); return len(a) == 1 && a[0] == "none" })
	turn()
	w.until("the peer to be back", func() bool { a := w.addrs(name); return len(a) == 1 && a[0] == addr })
}

func TestLiveSwarm(t *testing.T) {
	l := newLive(t)
	ctx := context.Background()
	l.swarm()
	network := l.network("overlay")
	w := l.watch(network)
	replicas := uint64(3)
	spec := swarmtypes.ServiceSpec{
		Annotations: swarmtypes.Annotations{Name: l.id + "-web", Labels: map[string]string{
			"traefik.enable": "true", "edgerouter.auth": "public", "traefik.http.routers.web.rule": "Host(`swarm.test`)",
		}},
		TaskTemplate: swarmtypes.TaskSpec{
			ContainerSpec: &swarmtypes.ContainerSpec{Image: liveImage},
			Networks:      []swarmtypes.NetworkAttachmentConfig{{Target: network}},
		},
		Mode: swarmtypes.ServiceMode{Replicated: &swarmtypes.ReplicatedService{Replicas: &replicas}},
		UpdateConfig: &swarmtypes.UpdateConfig{
			Parallelism: 1, Order: swarmtypes.UpdateOrderStartFirst, Monitor: 100 * time.Millisecond,
		},
	}
	made, err := l.api.ServiceCreate(ctx, spec, swarmtypes.ServiceCreateOptions{})
	l.must(err)
	t.Cleanup(func() {
		l.api.ServiceRemove(ctx, made.ID)
		l.noTasks(made.ID)
	})
	name := spec.Name
	t.Logf("three replicas in service after %s", w.untilPeers(name, 3))
	before := w.addrs(name)

	// From the host the tasks are reached over docker_gwbridge.
	gateway := l.watch(GatewayNetwork)
	gateway.untilPeers(name, 3)
	for _, addr := range gateway.addrs(name) {
		if said, err := l.say(addr); err != nil || len(said) != 12 || slices.Contains(before, addr) {
			t.Errorf("%s on docker_gwbridge: %q, %v", addr, said, err)
		}
	}

	// A rolling update: at no time are there fewer than three.
	least := 3
	current, _, err := l.api.ServiceInspectWithRaw(ctx, made.ID, swarmtypes.ServiceInspectOptions{})
	l.must(err)
	spec.TaskTemplate.ForceUpdate++
	_, err = l.api.ServiceUpdate(ctx, made.ID, current.Version, spec, swarmtypes.ServiceUpdateOptions{})
	l.must(err)
	w.until("three other replicas", func() bool {
		now := w.addrs(name)
		least = min(least, len(now))
		return len(now) == 3 && !slices.ContainsFunc(now, func(a string) bool { return slices.Contains(before, a) })
	})
	if least < 3 {
		t.Errorf("during the update there were only %d peers", least)
	}

	replicas = 1
	current, _, err = l.api.ServiceInspectWithRaw(ctx, made.ID, swarmtypes.ServiceInspectOptions{})
	l.must(err)
	spec.TaskTemplate.ForceUpdate = current.Spec.TaskTemplate.ForceUpdate
	_, err = l.api.ServiceUpdate(ctx, made.ID, current.Version, spec, swarmtypes.ServiceUpdateOptions{})
	l.must(err)
	t.Logf("scaled down after %s", w.untilPeers(name, 1))
	l.must(l.api.ServiceRemove(ctx, made.ID))
	w.until("the application to be gone", func() bool { return w.addrs(name) == nil })
}

// Events of a real engine, from before it is asked to do something until what
// follows from it is emitted.
func TestLiveLatency(t *testing.T) {
	l := newLive(t)
	w := l.watch(DefaultNetwork)
	ctx := context.Background()
	var names, ids []string
	for n := range 10 {
		names = append(names, fmt.Sprintf("%s-lat%d", l.id, n))
		ids = append(ids, l.run(names[n], liveImage, DefaultNetwork, l.labels(names[n])))
		w.untilPeers(names[n], 1)
	}
	paused := func(name string) bool { a := w.addrs(name); return len(a) == 1 && a[0] == "none" }
	var took []time.Duration
	for round := range 10 {
		for n, id := range ids {
			began := time.Now()
			if round%2 == 0 {
				l.must(l.api.ContainerPause(ctx, id))
				w.until("it is out", func() bool { return paused(names[n]) })
			} else {
				l.must(l.api.ContainerUnpause(ctx, id))
				w.until("it is back", func() bool { return !paused(names[n]) })
			}
			took = append(took, time.Since(began))
		}
	}
	slices.Sort(took)
	t.Logf("of 100 events: median %s, p99 %s, longest %s", took[50], took[98], took[99])
	if took[98] > 500*time.Millisecond {
		t.Errorf("p99 is %s, want at most 500 ms", took[98])
	}
}

// The only network of a container, and one that it is not on.
func TestLiveNetworks(t *testing.T) {
	l := newLive(t)
	network := l.network("bridge")
	auto, other := l.watch(AutoNetwork), l.watch("another")
	name := l.id + "-net"
	l.run(name, liveImage, network, l.labels("net"))
	auto.untilPeers(name, 1)
	if said, err := l.say(auto.addrs(name)[0]); err != nil {
		t.Errorf("%q, %v", said, err)
	}
	other.until("an address that is missing", func() bool {
		other.mu.Lock()
		defer other.mu.Unlock()
		return slices.ContainsFunc(other.last.Problems, func(p app.Problem) bool {
			return p.App == name && strings.Contains(p.Error(), "but is on "+network)
		})
	})
	other.mu.Lock()
	defer other.mu.Unlock()
	if slices.ContainsFunc(other.last.Apps, func(a app.Application) bool { return a.ID == name }) {
		t.Error("a container that is not on the asked network has an address")
	}
}
