package docker

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	containertypes "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	networktypes "github.com/docker/docker/api/types/network"
	swarmtypes "github.com/docker/docker/api/types/swarm"
)

// callTimeout bounds one answer of the engine, but for the stream of events. An
// engine with a thousand containers takes a second or so.
const callTimeout = 15 * time.Second

// container is a running container as the engine lists it; immutable.
type container struct {
	id       string
	name     string // without the slash
	labels   map[string]string
	created  int64 // unix seconds
	paused   bool
	health   string // "", starting, healthy, unhealthy
	exposed  []int  // TCP ports, ascending
	mode     string // network mode: default, host, container:ID, a network's name
	networks map[string]addresses
}

// addresses are those of a container on one network.
type addresses struct{ v4, v6 netip.Addr }

// best is the IPv4 address, or the IPv6 one when there is none.
func (a addresses) best() netip.Addr {
	if a.v4.IsValid() {
		return a.v4
	}
	return a.v6
}

func (c *container) equal(o *container) bool {
	return c.id == o.id && c.name == o.name && c.created == o.created && c.paused == o.paused && c.health == o.health &&
		c.mode == o.mode && slices.Equal(c.exposed, o.exposed) && maps.Equal(c.networks, o.networks) && maps.Equal(c.labels, o.labels)
}

// details are what only inspecting a container tells. They do not change.
type details struct {
	stopSignal string
	exposed    []int
}

// service is a Swarm service; immutable.
type service struct {
	id       string
	name     string
	labels   map[string]string
	exposed  []int // target ports of what it publishes
	replicas int   // how many tasks should run; -1: one on each node, or a job
	updating bool
}

// task is a task of a Swarm service that should run; immutable.
type task struct {
	id, service, node, container string
	slot                         int
	state                        string
	networks                     []attachment
}

type attachment struct {
	network string
	ingress bool
	addresses
}

// node is a node of a Swarm.
type node struct {
	down bool
	addr netip.Addr
}

// event is what the engine says has happened.
type event struct {
	kind, action string
	id           string
	attributes   map[string]string
	at           int64
}

// ask bounds a call.
func ask[T any](ctx context.Context, call func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	v, err := call(ctx)
	if err != nil && ctx.Err() == context.DeadlineExceeded {
		err = fmt.Errorf("no answer within %s", callTimeout)
	}
	return v, err
}

// describe asks the engine for its name and its place in a Swarm. A proxy that
// refuses that is not an error.
func (e *engine) describe(ctx context.Context) {
	info, err := ask(ctx, e.api.Info)
	if err != nil {
		return
	}
	e.info.name, e.info.node = info.Name, info.Swarm.NodeID
	if at, err := time.Parse(time.RFC3339Nano, info.SystemTime); err == nil {
		e.info.now = at
	}
}

// containers lists those that run: all, or those of ids.
func (e *engine) containers(ctx context.Context, ids []string) ([]*container, error) {
	opts := containertypes.ListOptions{}
	if ids != nil {
		opts.Filters = filters.NewArgs()
		for _, id := range ids {
			opts.Filters.Add("id", id)
		}
	}
	found, err := ask(ctx, func(ctx context.Context) ([]containertypes.Summary, error) { return e.api.ContainerList(ctx, opts) })
	if err != nil {
		return nil, fmt.Errorf("listing containers: %w", err)
	}
	out := make([]*container, 0, len(found))
	for i := range found {
		if found[i].ID == "" || found[i].State == containertypes.StateRestarting {
			continue
		}
		out = append(out, readContainer(&found[i]))
	}
	return out, nil
}

