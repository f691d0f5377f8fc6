package labels

import (
	"fmt"
	"slices"
	"strings"

	"edgerouter/app"
)

// route is a router with what it leads to.
type route struct {
	*router
	target  *service
	chain   []wrapped // outermost first
	plain   bool      // plain HTTP is served
	toHTTPS bool      // a middleware of it redirects plain HTTP to https
	notes   notes
}

// assemble makes applications of the routers: those that lead to one service
// through the same middlewares are one.
func (c *compiler) assemble(t *tree) {
	routes := c.routes(t)
	routes = joinSchemes(routes)
	services := map[*service]bool{}
	for _, r := range routes {
		services[r.target] = true
	}
	groups := map[string]*draft{} // by service and middlewares
	byService := map[*service][]*draft{}
	for _, r := range routes {
		key := r.target.label + "\x00" + chainKey(r.chain)
		d := groups[key]
		if d == nil {
			if len(c.drafts) == maxApps {
				c.all.fail(r.label, "", fmt.Sprintf("one container makes at most %d applications", maxApps), "")
				break
			}
			d = r.target.draft(c.result.ID)
			if len(services) > 1 {
				d.id += "-" + idPart(r.target.name)
			}
			if len(byService[r.target]) > 0 {
				// Other middlewares make another application.
				d.id += "-" + idPart(r.name)
			}
			for _, w := range r.chain {
				d.wrap(w.label, w.middlewares...)
			}
			groups[key] = d
			byService[r.target] = append(byService[r.target], d)
			c.drafts = append(c.drafts, d)
		}
		r.frontend(d)
	}
	// A broken router breaks all that lead to its service: without it another
	// one, with less before it, could take its requests.
	for _, r := range routes {
		for _, d := range byService[r.target] {
			d.notes.errors = append(d.notes.errors, r.notes.errors...)
			if d == groups[r.target.label+"\x00"+chainKey(r.chain)] {
				d.notes.warnings = append(d.notes.warnings, r.notes.warnings...)
			}
		}
	}
	for _, name := range sortedNames(t.services) {
		if s := t.services[name]; !services[s] {
			c.first.warn(s.label, "", "has no effect: no router leads to this service", "")
		}
	}
}

// routes are the routers by name, each with its service and its middlewares.
// The router with the name of its service comes first among those of one
// service, so that it has the application's id when they have to be several.
func (c *compiler) routes(t *tree) []*route {
	var routes []*route
	for _, name := range sortedNames(t.routers) {
		r := &route{router: t.routers[name], notes: t.routers[name].notes}
		if r.rule == "" && r.ruleLabel == "" {
			r.notes.fail(r.label+".rule", "", "is missing", "no rule is made up from names: write "+r.label+".rule=Host(`example.com`)")
		}
		r.target = c.target(t, r)
		m := mixer{c: c, tree: t, notes: &r.notes}
		r.chain = m.all(r.middlewares, r.label+".middlewares", 0)
		r.access()
		routes = append(routes, r)
	}
	own := func(r *route) bool { return strings.EqualFold(r.name, r.target.name) }
	slices.SortStableFunc(routes, func(a, b *route) int {
		if a.target == b.target && own(a) != own(b) {
			if own(a) {
				return -1
			}
			return 1
		}
		return 0
	})
	return routes
}

// target is the service that a router leads to.
func (c *compiler) target(t *tree, r *route) *service {
	names := sortedNames(t.services)
	if r.service == "" {
		switch len(names) {
		case 0:
			s := newService(c.result.ID, "")
			t.services[lower(c.result.ID)] = s
			return s
		case 1:
			return t.services[names[0]]
		}
		r.notes.fail(r.label+".service", "", "is missing: there are several services, "+strings.Join(names[:min(len(names), 4)], ", "), "")
		return t.services[names[0]]
	}
	name, ok := local(r.service)
	if s := t.services[name]; ok && s != nil {
		return s
	}
	if ok && len(names) == 0 && (name == lower(c.result.ID) || name == lower(r.name)) {
		s := newService(r.service, "")
		t.services[name] = s
		return s
	}
	hint := nearest(name, names)
	if strings.HasSuffix(lower(r.service), "@internal") {
		hint = "edgerouter's own page is on the listener of --admin"
	}
	r.notes.fail(r.label+".service", r.service, "no label of this container declares the service", hint)
	if len(names) > 0 {
		return t.services[names[0]]
	}
	s := newService(c.result.ID, "")
	t.services[lower(c.result.ID)] = s
	return s
}

