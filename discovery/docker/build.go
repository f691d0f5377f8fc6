package docker

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"edgerouter/app"
	"edgerouter/discovery"
	"edgerouter/discovery/docker/labels"
)

// builder makes applications out of the state, and remembers what it made: an
// application of which nothing changed is the same value again.
type builder struct {
	network     asked
	defaultAuth string
	entryPoints map[string]labels.EntryPoint
	trust       bool
	linger      time.Duration
	engine      string

	services map[string]*reading // of Swarm services, by id
	declined map[string]bool     // names of Swarm services that do not want to be served
	shared   map[string]labels.Shared
	version  int // of shared
	// gatewayAsked: a label asks for docker_gwbridge.
	gatewayAsked bool
	records      map[string]*record
	built        bool
}

func newBuilder(o Options) *builder {
	return &builder{
		network: asked{o.Network, "--docker-network"}, defaultAuth: o.DefaultAuth, entryPoints: o.EntryPoints, trust: o.TrustLabels, linger: o.Linger, engine: o.Host,
		services: map[string]*reading{}, declined: map[string]bool{}, records: map[string]*record{},
	}
}

// record is what is remembered of an application.
type record struct {
	group  string
	good   *labels.App // the last one that was not broken
	use    *labels.App // what out was made from
	addrs  []labels.Address
	out    app.Application // with peers; ID "" when there was none yet
	empty  app.Application // out without peers; ID "" when it was not needed
	kind   Kind
	origin discovery.Origin
	served bool      // it was in the last set
	known  bool      // it was in any set
	gone   time.Time // since when nothing runs; zero: something does
}

// set is what build makes.
type set struct {
	apps     []app.Application
	problems []app.Problem
	origins  map[string]discovery.Origin
	inspect  []string  // containers to be inspected
	again    time.Time // when something will be different by itself; zero: never
	details  []Detail  // only when it was asked for
}

// build makes the set of what runs now.
func (b *builder) build(s *state, now time.Time, explain bool) set {
	out := set{origins: map[string]discovery.Origin{}}
	around := &neighbours{containers: s.container, gateway: s.gateway, nodes: s.nodes, here: s.here}
	seen := map[string]*group{}
	for _, g := range b.groups(s) {
		read := g.read
		if read == nil {
			read = g.leader().read
		}
		siblings := make([]discovery.Sibling, 0, len(read.result.Apps))
		for i := range read.result.Apps {
			a := &read.result.Apps[i]
			id := a.Definition.ID
			if other := seen[id]; other != nil {
				out.problems = append(out.problems, app.Problem{
					App: id, File: g.kind.noun() + " " + g.name, Field: "id", Value: id,
					Message:    fmt.Sprintf("the id is taken by %s %s; this one is not served", other.kind.noun(), other.name),
					Suggestion: "ids are made from names: rename one of them",
				})
				continue
			}
			seen[id] = g
			b.place(s, around, g, b.plan(g, a), &out, explain)
			siblings = append(siblings, discovery.Sibling{ID: id, Served: b.records[id].served, Broken: a.Broken})
		}
		if len(siblings) > 1 {
			out.relate(siblings)
		}
	}
	b.holdBack(seen, &out)
	b.forget(seen, now, &out)
	slices.SortFunc(out.apps, func(x, y app.Application) int { return strings.Compare(x.ID, y.ID) })
	b.built = true
	return out
}

// relate tells applications that were made from the same of each other.
func (out *set) relate(siblings []discovery.Sibling) {
	for i, one := range siblings {
		origin := out.origins[one.ID]
		origin.Siblings = slices.Concat(siblings[:i], siblings[i+1:])
		out.origins[one.ID] = origin
	}
}

// plan is one application of a group, before it has addresses.
type plan struct {
	id       string
	use      *labels.App // nil: there is nothing that could be served
	kept     bool        // use is an older one
	problems []app.Problem
}

