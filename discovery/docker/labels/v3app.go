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
	target *service
	chain  []wrapped // outermost first
	plain  bool      // plain HTTP is served
	// onlyPlain: https is not.
	onlyPlain bool
	toHTTPS   bool // onlyPlain, and a middleware redirects to https
	notes     notes
}

// assemble makes applications of the routers: those that lead to one service
// through the same middlewares are one.
func (c *compiler) assemble(t *tree) {
	routes := c.routes(t)
	if len(routes) == 0 {
		c.off = true
		return
	}
	routes = joinSchemes(routes)
	failConflicts(routes)
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
		if r.entries.resolve(&c.opts, r.entryLabel, &r.notes); r.entries.off {
			c.first.warn(r.entryLabel, strings.Join(r.entries.names, ","), "is off here (--docker-entrypoints): the router is not served", "")
			continue
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

// access finds out over what the router is served.
func (r *route) access() {
	r.plain = r.entries.plain && !r.tls
	r.onlyPlain = r.plain && !r.entries.secure
	r.toHTTPS = r.onlyPlain && slices.ContainsFunc(r.chain, func(w wrapped) bool { return w.redirectsToHTTPS() })
}

// frontend puts the router into an application.
func (r *route) frontend(d *draft) {
	if r.rule == "" {
		return // that has been told, if it was not cut away
	}
	if i := slices.IndexFunc(d.frontends, func(f app.Frontend) bool { return f.Rule == r.rule }); i >= 0 {
		r.notes.warn(r.ruleLabel, r.rule, "has no effect: another router with the same rule leads to the same service", "")
		f := &d.frontends[i]
		f.OnlyInsecureHTTP = f.OnlyInsecureHTTP && r.onlyPlain
		f.AllowInsecureHTTP = f.AllowInsecureHTTP || r.plain
		return
	}
	d.frontend(app.Frontend{
		Kind: app.FrontendRule, Rule: r.rule, AllowInsecureHTTP: r.plain, OnlyInsecureHTTP: r.onlyPlain,
		RulePriority: r.priority,
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