// local is a name without the provider that Traefik puts behind it; false when
// that is not Docker.
func local(name string) (string, bool) {
	name, provider, ok := strings.Cut(lower(name), "@")
	return name, !ok || provider == "docker" || provider == "swarm"
}

// access finds out whether the router serves plain HTTP. A redirect to https is
// what edgerouter does by itself.
func (r *route) access() {
	r.entries.tell(r.entryLabel, &r.notes)
	onlyPlain := r.entries.plain && !r.entries.secure && !r.tls
	var chain []wrapped
	for _, w := range r.chain {
		if m := w.redirectsToHTTPS(); m && onlyPlain {
			r.toHTTPS = true
			continue
		}
		chain = append(chain, w)
	}
	if r.toHTTPS {
		r.chain = chain
		return
	}
	r.plain = r.entries.plain && !r.tls
}

// joinSchemes makes one route of two that differ in their entry points only,
// which is how Traefik serves a host on both. The one for https stays, with its
// middlewares.
func joinSchemes(routes []*route) []*route {
	sameRule := func(a, b *route) bool { return a.rule == b.rule && a.target == b.target && a.rule != "" }
	isPlain := func(r *route) bool { return r.entries.plain && !r.entries.secure && !r.tls }
	var out []*route
	for _, r := range routes {
		if !isPlain(r) {
			out = append(out, r)
			continue
		}
		i := slices.IndexFunc(routes, func(o *route) bool { return !isPlain(o) && sameRule(o, r) })
		if i < 0 {
			out = append(out, r)
			continue
		}
		other := routes[i]
		other.notes.add(r.notes)
		if r.toHTTPS {
			continue
		}
		other.plain = true
		if chainKey(r.chain) != chainKey(other.chain) {
			other.notes.warn(r.label+".middlewares", "", "has no effect: "+other.label+" has the same rule, and its middlewares are for plain HTTP as well", "")
		}
	}
	return out
}

// frontend puts the router into an application.
func (r *route) frontend(d *draft) {
	if r.rule == "" {
		return // that has been told, if it was not cut away
	}
	if i := slices.IndexFunc(d.frontends, func(f app.Frontend) bool { return f.Rule == r.rule }); i >= 0 {
		r.notes.warn(r.ruleLabel, r.rule, "has no effect: another router with the same rule leads to the same service", "")
		d.frontends[i].AllowInsecureHTTP = d.frontends[i].AllowInsecureHTTP || r.plain
		return
	}
	d.frontend(app.Frontend{
		Kind: app.FrontendRule, Rule: r.rule, AllowInsecureHTTP: r.plain,
		Priority: priority(r.priority, len(r.rule), r.priorityKey, &r.notes),
	}, r.ruleLabel)
}

// draft is an application with the options of the service.
func (s *service) draft(id string) *draft {
	d := &draft{id: id, portLabel: s.portLabel}
	d.notes.add(s.notes)
	d.peer = Peer{Scheme: s.scheme, Port: s.port, Weight: s.weight}
	d.peers = app.PeerSetOpts{
		PassHostHeader: s.passHost, Policy: s.policy,
		StickyCookie: s.sticky, HealthCheck: s.health, PassiveHealth: s.passive,
	}
	if s.label != "" {
		lb := s.label + ".loadbalancer"
		d.peerLabels = append(d.peerLabels,
			place{"backend.peer_set_opts.health_check", lb + ".healthcheck"},
			place{"backend.peer_set_opts.sticky_cookie", lb + ".sticky.cookie"},
			place{"backend.peer_set_opts.passive_health", lb + ".passivehealthcheck"})
	}
	return d
}

// chainKey tells lists of middlewares apart.
func chainKey(chain []wrapped) string {
	var b strings.Builder
	for _, w := range chain {
		b.WriteString(w.key)
		b.WriteByte(0)
	}
	return b.String()
}