// plan decides which labels an application is made from; a is what the newest say.
func (b *builder) plan(g *group, a *labels.App) *plan {
	p := &plan{id: a.Definition.ID, use: a, problems: a.Problems}
	rec := b.records[p.id]
	if rec == nil || rec.group != g.id {
		rec = &record{group: g.id}
		b.records[p.id] = rec
	}
	if !a.Broken {
		rec.good = a
		return p
	}
	p.use, p.kept = g.other(p.id), true
	if p.use == nil {
		p.use = rec.good
	}
	if p.use != nil {
		p.problems = append(p.problems[:len(p.problems):len(p.problems)], app.Problem{
			App: p.id, File: p.problems[0].File, Message: "what was served before stays in service", Suggestion: "repair the labels",
		})
	}
	return p
}

// other is an application of the group's members that is not broken.
func (g *group) other(id string) *labels.App {
	for _, m := range g.members {
		if a := m.read.app(id); a != nil && !a.Broken && m.out == "" {
			return a
		}
	}
	return nil
}

// place gives an application the addresses of its group.
func (b *builder) place(s *state, around *neighbours, g *group, p *plan, out *set, explain bool) {
	rec := b.records[p.id]
	rec.gone = time.Time{}
	origin := discovery.Origin{Engine: b.engine, EngineName: s.engine, Kind: string(g.kind), Name: g.name, Containers: []discovery.OriginContainer{}}
	var live, leaving []labels.Address
	var reasons []string
	asked := false
	var peers []PeerDetail
	var warnings []app.Problem
	problems := slices.Clone(p.problems)
	for _, m := range g.members {
		origin.Labels = string(m.read.result.Dialect)
		d := b.peer(around, p, m, out)
		c := discovery.OriginContainer{ID: m.containerID(), Name: m.name, State: d.State}
		if m.task != nil {
			c.Task, c.Node = m.task.id, m.task.node
		}
		if d.ok {
			c.Address = d.address.URL()
			if m.draining {
				leaving = append(leaving, d.address)
			} else {
				live = append(live, d.address)
			}
		} else {
			reasons = append(reasons, m.name+" "+d.State)
			asked = asked || d.asked
		}
		for _, w := range d.warnings {
			warnings = append(warnings, app.Problem{App: p.id, File: "container " + m.name, Message: w})
		}
		origin.Containers = append(origin.Containers, c)
		if explain {
			d.Name, d.ID = m.name, m.containerID()
			peers = append(peers, d.PeerDetail)
		}
	}
	addrs := live
	if len(live) == 0 {
		addrs = leaving // whoever is left goes on until it is gone
	}
	switch {
	case p.use != nil && len(addrs) == 0 && asked:
	case p.use != nil && len(addrs) == 0: // that says what the warnings would
		problems = append(problems, app.Problem{
			App: p.id, File: g.kind.noun() + " " + g.name, Field: "backend.peer_set_opts.addrs", Message: noPeer(reasons),
		})
	default:
		problems = append(problems, warnings...)
	}
	result, ok := rec.result(p.use, addrs)
	rec.served, rec.kind, rec.origin = ok, g.kind, origin
	if ok {
		out.apps = append(out.apps, result)
	}
	out.origins[p.id] = origin
	out.problems = append(out.problems, problems...)
	if explain {
		out.details = append(out.details, b.detail(g, p, origin, result, ok, peers, problems))
	}
}

// noPeer says why an application has no peer.
func noPeer(reasons []string) string {
	if len(reasons) == 0 {
		return "nothing runs that could be given requests"
	}
	more := ""
	if n := len(reasons) - 4; n > 0 {
		reasons, more = reasons[:4], fmt.Sprintf("; and %d more", n)
	}
	return "nothing can be given requests: " + strings.Join(reasons, "; ") + more
}

