package labels

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"edgerouter/app"
)

// router is traefik.http.routers.NAME.
type router struct {
	name        string // as written
	label       string // traefik.http.routers.NAME, as written
	rule        string
	ruleLabel   string
	priority    *int
	priorityKey string
	service     string
	middlewares []string
	entries     entryPoints
	entryLabel  string
	tls         bool
	notes       notes
}

// service is traefik.http.services.NAME.
type service struct {
	name      string
	label     string
	port      int
	portLabel string
	scheme    string
	weight    int
	passHost  bool
	policy    app.Policy
	sticky    *app.StickyCookie
	health    *app.HealthCheck
	passive   *app.PassiveHealth
	notes     notes
}

func (s *service) stickyCookie() *app.StickyCookie {
	if s.sticky == nil {
		s.sticky = &app.StickyCookie{}
	}
	return s.sticky
}

func (s *service) healthCheck() *app.HealthCheck {
	if s.health == nil {
		s.health = &app.HealthCheck{}
	}
	return s.health
}

func (s *service) passiveHealth() *app.PassiveHealth {
	if s.passive == nil {
		s.passive = &app.PassiveHealth{}
	}
	return s.passive
}

// tree is what the labels traefik.http declare, by name in lower case.
type tree struct {
	routers     map[string]*router
	services    map[string]*service
	middlewares map[string]*Middleware
}

// v3 makes the applications of the labels of Traefik v2 and v3.
func (c *compiler) v3() {
	t := &tree{routers: map[string]*router{}, services: map[string]*service{}, middlewares: map[string]*Middleware{}}
	for _, l := range c.labels {
		if !l.used && !c.readTLS(l) && !c.readNetwork(l) {
			t.read(l)
		}
	}
	if len(t.routers) == 0 {
		c.all.fail("traefik.http.routers", "", "no router says which requests are to be taken", "write traefik.http.routers.NAME.rule=Host(`example.com`); no rule is made up from names")
		return
	}
	c.assemble(t)
	for _, name := range sortedNames(t.middlewares) {
		if m := t.middlewares[name]; !m.asked {
			_, n := m.build()
			// Nobody here uses it, so nothing is broken by it.
			c.first.warnings = slices.Concat(c.first.warnings, n.errors, n.warnings)
		}
	}
}

// read takes a label of a router, a service or a middleware.
func (t *tree) read(l *label) {
	rest, ok := strings.CutPrefix(l.key, "traefik.http.")
	if !ok {
		return
	}
	parts := strings.SplitN(rest, ".", 3)
	if len(parts) < 3 || parts[1] == "" {
		return
	}
	key := parts[1]
	start := len(l.name) - len(parts[2])
	name, field := l.name[start-len(key)-1:start-1], l.name[start:]
	prefix := l.name[:start-1]
	switch parts[0] {
	case "routers":
		r := t.routers[key]
		if r == nil {
			r = &router{name: name, label: prefix}
			t.routers[key] = r
		}
		switch lower(field) {
		case "rule":
			r.ruleLabel = l.name
		case "priority":
			r.priorityKey = l.name
		case "entrypoints":
			r.entryLabel = l.name
		}
		routerOptions.read(r, &r.notes, l, field)
	case "services":
		s := t.services[key]
		if s == nil {
			s = newService(name, prefix)
			t.services[key] = s
		}
		if lower(field) == "loadbalancer.server.port" {
			s.portLabel = l.name
		}
		serviceOptions.read(s, &s.notes, l, field)
	case "middlewares":
		l.used = true
		m := t.middlewares[key]
		if m == nil {
			m = &Middleware{name: name, label: prefix}
			t.middlewares[key] = m
		}
		m.fields = append(m.fields, *l)
	}
}

func newService(name, label string) *service {
	return &service{name: name, label: label, scheme: "http", weight: 1, passHost: true}
}

var routerOptions = options[router]{
	"rule":             setString(func(r *router) *string { return &r.rule }),
	"priority":         {set: func(r *router, v string) (err error) { r.priority, err = parsePriority(v); return err }},
	"service":          setString(func(r *router) *string { return &r.service }),
	"middlewares":      setList(func(r *router) *[]string { return &r.middlewares }),
	"entrypoints":      {set: func(r *router, v string) error { return r.entries.read(v) }},
	"tls":              setBool(func(r *router) *bool { return &r.tls }),
	"tls.certresolver": {set: func(*router, string) error { return nil }}, // certificates come for all hosts
	"tls.domains.":     {set: func(*router, string) error { return nil }},
	"tls.options":      {set: onlyDefaultTLS},
	"rulesyntax":       {set: onlySyntaxV3},
	"observability.":   {why: "every application is observed alike"},
}

// onlySyntaxV3 refuses the other syntax: the same words mean other requests in it
// (Query, PathPrefix with braces), so that under a ! more would be let in.
func onlySyntaxV3(_ *router, v string) error {
	if !strings.EqualFold(v, "v3") && !strings.EqualFold(v, "default") {
		return errors.New("is not done: rules are read in the syntax of Traefik v3: write the rule in it and remove this label")
	}
	return nil
}

// onlyDefaultTLS refuses TLS options, which may be what asks for client
// certificates.
func onlyDefaultTLS(_ *router, v string) error {
	if v != "default" {
		return errors.New("is not done: there is one set of TLS options for all hosts; if these ask for client certificates, edgerouter's middleware client_certificate in a definition does that: remove the label, or the way in")
	}
	return nil
}