func readContainer(s *containertypes.Summary) *container {
	c := &container{
		id: s.ID, labels: s.Labels, created: s.Created, mode: s.HostConfig.NetworkMode,
		paused: s.State == containertypes.StatePaused, health: healthOf(s.Status),
	}
	for _, name := range s.Names {
		// Links of other containers show as names with two slashes.
		if name = strings.TrimPrefix(name, "/"); c.name == "" || !strings.Contains(name, "/") && strings.Contains(c.name, "/") {
			c.name = name
		}
	}
	for _, p := range s.Ports {
		if p.Type == "tcp" {
			c.exposed = append(c.exposed, int(p.PrivatePort))
		}
	}
	slices.Sort(c.exposed)
	c.exposed = slices.Compact(c.exposed)
	if s.NetworkSettings != nil {
		c.networks = make(map[string]addresses, len(s.NetworkSettings.Networks))
		for name, n := range s.NetworkSettings.Networks {
			if n != nil {
				c.networks[name] = addresses{parseAddr(n.IPAddress), parseAddr(n.GlobalIPv6Address)}
			}
		}
	}
	return c
}

// healthOf finds the health in a status such as "Up 3 minutes (unhealthy)".
// Only inspecting tells it otherwise.
func healthOf(status string) string {
	switch {
	case strings.Contains(status, "(healthy)"):
		return healthy
	case strings.Contains(status, "(unhealthy)"):
		return unhealthy
	case strings.Contains(status, "(health: starting)"):
		return starting
	}
	return ""
}

const (
	healthy   = "healthy"
	unhealthy = "unhealthy"
	starting  = "starting"
)

// parseAddr reads an address, also with a mask behind it; the zero Addr for
// anything else.
func parseAddr(s string) netip.Addr {
	s, _, _ = strings.Cut(s, "/")
	ip, err := netip.ParseAddr(s)
	if err != nil || ip.IsUnspecified() {
		return netip.Addr{}
	}
	return ip.Unmap()
}

// inspect asks for what the list does not tell.
func (e *engine) inspect(ctx context.Context, id string) (*details, error) {
	found, err := ask(ctx, func(ctx context.Context) (containertypes.InspectResponse, error) {
		return e.api.ContainerInspect(ctx, id)
	})
	if err != nil {
		return nil, fmt.Errorf("inspecting container %s: %w", id, err)
	}
	d := &details{}
	if found.Config != nil {
		d.stopSignal = found.Config.StopSignal
		for port := range found.Config.ExposedPorts {
			number, proto, _ := strings.Cut(string(port), "/")
			if n, err := strconv.Atoi(number); err == nil && (proto == "tcp" || proto == "") {
				d.exposed = append(d.exposed, n)
			}
		}
		slices.Sort(d.exposed)
	}
	return d, nil
}

// endpoints are the addresses of the containers on a network, by container.
func (e *engine) endpoints(ctx context.Context, network string) (map[string]addresses, error) {
	found, err := ask(ctx, func(ctx context.Context) (networktypes.Inspect, error) {
		return e.api.NetworkInspect(ctx, network, networktypes.InspectOptions{})
	})
	if cerrdefs.IsNotFound(err) {
		return map[string]addresses{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("inspecting the network %s: %w", network, err)
	}
	out := make(map[string]addresses, len(found.Containers))
	for id, c := range found.Containers {
		out[id] = addresses{parseAddr(c.IPv4Address), parseAddr(c.IPv6Address)}
	}
	return out, nil
}

// services lists the services of the Swarm. The engine refuses that with 503
// when it is no manager.
func (e *engine) services(ctx context.Context) ([]*service, error) {
	found, err := ask(ctx, func(ctx context.Context) ([]swarmtypes.Service, error) {
		return e.api.ServiceList(ctx, swarmtypes.ServiceListOptions{})
	})
	if err != nil {
		return nil, fmt.Errorf("listing services: %w", err)
	}
	out := make([]*service, 0, len(found))
	for i := range found {
		out = append(out, readService(&found[i]))
	}
	slices.SortFunc(out, func(a, b *service) int { return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.id, b.id)) })
	return out, nil
}