// result is the application with the addresses, or without any; false when it
// never had one.
func (r *record) result(use *labels.App, addrs []labels.Address) (app.Application, bool) {
	if use == nil {
		return app.Application{}, false
	}
	if len(addrs) == 0 {
		if r.out.ID == "" {
			return app.Application{}, false
		}
		if r.empty.ID == "" {
			r.empty = labels.Drained(r.out)
		}
		return r.empty, true
	}
	if r.use == use && r.out.ID != "" && slices.Equal(r.addrs, addrs) {
		return r.out, true
	}
	next := use.With(addrs)
	if r.out.ID == "" || !app.Equal(r.out, next) {
		r.out, r.empty = next, app.Application{}
	}
	r.use, r.addrs = use, addrs
	return r.out, true
}

// peerResult is one member as a peer.
type peerResult struct {
	PeerDetail
	ok       bool
	asked    bool // the engine is asked for what is missing, and will soon have said it
	address  labels.Address
	warnings []string
}

// peer finds out where a member gets its requests.
func (b *builder) peer(around *neighbours, p *plan, m *member, out *set) peerResult {
	var d peerResult
	if m.out != "" {
		d.State = m.out
		return d
	}
	use := p.use
	own := m.read.app(p.id)
	switch {
	case own == nil:
		d.State = "has other labels, which do not make this application"
		return d
	case !own.Broken:
		if use != nil && use != own && !p.kept && !sameButPeers(use, own) {
			d.warnings = append(d.warnings, "has other labels than the newest container of this application, whose labels are used")
		}
		use = own
	case use == nil || !p.kept:
		d.State = "has labels that cannot be served"
		for _, problem := range own.Problems[:1] {
			if saysThat(p.problems, problem) {
				continue
			}
			d.warnings = append(d.warnings, strings.TrimPrefix(d.State+": "+problem.Field+": "+problem.Message, ": "))
		}
		return d
	}
	want := b.network
	if n := m.read.result.Network; n != "" {
		want = asked{n, m.read.result.NetworkLabel}
	}
	var at choice
	var err error
	if m.task != nil {
		at, err = around.ofTask(m.task, want)
	} else {
		at, err = around.ofContainer(m.container.container, want)
	}
	if err != nil {
		d.State = err.Error()
		d.warnings = append(d.warnings, err.Error())
		return d
	}
	if at.warn != "" {
		d.warnings = append(d.warnings, at.warn)
	}
	exposed := m.exposed
	if use.Peer.Port == 0 && len(exposed) == 0 && m.container != nil {
		if m.container.details == nil {
			out.inspect = append(out.inspect, m.container.id)
			d.State, d.asked = "is being asked for its ports", true
			return d
		}
		exposed = m.container.details.exposed
	}
	port, why, more := choosePort(use.Peer, use.PortLabel, exposed)
	if more != "" {
		d.warnings = append(d.warnings, more)
	}
	d.ok, d.State = true, "serving"
	if m.draining {
		d.State = "draining"
	}
	d.address = labels.Address{Host: at.addr.String(), Port: port, Peer: use.Peer}
	d.Address, d.AddressWhy, d.PortWhy = d.address.URL(), at.why, why
	return d
}

// saysThat says whether a problem is among those, wherever it was found.
func saysThat(problems []app.Problem, one app.Problem) bool {
	return slices.ContainsFunc(problems, func(p app.Problem) bool {
		return p.Field == one.Field && p.Value == one.Value && p.Message == one.Message
	})
}

// sameButPeers says whether two are the same application, seen without how
// their containers are spoken to.
func sameButPeers(a, b *labels.App) bool { return app.Equal(a.Definition, b.Definition) }

// sameSet says whether two sets are the same values.
func sameSet(a, b []app.Application) bool {
	return slices.EqualFunc(a, b, func(x, y app.Application) bool {
		return x.ID == y.ID && x.Backend == y.Backend && sameSlice(x.Frontends, y.Frontends) && sameSlice(x.Middlewares, y.Middlewares)
	})
}

func sameSlice[T any](a, b []T) bool {
	return len(a) == len(b) && unsafe.SliceData(a) == unsafe.SliceData(b)
}

func itoa(n int) string { return strconv.Itoa(n) }