var serviceOptions = func() options[service] {
	type S = service
	return options[S]{
		"loadbalancer.server.port":          {set: func(s *S, v string) (err error) { s.port, err = parsePort(v); return err }},
		"loadbalancer.server.scheme":        {set: func(s *S, v string) (err error) { s.scheme, err = parseScheme(v); return err }},
		"loadbalancer.server.weight":        setInt(0, 1000000, func(s *S) *int { return &s.weight }),
		"loadbalancer.server.url":           notDone[S]("the address is that of the container"),
		"loadbalancer.server.preservepath":  notDone[S]("the path is that of the request"),
		"loadbalancer.passhostheader":       setBool(func(s *S) *bool { return &s.passHost }),
		"loadbalancer.strategy":             {set: setStrategy},
		"loadbalancer.sticky":               {set: func(s *S, v string) error { return setSticky(s, v) }},
		"loadbalancer.sticky.cookie":        {set: func(s *S, v string) error { return setSticky(s, v) }},
		"loadbalancer.sticky.cookie.name":   setString(func(s *S) *string { return &s.stickyCookie().Name }),
		"loadbalancer.sticky.cookie.secure": setBool(func(s *S) *bool { return &s.stickyCookie().Secure }),
		"loadbalancer.sticky.cookie.samesite": {set: func(s *S, v string) error {
			s.stickyCookie().SameSite = lower(v)
			return nil
		}},
		"loadbalancer.sticky.cookie.maxage": {set: func(s *S, v string) error {
			n, err := parseInt(v, 0, 10*365*24*3600)
			s.stickyCookie().MaxAge = app.Duration(n) * 1e9
			return err
		}},
		"loadbalancer.sticky.cookie.httponly":               only[S]("true", "the cookie is never shown to scripts"),
		"loadbalancer.sticky.cookie.path":                   only[S]("/", "the cookie is for all paths"),
		"loadbalancer.sticky.cookie.domain":                 notDone[S]("the cookie is for the host of the request"),
		"loadbalancer.healthcheck.path":                     setString(func(s *S) *string { return &s.healthCheck().Path }),
		"loadbalancer.healthcheck.interval":                 setSpan(func(s *S) *app.Duration { return &s.healthCheck().Interval }),
		"loadbalancer.healthcheck.timeout":                  setSpan(func(s *S) *app.Duration { return &s.healthCheck().Timeout }),
		"loadbalancer.healthcheck.hostname":                 setString(func(s *S) *string { return &s.healthCheck().Host }),
		"loadbalancer.healthcheck.status":                   setString(func(s *S) *string { return &s.healthCheck().Status }),
		"loadbalancer.healthcheck.port":                     {set: func(s *S, v string) (err error) { s.healthCheck().Port, err = parsePort(v); return err }},
		"loadbalancer.healthcheck.scheme":                   {set: func(s *S, v string) (err error) { s.healthCheck().Scheme, err = parseScheme(v); return err }},
		"loadbalancer.healthcheck.method":                   only[S]("GET", "health checks are made with GET"),
		"loadbalancer.healthcheck.mode":                     only[S]("http", "health checks are made over HTTP"),
		"loadbalancer.healthcheck.headers.":                 notDone[S]("health checks send no further headers"),
		"loadbalancer.healthcheck.followredirects":          only[S]("false", "health checks follow no redirects; a redirect counts as healthy"),
		"loadbalancer.healthcheck.unhealthyinterval":        notDone[S]("peers that are down are checked as often as others"),
		"loadbalancer.passivehealthcheck.maxfailedattempts": setInt(1, 1<<30, func(s *S) *int { return &s.passiveHealth().Failures }),
		"loadbalancer.passivehealthcheck.failurewindow":     setSpan(func(s *S) *app.Duration { return &s.passiveHealth().Window }),
		"loadbalancer.responseforwarding.flushinterval":     notDone[S](whyFlush),
		"loadbalancer.serverstransport": {set: func(*S, string) error {
			return errors.New("is not done: labels declare no transport; certificates of peers are verified unless traefik.backend.tls.insecureSkipVerify=true and traefik.backend.tls.serverName say otherwise")
		}},
		"middlewares":          shut[S]("name them at the routers"),
		"weighted.":            {with: noBalancer},
		"mirroring.":           {with: noBalancer},
		"failover.":            {with: noBalancer},
		"highestrandomweight.": {with: noBalancer},
	}
}()

// noBalancer refuses services that are made of others, which labels cannot
// declare in Traefik either.
func noBalancer(*service, string, string) error {
	return errors.New("is not done: a service is the containers that have its labels")
}

func setSticky(s *service, v string) error {
	on, err := parseBool(v)
	if on {
		s.stickyCookie()
	}
	return err
}

func setStrategy(s *service, v string) error {
	switch lower(v) {
	case "wrr":
		s.policy = app.PolicyRoundRobin
	case "p2c":
		s.policy = app.PolicyP2C
	case "hrw":
		s.policy = app.PolicyHash
	case "leasttime":
		s.policy = app.PolicyLeastConn
	default:
		return fmt.Errorf("want wrr, p2c, hrw or leasttime")
	}
	return nil
}

// v3Names are the labels of Traefik v2 and v3 that have no names of one's own in
// them, for suggestions.
var v3Names = []string{
	"traefik.enable", "traefik.docker.network", "traefik.swarm.network", "traefik.http.routers", "traefik.http.services", "traefik.http.middlewares",
}

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
