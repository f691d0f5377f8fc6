package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"edgerouter/app"
	"edgerouter/discovery"
	"edgerouter/discovery/docker/labels"
)

// Detail tells what the labels of a container or service became, and why.
type Detail struct {
	// ID is the application's; of something that is none, what it would be.
	ID   string `json:"id"`
	Kind Kind   `json:"kind,omitempty"`
	Name string `json:"name,omitempty"`
	// Labels are those that are read, secrets redacted.
	Labels map[string]string `json:"labels"`
	// In says whether the labels ask to be served; Why what says so.
	In      bool   `json:"in"`
	Why     string `json:"why"`
	Dialect string `json:"dialect,omitempty"`
	// Served says whether the application is in service.
	Served bool `json:"served"`
	// Kept: an older version of it is, since this one is broken.
	Kept bool `json:"kept,omitempty"`
	// Application is what is served, or what could not be, secrets redacted.
	Application *app.Application `json:"application,omitempty"`
	Describe    string           `json:"describe,omitempty"`
	Peers       []PeerDetail     `json:"peers,omitempty"`
	// Problems are errors and warnings.
	Problems []app.Problem `json:"problems"`

	containers []string // ids, to be found by
}

// PeerDetail is one container of an application.
type PeerDetail struct {
	Name       string `json:"name"`
	ID         string `json:"id,omitempty"`
	Address    string `json:"address,omitempty"`
	AddressWhy string `json:"address_why,omitempty"`
	PortWhy    string `json:"port_why,omitempty"`
	State      string `json:"state"` // serving, draining, or why not
}

// detail is what build knows of an application.
func (b *builder) detail(g *group, p *plan, o discovery.Origin, served app.Application, ok bool, peers []PeerDetail, problems []app.Problem) Detail {
	read := g.read
	if read == nil {
		read = g.leader().read
	}
	d := Detail{
		ID: p.id, Kind: g.kind, Name: g.name, Labels: labels.Shown(read.labels),
		In: true, Why: read.result.Why, Dialect: string(read.result.Dialect),
		Served: ok, Kept: p.kept && ok, Peers: peers, Problems: problems,
	}
	for _, c := range o.Containers {
		d.containers = append(d.containers, c.ID, c.Name)
	}
	if ok {
		d.show(served)
	} else if a := read.app(p.id); a != nil {
		d.show(a.Definition)
	}
	return d
}

func (d *Detail) show(a app.Application) {
	shown := app.Redact(a)
	d.Application = &shown
	d.Describe = app.Describe(a)
}

// matches says whether a name given by a user means this.
func (d *Detail) matches(name string) bool {
	if d.ID == name || d.Name == name || strings.ReplaceAll(d.Name, "/", "_") == name {
		return true
	}
	return slices.ContainsFunc(d.containers, func(c string) bool { return sameContainer(c, name) })
}

func sameContainer(c, name string) bool {
	return c == name || len(name) >= 4 && strings.HasPrefix(c, name)
}

// ErrNotFound is what Explain returns for a name that is nobody's.
var ErrNotFound = errors.New("no container or service of that name runs")

// Explain asks an engine once and tells what the labels became: of one container,
// service or application, or of everything that asks to be served when name is "".
func Explain(ctx context.Context, o Options, name string) ([]Detail, error) {
	s, err := New(o)
	if err != nil {
		return nil, err
	}
	e, err := connect(ctx, s.at)
	if err != nil {
		return nil, fmt.Errorf("the Docker engine at %s: %w%s", s.at.shown, err, advice(err))
	}
	defer e.close()
	e.describe(ctx)
	st := s.state
	st.engine, st.here = e.info.name, e.info.node
	a := e.answer(ctx, wants{all: true, services: true}, false)
	if a.err != nil {
		return nil, fmt.Errorf("the Docker engine at %s: %w%s", s.at.shown, a.err, advice(a.err))
	}
	st.replace(a.containers, nil)
	st.services, st.nodes = a.services, a.nodes
	st.setTasks(a.tasks)
	made := s.build.build(st, time.Now(), true)
	if s.build.wantsGateway() {
		if st.gateway, err = e.endpoints(ctx, GatewayNetwork); err != nil {
			return nil, fmt.Errorf("the Docker engine at %s: %w%s", s.at.shown, err, advice(err))
		}
	}
	for id, d := range e.inspectAll(ctx, made.inspect) {
		st.containers[id].learn(d, time.Now())
	}
	made = s.build.build(st, time.Now(), true)
	found := made.details
	if name != "" {
		name = strings.TrimPrefix(name, "/")
		found = slices.DeleteFunc(found, func(d Detail) bool { return !d.matches(name) })
		if len(found) == 0 {
			found = s.build.others(st, name)
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("%s: %w", name, ErrNotFound)
		}
	}
	slices.SortFunc(found, func(x, y Detail) int { return strings.Compare(x.ID, y.ID) })
	for i := range found {
		found[i].Problems = slices.Concat([]app.Problem{}, found[i].Problems)
	}
	return found, nil
}

