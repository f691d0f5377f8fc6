package engine

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	containertypes "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	swarmtypes "github.com/docker/docker/api/types/swarm"
)

// swarm makes the engine a manager of a Swarm of its own for the time of the
// test, unless it is one. Tests of several packages may want that of one engine:
// one at a time.
func (e *engine) swarm() {
	e.t.Helper()
	lock, err := os.OpenFile(filepath.Join(os.TempDir(), "edgerouter-test-swarm.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	e.must(err)
	e.must(syscall.Flock(int(lock.Fd()), syscall.LOCK_EX))
	e.t.Cleanup(func() { lock.Close() })
	ctx := context.Background()
	info, err := e.api.Info(ctx)
	e.must(err)
	if info.Swarm.LocalNodeState == swarmtypes.LocalNodeStateActive {
		return
	}
	_, err = e.api.SwarmInit(ctx, swarmtypes.InitRequest{ListenAddr: "127.0.0.1:2377", AdvertiseAddr: "127.0.0.1"})
	e.must(err)
	e.t.Cleanup(func() { e.must(e.api.SwarmLeave(ctx, true)) })
}

// service is a Swarm service under test.
type service struct {
	e       *engine
	id      string
	network string
	spec    swarmtypes.ServiceSpec
}

// service makes a service of three replicas with a health check and waits for nothing.
func (e *engine) service(image, network, host string) *service {
	e.t.Helper()
	ctx := context.Background()
	three := uint64(3)
	grace := 10 * time.Second
	s := &service{e: e, network: network, spec: swarmtypes.ServiceSpec{
		Annotations: swarmtypes.Annotations{Name: e.id + "-web", Labels: served(host)},
		TaskTemplate: swarmtypes.TaskSpec{
			ContainerSpec: &swarmtypes.ContainerSpec{Image: image, StopGracePeriod: &grace},
			Networks:      []swarmtypes.NetworkAttachmentConfig{{Target: network}},
		},
		Mode: swarmtypes.ServiceMode{Replicated: &swarmtypes.ReplicatedService{Replicas: &three}},
	}}
	made, err := e.api.ServiceCreate(ctx, s.spec, swarmtypes.ServiceCreateOptions{})
	e.must(err)
	s.id = made.ID
	e.t.Cleanup(func() {
		_ = e.api.ServiceRemove(ctx, s.id)
		// The network cannot be removed while there are containers on it.
		eventually(e.t, func() string { return "the tasks of " + s.spec.Name + " to be gone" }, func() bool {
			found, err := e.api.ContainerList(ctx, containertypes.ListOptions{
				All: true, Filters: filters.NewArgs(filters.Arg("label", "com.docker.swarm.service.id="+s.id)),
			})
			return err == nil && len(found) == 0
		})
	})
	return s
}

// update replaces all tasks, one by one, in this order.
func (s *service) update(order string) {
	s.e.t.Helper()
	ctx := context.Background()
	current, _, err := s.e.api.ServiceInspectWithRaw(ctx, s.id, swarmtypes.ServiceInspectOptions{})
	s.e.must(err)
	s.spec.TaskTemplate.ForceUpdate = current.Spec.TaskTemplate.ForceUpdate + 1
	s.spec.UpdateConfig = &swarmtypes.UpdateConfig{
		Parallelism: 1, Order: order, Monitor: 100 * time.Millisecond, FailureAction: swarmtypes.UpdateFailureActionPause,
	}
	_, err = s.e.api.ServiceUpdate(ctx, s.id, current.Version, s.spec, swarmtypes.ServiceUpdateOptions{})
	s.e.must(err)
}

// updated tells whether the last update is over.
func (s *service) updated() bool {
	current, _, err := s.e.api.ServiceInspectWithRaw(context.Background(), s.id, swarmtypes.ServiceInspectOptions{})
	s.e.must(err)
	u := current.UpdateStatus
	if u != nil && u.State == swarmtypes.UpdateStatePaused {
		s.e.t.Fatalf("the update of %s failed: %s", s.spec.Name, u.Message)
	}
	return u != nil && u.State == swarmtypes.UpdateStateCompleted
}

// running are the addresses of the tasks that run and are to run.
func (s *service) running() (addrs []string) {
	s.e.t.Helper()
	tasks, err := s.e.api.TaskList(context.Background(), swarmtypes.TaskListOptions{Filters: filters.NewArgs(filters.Arg("service", s.id))})
	s.e.must(err)
	for _, task := range tasks {
		if task.Status.State != swarmtypes.TaskStateRunning || task.DesiredState != swarmtypes.TaskStateRunning {
			continue
		}
		for _, at := range task.NetworksAttachments {
			if at.Network.Spec.Name == s.network && len(at.Addresses) > 0 {
				ip, _, err := net.ParseCIDR(at.Addresses[0])
				s.e.must(err)
				addrs = append(addrs, "http://"+ip.String()+":8080")
			}
		}
	}
	slices.Sort(addrs)
	return addrs
}

// containers are those of the service that run.
func (s *service) containers() (ids []string) {
	s.e.t.Helper()
	found, err := s.e.api.ContainerList(context.Background(), containertypes.ListOptions{
		Filters: filters.NewArgs(filters.Arg("label", "com.docker.swarm.service.id="+s.id)),
	})
	s.e.must(err)
	for _, c := range found {
		ids = append(ids, c.ID)
	}
	return ids
}

// settled waits until the three tasks that run are the application's peers.
func (s *service) settled(ed *edge) time.Duration {
	s.e.t.Helper()
	return eventually(s.e.t, func() string {
		return fmt.Sprintf("%s has the peers %v, and the tasks %v run", s.spec.Name, ed.peers(s.spec.Name), s.running())
	}, func() bool {
		want := s.running()
		return len(want) == 3 && slices.Equal(ed.peers(s.spec.Name), want)
	})
}

// TestSwarm: a service with three replicas on an attachable overlay network,
// edgerouter in a container on it. Rolling updates in both orders and the stop
// of a task's container lose no request.
func TestSwarm(t *testing.T) {
	e := newEngine(t)
	e.swarm()
	network := e.network("overlay")
	edge := e.newEdge(edgeOptions{network: network})
	for _, image := range []string{checkedImage, peerImage} {
		t.Run(strings.TrimPrefix(image, "edgerouter-test-"), func(t *testing.T) {
			e := e.in(t)
			host := e.id + ".swarm.test"
			s := e.service(image, network, host)
			t.Logf("three replicas in service after %s", s.settled(edge))
			edge.answered(host, 3)
			for _, order := range []string{swarmtypes.UpdateOrderStartFirst, swarmtypes.UpdateOrderStopFirst} {
				before := s.running()
				load := startLoad(t, edge.http, host)
				s.update(order)
				took := eventually(t, func() string { return "the update to be completed" }, s.updated)
				t.Logf("%s: the update took %s, the set was right %s later", order, took, s.settled(edge))
				load.lossless("rolling update, " + order)
				for _, addr := range s.running() {
					if slices.Contains(before, addr) {
						t.Errorf("%s: %s is still there", order, addr)
					}
				}
			}
			load := startLoad(t, edge.http, host)
			first := s.containers()[0]
			e.stop(first)
			eventually(t, func() string { return "another container in its place" }, func() bool {
				now := s.containers()
				return len(now) == 3 && !slices.Contains(now, first)
			})
			s.settled(edge)
			load.lossless("docker stop of one of three tasks")
		})
	}
}
