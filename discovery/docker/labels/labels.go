// Package labels makes applications out of the labels of containers and
// services: those of Traefik v1.7, those of Traefik v2 and v3, and edgerouter's
// own.
//
// Labels and the id of the application go in (Compile); definitions without
// addresses come out, each with the scheme, port and weight of its peers, and
// with everything that was found wrong, told by the label's name. The functions
// are pure: no engine, no clock, no state. Who calls them knows the containers
// and their addresses, and puts these in (App.With).
//
// Its promises:
//   - Each label in the namespaces traefik. and edgerouter. has an effect, or is
//     named in a problem, or declares a middleware that others may name. None is
//     passed over in silence.
//   - Nothing is opened by leaving something out: a label that keeps somebody
//     out and cannot be done is an error of its application, as is a missing
//     edgerouter.auth. What only makes things nicer is a warning.
//   - An application without errors is valid (app.Application.Validate).
//   - Work and output are bounded, whatever the labels hold (see maxValue).
package labels

import (
	"slices"
	"strings"

	"edgerouter/app"
)

// Options are what labels are read with.
type Options struct {
	// DefaultAuth stands in for a missing edgerouter.auth; only "public" makes
	// sense, "" makes the label required.
	DefaultAuth string
	// From says where the labels are, for Problem.File: "container web-1".
	From string
	// Named says that the id is the name of a Compose or Swarm service, which
	// traefik.backend does not change.
	Named bool
	// EntryPoints say what the names of entry points stand for; nil: DefaultEntryPoints.
	EntryPoints map[string]EntryPoint
	// Trust lets labels read files and the environment of the edge, reach addresses of
	// its own, and name manifests that it serves.
	Trust bool
	// Shared are middlewares that other containers declare, by name in lower case.
	Shared map[string]Shared
}

// Shared is a middleware of another container.
type Shared struct {
	Middleware Middleware
	// Ambiguous: several containers declare it, and not the same.
	Ambiguous bool
}

// Dialect says whose labels an application was made from.
type Dialect string

// The dialects.
const (
	DialectNone Dialect = ""
	DialectV1   Dialect = "Traefik v1"
	DialectV3   Dialect = "Traefik v2 and v3"
)

// Result is what labels became.
type Result struct {
	// In says whether the labels ask to be served, and Why what says so.
	In      bool
	Why     string
	Dialect Dialect
	// ID is the id that the applications' ids begin with: the one that was given,
	// or the one that traefik.backend says.
	ID string
	// Network is the one that traefik.docker.network or traefik.swarm.network asks for.
	Network string
	// NetworkLabel is the label that does.
	NetworkLabel string
	// Apps are ordered by id. There is at least one when In is true.
	Apps []App
	// Borrowed are the names, in lower case, of middlewares that the labels name
	// and do not declare.
	Borrowed []string
}

// App is one application.
type App struct {
	// Definition has everything but the addresses of its peer_set.
	Definition app.Application
	Peer       Peer
	// Broken says that it cannot be served; the first of Problems says why.
	Broken bool
	// Problems are errors, which come first, and warnings.
	Problems []app.Problem
	// PortLabel is the label that said Peer.Port.
	PortLabel string
}

// Peer is how a container of the application is spoken to.
type Peer struct {
	Scheme string // http, https, h2c
	Port   int    // 0: the labels do not say
	Weight int    // 1 unless a label says otherwise
}

// Compile reads the labels of one container or service. id is the id of the
// application that it makes; several make ids that begin with it.
func Compile(id string, labels map[string]string, opts Options) Result {
	c := newCompiler(id, labels, opts)
	c.optIn()
	if !c.result.In {
		return c.result
	}
	c.tooLong()
	c.own()
	switch c.result.Dialect {
	case DialectV1:
		c.v1()
	default:
		c.v3()
	}
	c.common()
	if c.off {
		c.result.In, c.result.Why = false, "all of its entry points are off (--docker-entrypoints)"
		return c.result
	}
	c.finish()
	return c.result
}

