package docker

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"edgerouter/discovery/docker/labels"
)

// reading is what the labels of one container or service say.
type reading struct {
	labels   map[string]string
	result   labels.Result
	declared map[string]labels.Middleware
	compiled int // with which version of the shared middlewares; 0: not yet
}

func (r *reading) app(id string) *labels.App {
	for i := range r.result.Apps {
		if r.result.Apps[i].Definition.ID == id {
			return &r.result.Apps[i]
		}
	}
	return nil
}

// group is what becomes one application, or several when its labels say so.
type group struct {
	kind    Kind
	id      string
	name    string
	members []*member
	read    *reading // of a Swarm service; else each member has its own
}

// member is one container or task of a group.
type member struct {
	name      string
	container *tracked // nil: it runs on another node
	task      *task
	read      *reading
	exposed   []int
	created   int64
	// out says why it gets no requests; "": it does.
	out      string
	draining bool
}

func (m *member) containerID() string {
	if m.container != nil {
		return m.container.id
	}
	if m.task != nil {
		return m.task.container
	}
	return ""
}

// groups sorts what runs into groups, ordered by kind and id.
func (b *builder) groups(s *state) []*group {
	b.readAll(s)
	var out []*group
	served := map[string]bool{} // ids of Swarm services that are groups
	clear(b.declined)
	for _, v := range s.services {
		read := b.services[v.id]
		if !read.result.In {
			b.declined[v.name] = true
			continue
		}
		served[v.id] = true
		g := &group{kind: KindSwarm, id: read.result.ID, name: v.name, read: read}
		for _, t := range s.tasks[v.id] {
			if m := b.taskMember(s, v, t); m != nil {
				m.read = read
				g.members = append(g.members, m)
			}
		}
		out = append(out, g)
	}
	byKey := map[string]*group{}
	for _, t := range s.containers {
		if !t.read.result.In || served[t.labels[swarmServiceID]] || strings.EqualFold(t.labels[composeOneOff], "true") {
			continue
		}
		_, kind, name, _ := identity(t.container)
		key := string(kind) + "\x00" + t.read.result.ID
		g := byKey[key]
		if g == nil {
			g = &group{kind: kind, id: t.read.result.ID, name: name}
			byKey[key] = g
			out = append(out, g)
		}
		g.members = append(g.members, containerMember(t))
		g.name = min(g.name, name)
	}
	for _, g := range byKey {
		slices.SortFunc(g.members, func(x, y *member) int {
			return cmp.Or(strings.Compare(x.name, y.name), strings.Compare(x.containerID(), y.containerID()))
		})
	}
	slices.SortFunc(out, func(x, y *group) int {
		return cmp.Or(cmp.Compare(x.kind.order(), y.kind.order()), strings.Compare(x.id, y.id), strings.Compare(x.name, y.name))
	})
	return out
}

// identity is what a container belongs to: the id of the application that it
// makes, and whether that is the name of a service.
func identity(c *container) (id string, kind Kind, name string, named bool) {
	if service := c.labels[swarmService]; service != "" {
		return service, KindSwarm, service, true
	}
	if project, service := c.labels[composeProject], c.labels[composeService]; project != "" && service != "" {
		return project + "_" + service, KindCompose, project + "/" + service, true
	}
	return c.name, KindContainer, c.name, false
}

func containerMember(t *tracked) *member {
	m := &member{name: t.name, container: t, read: t.read, exposed: t.exposed, created: t.created, draining: !t.draining.IsZero()}
	m.out = outOf(t)
	return m
}

// outOf says why a container gets no requests.
func outOf(t *tracked) string {
	switch {
	case t.paused:
		return "is paused"
	case t.health == unhealthy:
		return "is unhealthy"
	case t.health == starting:
		return "is starting and waits for its health check"
	}
	return ""
}

// taskMember is nil for a task that does not run.
func (b *builder) taskMember(s *state, v *service, t *task) *member {
	if t.state != taskRunning || s.dead[t.container] && t.container != "" || s.nodes[t.node].down {
		return nil
	}
	m := &member{name: taskName(v, t), task: t, exposed: v.exposed}
	if c := s.containers[t.container]; c != nil {
		m.container, m.created, m.draining = c, c.created, !c.draining.IsZero()
		m.out = outOf(c)
		if len(m.exposed) == 0 {
			m.exposed = c.exposed
		}
	}
	return m
}

