package labels

import (
	"slices"
	"strings"

	"edgerouter/app"
)

// sameRequests is what two routers have in common that take the same requests.
func (r *route) sameRequests() string { return sameRule(r.rule) }

// number is the priority among rules.
func (r *route) number() int {
	if r.priority != nil {
		return *r.priority
	}
	return len(r.rule)
}

// guards are the middlewares of the router that keep people out, by what they are.
func (r *route) guards() []string {
	var keys []string
	for _, w := range r.chain {
		if slices.ContainsFunc(w.middlewares, func(m app.Middleware) bool { return guarding(m.Kind) }) {
			keys = append(keys, w.key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

func guarding(kind app.MiddlewareKind) bool {
	switch kind {
	case app.MiddlewareBasicAuth, app.MiddlewareForwardAuth, app.MiddlewareAllowedIPs, app.MiddlewareClientCertificate,
		app.MiddlewareAuthV0, app.MiddlewareAuthSSO, app.MiddlewareAuthForward, app.MiddlewareAuthOIDC:
		return true
	}
	return false
}

// joinSchemes makes one route of two with the same rule of which one is for plain
// HTTP and the other for https, whatever their services: that is how Traefik
// serves a host on both. The one for https stays, with its service and its
// middlewares.
func joinSchemes(routes []*route) []*route {
	var out []*route
	for _, r := range routes {
		i := -1
		if r.onlyPlain && r.rule != "" {
			i = slices.IndexFunc(routes, func(o *route) bool { return !o.onlyPlain && o.sameRequests() == r.sameRequests() })
		}
		if i < 0 {
			out = append(out, r)
			continue
		}
		other := routes[i]
		other.notes.add(r.notes)
		if r.toHTTPS {
			other.plain = false // plain HTTP is redirected to https
			continue
		}
		has := other.guards()
		if slices.ContainsFunc(r.guards(), func(g string) bool { return !slices.Contains(has, g) }) {
			failPair(r, other)
			continue
		}
		other.plain = true
		if chainKey(r.chain) != chainKey(other.chain) {
			other.notes.warn(r.label+".middlewares", "", "has no effect: "+other.label+" has the same rule, and its middlewares are for plain HTTP as well", "")
		}
		if r.target != other.target && !r.target.same(other.target) {
			other.notes.warn(r.label+".service", r.service, "has no effect: "+other.label+" has the same rule, and its service is for plain HTTP as well", "")
		}
	}
	return out
}

// same reports whether two services lead to the same peers.
func (s *service) same(o *service) bool { return s.port == o.port && s.scheme == o.scheme }

// failConflicts breaks routers that take the same requests and are not guarded
// alike: whichever came first, the guards of the other would not hold.
func failConflicts(routes []*route) {
	first := map[string][]*route{}
	for _, r := range routes {
		if r.rule == "" {
			continue
		}
		key := r.sameRequests()
		for _, o := range first[key] {
			if o.number() == r.number() && !slices.Equal(o.guards(), r.guards()) {
				failPair(r, o)
			}
		}
		first[key] = append(first[key], r)
	}
}

func failPair(a, b *route) {
	guarded := func(r *route) string {
		if g := r.guards(); len(g) > 0 {
			return "is behind " + strings.Join(g, ", ")
		}
		return "is behind nothing"
	}
	tell := func(r, o *route) {
		o.notes.fail(o.ruleLabel, o.rule, "is the rule of "+r.label+" too, which "+guarded(r)+", while "+o.label+" "+guarded(o)+": neither is served, since the guards of one would not hold",
			"give both the same middlewares, or different rules")
	}
	tell(a, b)
	tell(b, a)
}