// compiler is one run of Compile.
type compiler struct {
	opts   Options
	labels []*label
	result Result
	auth   auth
	tls    peerTLS
	all    notes // of all applications
	first  notes // of the container; the first application tells them
	drafts []*draft
	off    bool // nothing is to be served, since all entry points are off
}

func newCompiler(id string, labels map[string]string, opts Options) *compiler {
	c := &compiler{opts: opts, labels: scan(labels)}
	c.result.ID = id
	return c
}

// draft is an application in the making.
type draft struct {
	id          string
	frontends   []app.Frontend
	middlewares []app.Middleware
	peers       app.PeerSetOpts
	peer        Peer
	portLabel   string
	notes       notes

	// Which labels the parts came from, to tell problems by.
	frontendLabels   []string // as frontends
	middlewareLabels []string // as middlewares
	peerLabels       []place
}

// place says which label a part of a definition came from.
type place struct{ field, label string }

// frontend adds a frontend that a label made.
func (d *draft) frontend(f app.Frontend, label string) {
	d.frontends = append(d.frontends, f)
	d.frontendLabels = append(d.frontendLabels, label)
}

// wrap adds middlewares that a label made, inside those that are there.
func (d *draft) wrap(label string, list ...app.Middleware) {
	for _, m := range list {
		d.middlewares = append(d.middlewares, m)
		d.middlewareLabels = append(d.middlewareLabels, label)
	}
}

// optIn finds out whether the labels ask to be served, and in which dialect.
func (c *compiler) optIn() {
	r := &c.result
	var enabled *label
	var rule1, rule3 *label
	for _, l := range c.labels {
		switch {
		case l.key == "traefik.enable":
			enabled = l
		case l.key == "traefik.frontend.rule":
			rule1 = l
		case isRouterRule(l.key):
			if rule3 == nil {
				rule3 = l
			}
		case isSegmentRule(l.key):
			if rule1 == nil {
				rule1 = l
			}
		}
	}
	if enabled != nil {
		enabled.used = true
		on, err := parseBool(enabled.value)
		switch {
		case err != nil:
			c.all.fail(enabled.name, enabled.value, err.Error(), "")
			r.In, r.Why = true, enabled.name+" is there"
		case !on:
			r.Why = enabled.name + "=" + enabled.value
			return
		default:
			r.In, r.Why = true, enabled.name+"="+enabled.value
		}
	}
	switch {
	case rule3 != nil:
		r.In, r.Dialect = true, DialectV3
		r.Why = rule3.name + " is there"
	case rule1 != nil:
		r.In, r.Dialect = true, DialectV1
		r.Why = rule1.name + " is there"
	case r.In:
		r.Dialect = DialectV3
	default:
		r.Why = "no label asks for it: neither traefik.frontend.rule, nor traefik.enable=true, nor a router's rule"
	}
}

// isRouterRule knows traefik.http.routers.NAME.rule.
func isRouterRule(key string) bool {
	rest, ok := strings.CutPrefix(key, "traefik.http.routers.")
	if !ok {
		return false
	}
	name, field, _ := strings.Cut(rest, ".")
	return name != "" && field == "rule"
}

// isSegmentRule knows traefik.SEGMENT.frontend.rule.
func isSegmentRule(key string) bool {
	name, ok := segmentOf(key)
	return ok && strings.HasSuffix(key, name+".frontend.rule")
}

// common reads the labels that both dialects have, and tells what is left over.
func (c *compiler) common() {
	for _, l := range c.labels {
		if l.used {
			continue
		}
		if o, ok := commonLabels[l.key]; ok {
			l.used = true
			if o.shut {
				c.all.fail(l.name, "", "is not done: "+o.why, "")
			} else {
				c.first.warn(l.name, "", "has no effect: "+o.why, "")
			}
			continue
		}
		l.used = true
		c.leftOver(l)
	}
}

// commonLabels are known and not done.
var commonLabels = map[string]option[struct{}]{
	"traefik.docker.lbswarm":         {why: "requests go to the tasks and never to Swarm's own balancer"},
	"traefik.swarm.lbswarm":          {why: "requests go to the tasks and never to Swarm's own balancer"},
	"traefik.docker.allownonrunning": {why: "only what runs gets requests"},
	"traefik.domain":                 {why: "no rule is made up from names; write the rule"},
	"traefik.tags":                   {why: "there are no constraints on tags; everything with a rule is served"},
}