// taskName is as the docker command shows it.
func taskName(v *service, t *task) string {
	slot := t.node
	if t.slot > 0 {
		slot = itoa(t.slot)
	}
	return v.name + "." + slot + "." + shortID(t.id)
}

// readAll brings the readings up to date: what each declares first, since the
// routers of others may name it.
func (b *builder) readAll(s *state) {
	for _, t := range s.containers {
		if t.read == nil {
			t.read = &reading{labels: t.labels, declared: labels.Declared(t.labels)}
		}
	}
	known := make(map[string]bool, len(s.services))
	for _, v := range s.services {
		known[v.id] = true
		if r := b.services[v.id]; r == nil || !maps.Equal(r.labels, v.labels) {
			b.services[v.id] = &reading{labels: v.labels, declared: labels.Declared(v.labels)}
		}
	}
	maps.DeleteFunc(b.services, func(id string, _ *reading) bool { return !known[id] })

	b.share(s)
	b.gatewayAsked = false
	for _, v := range s.services {
		b.compile(b.services[v.id], v.name, true, "service "+v.name)
	}
	for _, t := range s.containers {
		id, _, _, named := identity(t.container)
		b.compile(t.read, id, named, "container "+t.name)
	}
}

// share collects the middlewares that anybody declares.
func (b *builder) share(s *state) {
	shared := map[string]labels.Shared{}
	add := func(r *reading) {
		for name, m := range r.declared {
			other, there := shared[name]
			shared[name] = labels.Shared{Middleware: m, Ambiguous: there && (other.Ambiguous || !other.Middleware.Equal(m))}
		}
	}
	for _, r := range b.services {
		add(r)
	}
	for _, t := range s.containers {
		// The tasks of a service have its middlewares in their own labels at most.
		add(t.read)
	}
	same := maps.EqualFunc(b.shared, shared, func(x, y labels.Shared) bool {
		return x.Ambiguous == y.Ambiguous && x.Middleware.Equal(y.Middleware)
	})
	if !same || b.version == 0 {
		b.shared = shared
		b.version++
	}
}

// compile reads the labels, if that was not done or if they name middlewares
// that have changed.
func (b *builder) compile(r *reading, id string, named bool, from string) {
	if r.compiled == 0 || r.compiled != b.version && len(r.result.Borrowed) > 0 {
		r.result = labels.Compile(id, r.labels, labels.Options{
			DefaultAuth: b.defaultAuth, From: from, Named: named, Shared: b.shared, EntryPoints: b.entryPoints, Trust: b.trust,
		})
		r.compiled = b.version
	}
	b.gatewayAsked = b.gatewayAsked || r.result.Network == GatewayNetwork
}

// leader is the member whose labels say what is served: the newest that gets
// requests. When a service is made anew with other labels the old container's
// are good until the new one serves.
func (g *group) leader() *member {
	return slices.MaxFunc(g.members, func(a, b *member) int {
		return cmp.Or(
			cmp.Compare(a.rank(), b.rank()),
			cmp.Compare(a.created, b.created),
			strings.Compare(a.name, b.name),
		)
	})
}

func (m *member) rank() int {
	switch {
	case m.out != "":
		return 0
	case m.draining:
		return 1
	}
	return 2
}

// expire undoes stop signals that did not stop their containers, and tells when
// to look again.
func (s *state) expire(now time.Time) (ids []string, next time.Time) {
	for id, t := range s.containers {
		if t.draining.IsZero() {
			continue
		}
		end := t.draining.Add(drainLimit)
		if !now.Before(end) {
			t.draining = time.Time{}
			ids = append(ids, id)
			continue
		}
		if next.IsZero() || end.Before(next) {
			next = end
		}
	}
	return ids, next
}

// drainLimit is how long a stop signal is believed. Engines follow it with
// SIGKILL after a time that each docker stop may choose, so this is longer than
// anybody waits for a container.
const drainLimit = 10 * time.Minute