func readService(f *swarmtypes.Service) *service {
	s := &service{id: f.ID, name: f.Spec.Name, labels: f.Spec.Labels, replicas: -1}
	if r := f.Spec.Mode.Replicated; r != nil && r.Replicas != nil {
		s.replicas = int(*r.Replicas)
	}
	if f.UpdateStatus != nil {
		switch f.UpdateStatus.State {
		case swarmtypes.UpdateStateUpdating, swarmtypes.UpdateStateRollbackStarted:
			s.updating = true
		}
	}
	if f.Spec.EndpointSpec != nil {
		for _, p := range f.Spec.EndpointSpec.Ports {
			if p.Protocol == swarmtypes.PortConfigProtocolTCP || p.Protocol == "" {
				s.exposed = append(s.exposed, int(p.TargetPort))
			}
		}
		slices.Sort(s.exposed)
		s.exposed = slices.Compact(s.exposed)
	}
	return s
}

// tasks lists the tasks that should run.
func (e *engine) tasks(ctx context.Context) ([]*task, error) {
	found, err := ask(ctx, func(ctx context.Context) ([]swarmtypes.Task, error) {
		return e.api.TaskList(ctx, swarmtypes.TaskListOptions{Filters: filters.NewArgs(filters.Arg("desired-state", "running"))})
	})
	if err != nil {
		return nil, fmt.Errorf("listing tasks: %w", err)
	}
	out := make([]*task, 0, len(found))
	for i := range found {
		f := &found[i]
		if f.DesiredState != "" && f.DesiredState != swarmtypes.TaskStateRunning {
			continue
		}
		out = append(out, readTask(f))
	}
	slices.SortFunc(out, func(a, b *task) int { return cmp.Or(cmp.Compare(a.slot, b.slot), strings.Compare(a.id, b.id)) })
	return out, nil
}

func readTask(f *swarmtypes.Task) *task {
	t := &task{id: f.ID, service: f.ServiceID, node: f.NodeID, slot: f.Slot, state: string(f.Status.State)}
	if f.Status.ContainerStatus != nil {
		t.container = f.Status.ContainerStatus.ContainerID
	}
	for _, a := range f.NetworksAttachments {
		n := attachment{network: a.Network.Spec.Name, ingress: a.Network.Spec.Ingress}
		for _, s := range a.Addresses {
			switch ip := parseAddr(s); {
			case ip.Is4() && !n.v4.IsValid():
				n.v4 = ip
			case ip.Is6() && !n.v6.IsValid():
				n.v6 = ip
			}
		}
		t.networks = append(t.networks, n)
	}
	return t
}

// nodes lists the nodes of the Swarm.
func (e *engine) nodes(ctx context.Context) (map[string]node, error) {
	found, err := ask(ctx, func(ctx context.Context) ([]swarmtypes.Node, error) {
		return e.api.NodeList(ctx, swarmtypes.NodeListOptions{})
	})
	if err != nil {
		return nil, fmt.Errorf("listing nodes: %w", err)
	}
	out := make(map[string]node, len(found))
	for i := range found {
		out[found[i].ID] = node{down: found[i].Status.State == swarmtypes.NodeStateDown, addr: parseAddr(found[i].Status.Addr)}
	}
	return out, nil
}

// watched are the events that mean something here. The filter is the engine's
// work: without it each health check would make three events.
var (
	watchedTypes   = []string{"container", "network", "service", "node"}
	watchedActions = []string{
		"start", "die", "kill", "stop", "pause", "unpause", "health_status", "rename",
		"connect", "disconnect", "create", "update", "remove",
	}
)

// follow opens the stream of events. What happened since then and until it was
// open is in it as well.
func (e *engine) follow(ctx context.Context, since time.Time) (<-chan events.Message, <-chan error) {
	opts := events.ListOptions{Filters: filters.NewArgs()}
	for _, t := range watchedTypes {
		opts.Filters.Add("type", t)
	}
	for _, a := range watchedActions {
		opts.Filters.Add("event", a)
	}
	if !since.IsZero() {
		opts.Since = fmt.Sprintf("%d.%09d", since.Unix(), since.Nanosecond())
	}
	return e.api.Events(ctx, opts)
}

func readEvent(m *events.Message) event {
	return event{
		kind: string(m.Type), action: string(m.Action), id: m.Actor.ID,
		attributes: m.Actor.Attributes, at: m.TimeNano,
	}
}