// others are those of a name that do not ask to be served.
func (b *builder) others(s *state, name string) (out []Detail) {
	add := func(kind Kind, id, called string, r *reading) {
		out = append(out, Detail{
			ID: id, Kind: kind, Name: called, Labels: labels.Shown(r.labels),
			In: r.result.In, Why: r.result.Why, Dialect: string(r.result.Dialect),
		})
	}
	for _, v := range s.services {
		if v.name == name || sameContainer(v.id, name) {
			add(KindSwarm, v.name, v.name, b.services[v.id])
		}
	}
	for _, t := range s.containers {
		id, kind, called, _ := identity(t.container)
		if t.name == name || id == name || called == name || sameContainer(t.id, name) {
			add(kind, id, t.name, t.read)
			if t.read.result.In { // a one-off, or a task of a service that is listed
				out[len(out)-1].Why += "; it is not a container of its own: a one-off of Compose, or a task of a service whose labels count"
			}
		}
	}
	return out
}

// ExplainLabels tells what labels become without an engine: as those of a
// container of that name, whose address is not known.
func ExplainLabels(name string, given map[string]string, o Options) []Detail {
	r := labels.Compile(name, given, labels.Options{DefaultAuth: o.DefaultAuth, EntryPoints: o.EntryPoints, Trust: o.TrustLabels})
	base := Detail{
		ID: name, Labels: labels.Shown(given), In: r.In, Why: r.Why, Dialect: string(r.Dialect), Problems: []app.Problem{},
	}
	if !r.In {
		return []Detail{base}
	}
	var out []Detail
	for i := range r.Apps {
		a := &r.Apps[i]
		d := base
		d.ID, d.Served, d.Problems = a.Definition.ID, !a.Broken, slices.Concat(base.Problems, a.Problems)
		d.show(a.Definition)
		if !a.Broken {
			port, why, _ := choosePort(a.Peer, a.PortLabel, nil)
			if a.Peer.Port == 0 {
				why += " here; a container's only exposed port would go before it"
			}
			network := DefaultNetwork + " or the one that --docker-network asks for"
			if r.Network != "" {
				network = r.Network + ", which " + r.NetworkLabel + " asks for"
			}
			address := labels.Address{Host: standIn, Port: port, Peer: a.Peer}
			d.show(a.With([]labels.Address{address}))
			d.Peers = []PeerDetail{{
				Name: name, Address: address.URL(), State: "serving", PortWhy: why,
				AddressWhy: "stands for the container's address on " + network,
			}}
		}
		out = append(out, d)
	}
	return out
}

// standIn is the address of a container that is not there (RFC 5737).
const standIn = "192.0.2.1"

// ParseLabels reads labels from a file: a JSON object, or lines KEY=VALUE as in
// docker's --label-file, where a line may also stand in quotes or behind a dash,
// as Compose files have them.
func ParseLabels(data []byte) (map[string]string, error) {
	text := strings.TrimSpace(string(data))
	if strings.HasPrefix(text, "{") {
		var out map[string]string
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			return nil, fmt.Errorf("want a JSON object whose values are all texts: %w", err)
		}
		return out, nil
	}
	out := map[string]string{}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "- "))
		if n := len(line); n >= 2 && (line[0] == '"' || line[0] == '\'') && line[n-1] == line[0] {
			line = line[1 : n-1]
		}
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if key = strings.TrimSpace(key); !ok || key == "" {
			return nil, fmt.Errorf("line %d: %q is not KEY=VALUE", i+1, line[:min(len(line), 80)])
		}
		out[key] = strings.TrimSpace(value)
	}
	return out, nil
}