// leftOver tells a label that nobody read.
func (c *compiler) leftOver(l *label) {
	switch {
	case strings.HasPrefix(l.key, "traefik.tcp.") || strings.HasPrefix(l.key, "traefik.udp."):
		c.first.warn(l.name, "", "has no effect: only HTTP is served", "")
	case c.result.Dialect == DialectV3 && isV1(l.key):
		c.first.warn(l.name, "", "has no effect: it is a label of Traefik v1 beside those of v2 and v3", "")
	case c.result.Dialect == DialectV1 && strings.HasPrefix(l.key, "traefik.http."):
		c.first.warn(l.name, "", "has no effect: no router has a rule, so the labels of Traefik v1 are used", "")
	case strings.HasPrefix(l.key, "edgerouter."):
		c.first.warn(l.name, "", "is not known", nearest(l.key, ownNames))
	default:
		known := v3Names
		if c.result.Dialect == DialectV1 {
			known = v1Names
		}
		c.first.warn(l.name, "", "is not known", nearest(l.key, known))
	}
}

// finish makes the drafts into applications.
func (c *compiler) finish() {
	if len(c.drafts) == 0 {
		// There is something to tell, and nothing that it could be told of.
		c.drafts = []*draft{{id: c.result.ID}}
		if len(c.all.errors) == 0 {
			c.all.fail("", "", "no frontend came out of the labels", "")
		}
	}
	slices.SortStableFunc(c.drafts, func(a, b *draft) int { return strings.Compare(a.id, b.id) })
	for i, d := range c.drafts {
		if n := len(c.result.Apps); n > 0 && c.result.Apps[n-1].Definition.ID == d.id {
			c.result.Apps[n-1].Problems = append(c.result.Apps[n-1].Problems, app.Problem{
				App: d.id, File: c.opts.From, Field: "id", Value: d.id, Message: "two parts of the labels make this id; the first one is used",
				Suggestion: "give services, routers or segments names that differ in letters and digits",
			})
			continue
		}
		var found notes
		found.add(c.all)
		found.add(d.notes)
		if i == 0 {
			found.add(c.first)
		}
		c.result.Apps = append(c.result.Apps, c.application(d, found))
	}
}

// application is a draft with the auth of the container before everything.
func (c *compiler) application(d *draft, found notes) App {
	a := App{Peer: d.peer, PortLabel: d.portLabel}
	a.Definition = app.Application{ID: d.id, Frontends: d.frontends, Middlewares: d.middlewares}
	labels := d.middlewareLabels
	if m := c.auth.middleware(d.id); m != nil {
		a.Definition.Middlewares = append([]app.Middleware{*m}, d.middlewares...)
		labels = append([]string{c.auth.label}, labels...)
	}
	peers := d.peers
	if !c.opts.Trust {
		peers.Turbocharger = "off"
		refuseLocal(&a, labels, &found)
	}
	c.tls.apply(&peers, d.peer.Scheme, &found)
	a.Definition.Backend = app.Backend{Kind: app.BackendPeerSet, PeerSet: &peers}
	if !c.opts.Trust {
		d.refuseFiles(a, labels, &found)
	}
	broken := len(found.errors) > 0
	for _, p := range d.check(a, labels) {
		// What has been told already makes more that says nothing new.
		if !broken || strings.HasPrefix(p.Field, "traefik.") {
			found.errors = append(found.errors, p)
		}
	}
	a.Broken = len(found.errors) > 0
	a.Problems = found.told(d.id, c.opts.From)
	return a
}

// check validates the application as it will be with an address, and tells what
// is wrong by the labels.
func (d *draft) check(a App, middlewareLabels []string) []app.Problem {
	places := d.places(middlewareLabels)
	var problems []app.Problem
	for _, p := range a.With([]Address{{Host: "192.0.2.1", Port: 80, Peer: a.Peer}}).Validate() {
		problems = append(problems, inLabels(p, places))
	}
	return problems
}
