package labels

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"edgerouter/app"
)

// v1BackendOptions are the labels traefik.backend.X.
var v1BackendOptions = options[v1Backend]{
	"loadbalancer.method": {set: func(b *v1Backend, v string) error {
		switch lower(v) {
		case "wrr":
			b.method = app.PolicyRoundRobin
		case "drr": // weights that follow the load; p2c is what does that here
			b.method = app.PolicyP2C
		default:
			return errors.New("want wrr or drr")
		}
		return nil
	}},
	"loadbalancer.stickiness":            setBool(func(b *v1Backend) *bool { return &b.sticky }),
	"loadbalancer.sticky":                setBool(func(b *v1Backend) *bool { return &b.sticky }),
	"loadbalancer.stickiness.cookiename": setString(func(b *v1Backend) *string { return &b.cookie }),
	"healthcheck.path":                   setString(func(b *v1Backend) *string { return &b.health.Path }),
	"healthcheck.interval":               setSpan(func(b *v1Backend) *app.Duration { return &b.health.Interval }),
	"healthcheck.timeout":                setSpan(func(b *v1Backend) *app.Duration { return &b.health.Timeout }),
	"healthcheck.hostname":               setString(func(b *v1Backend) *string { return &b.health.Host }),
	"healthcheck.port":                   {set: func(b *v1Backend, v string) (err error) { b.health.Port, err = parsePort(v); return err }},
	"healthcheck.scheme":                 {set: func(b *v1Backend, v string) (err error) { b.health.Scheme, err = parseScheme(v); return err }},
	"healthcheck.headers":                notDone[v1Backend]("health checks send no further headers"),
	"maxconn.amount":                     setInt(0, 1<<30, func(b *v1Backend) *int { return &b.maxConn }),
	"maxconn.extractorfunc":              {set: func(b *v1Backend, v string) (err error) { b.extractor, err = counted(v); return err }},
	"buffering.maxrequestbodybytes":      setSize(func(b *v1Backend) *app.Size { return &b.maxBody }),
	"loadbalancer.swarm":                 notDone[v1Backend]("requests go to the tasks and never to Swarm's own balancer"),
	"id":                                 notDone[v1Backend]("backends are not told apart by it"),
	"buffering.":                         notDone[v1Backend](whyBuffering),
	"circuitbreaker.expression":          notDone[v1Backend](whyBreaker),
	"responseforwarding.flushinterval":   notDone[v1Backend](whyFlush),
}

// Why labels of either dialect are not done.
const (
	whyBuffering = "bodies are passed on as they come, with bounded memory"
	whyBreaker   = "peers that fail are taken out by passive health checks"
	whyFlush     = "answers are passed on as they come"
	whyErrors    = "error pages are those of the application"
	whyTLSInfo   = "nothing of client certificates is passed on"
)

// counted reads what requests are told apart by: client.ip, request.host or
// request.header.NAME.
func counted(v string) (string, error) {
	key := lower(v)
	switch {
	case key == "client.ip":
		return "client_ip", nil
	case key == "request.host":
		return "application", nil
	case strings.HasPrefix(key, "request.header.") && len(v) > len("request.header."):
		return "header:" + v[len("request.header."):], nil
	}
	return "", errors.New("want client.ip, request.host or request.header.NAME")
}

// apply puts the backend's options into an application.
func (b *v1Backend) apply(d *draft) {
	d.peers.Policy = b.method
	if b.sticky || b.cookie != "" {
		d.peers.StickyCookie = &app.StickyCookie{Name: b.cookie}
	}
	if b.health != (app.HealthCheck{}) {
		health := b.health
		d.peers.HealthCheck = &health
	}
	d.peerLabels = append(d.peerLabels,
		place{"backend.peer_set_opts.health_check", "traefik.backend.healthcheck"},
		place{"backend.peer_set_opts.sticky_cookie", "traefik.backend.loadbalancer.stickiness.cookieName"})
}

// wrap are the middlewares of the backend's options, which stand inside those of
// the frontend's.
func (b *v1Backend) wrap(d *draft) {
	if b.maxConn > 0 {
		per := b.extractor
		if per == "" {
			per = "application"
		}
		d.wrap("traefik.backend.maxconn", app.Middleware{Kind: app.MiddlewareInFlight, InFlight: &app.InFlightOpts{Amount: b.maxConn, Per: per}})
	}
	if b.maxBody > 0 {
		d.wrap("traefik.backend.buffering.maxRequestBodyBytes", app.Middleware{Kind: app.MiddlewareMaxRequestBody, MaxRequestBody: &app.MaxRequestBodyOpts{Bytes: b.maxBody}})
	}
}

// v1Frontend is what the labels traefik.frontend.X say.
type v1Frontend struct {
	rule     string
	priority *int
	passHost *bool
	entries  entryPoints
	redirect app.RedirectRegexOpts
	toEntry  string
	allowed  []string
	basic    app.BasicAuthOpts
	forward  app.AuthForwardOpts
	forwarTL app.TLSConfig
	field    string // auth.headerField
	headers  app.HeadersOpts
	security securityHeaders
	rateBy   string
	rates    map[string]*app.RateLimitOpts

	labels map[string]string // the first label of each group, by the group's name
}

// label remembers which label a group of options came from.
func (f *v1Frontend) label(l *label, key string) {
	group, _, _ := strings.Cut(key, ".")
	if group == "auth" {
		group = strings.Join(strings.SplitN(key, ".", 3)[:min(2, strings.Count(key, ".")+1)], ".")
	}
	if f.labels == nil {
		f.labels = map[string]string{}
	}
	if f.labels[group] == "" || group == key {
		f.labels[group] = l.name
	}
}

var v1FrontendOptions = func() options[v1Frontend] {
	type F = v1Frontend
	o := options[F]{
		"rule":                 setString(func(f *F) *string { return &f.rule }),
		"priority":             {set: func(f *F, v string) (err error) { f.priority, err = parsePriority(v); return err }},
		"passhostheader":       {set: func(f *F, v string) error { b, err := parseBool(v); f.passHost = &b; return err }},
		"entrypoints":          {set: func(f *F, v string) error { return f.entries.read(v) }},
		"redirect.regex":       setString(func(f *F) *string { return &f.redirect.Regexp }),
		"redirect.replacement": setString(func(f *F) *string { return &f.redirect.Replacement }),
		"redirect.permanent":   setBool(func(f *F) *bool { return &f.redirect.Permanent }),
		"redirect.entrypoint":  setString(func(f *F) *string { return &f.toEntry }),
		"whitelist.sourcerange": {set: func(f *F, v string) (err error) {
			f.allowed, err = networks(v)
			return err
		}},
		"whitelistsourcerange": {set: func(f *F, v string) (err error) {
			f.allowed, err = networks(v)
			return err
		}},
		"whitelist.usexforwardedfor":          {set: onlyOwnAddress},
		"auth.basic":                          {secret: true, set: func(f *F, v string) error { return setUsers(&f.basic, v) }},
		"auth.basic.users":                    {secret: true, set: func(f *F, v string) error { return setUsers(&f.basic, v) }},
		"auth.basic.usersfile":                setString(func(f *F) *string { return &f.basic.UsersFile }),
		"auth.basic.removeheader":             setBool(func(f *F) *bool { return &f.basic.RemoveHeader }),
		"auth.basic.realm":                    setString(func(f *F) *string { return &f.basic.Realm }),
		"auth.removeheader":                   setBool(func(f *F) *bool { return &f.basic.RemoveHeader }),
		"auth.headerfield":                    setString(func(f *F) *string { return &f.field }),
		"auth.digest.":                        shut[F]("digest authentication is not there"),
		"auth.forward.address":                setString(func(f *F) *string { return &f.forward.Address }),
		"auth.forward.trustforwardheader":     setBool(func(f *F) *bool { return &f.forward.TrustForwardHeader }),
		"auth.forward.authresponseheaders":    setList(func(f *F) *[]string { return &f.forward.AuthResponseHeaders }),
		"auth.forward.tls.ca":                 setString(func(f *F) *string { return &f.forwarTL.CAFile }),
		"auth.forward.tls.cert":               setString(func(f *F) *string { return &f.forwarTL.ClientCertFile }),
		"auth.forward.tls.key":                setString(func(f *F) *string { return &f.forwarTL.ClientKeyFile }),
		"auth.forward.tls.insecureskipverify": setBool(func(f *F) *bool { return &f.forwarTL.InsecureSkipVerify }),
		"auth.forward.tls.caoptional":         notDone[F]("the authority's certificate is always verified"),
		"headers.customrequestheaders":        {secret: true, set: func(f *F, v string) (err error) { f.headers.Request, err = headerList(v); return err }},
		"headers.customresponseheaders":       {secret: true, set: func(f *F, v string) (err error) { f.headers.Response, err = headerList(v); return err }},
		"ratelimit.extractorfunc":             {set: func(f *F, v string) (err error) { f.rateBy, err = counted(v); return err }},
		"ratelimit.rateset.":                  {with: (*F).rate},
		"errors.":                             notDone[F](whyErrors),
		"passtlscert":                         shut[F](whyTLSInfo),
		"passtlsclientcert.":                  shut[F](whyTLSInfo),
	}
	for name, s := range securityOptions {
		o["headers."+name] = lift(s, func(f *F) *securityHeaders { return &f.security })
	}
	return o
}()

// onlyOwnAddress refuses an allow list of other addresses than the one that counts
// here: everybody behind a proxy that is on the list would be let in.
func onlyOwnAddress(_ *v1Frontend, v string) error {
	if on, err := parseBool(v); on || err != nil {
		return errors.Join(err, errors.New("is not done: "+whyClient))
	}
	return nil
}

// rate reads ratelimit.rateset.NAME.{period,average,burst}.
func (f *v1Frontend) rate(rest, value string) (err error) {
	name, field, _ := strings.Cut(rest, ".")
	if f.rates == nil {
		f.rates = map[string]*app.RateLimitOpts{}
	}
	r := f.rates[name]
	if r == nil {
		r = &app.RateLimitOpts{}
		f.rates[name] = r
	}
	switch lower(field) {
	case "period":
		r.Period, err = parseSpan(value)
	case "average":
		var n int
		n, err = parseInt(value, 1, 1000000000)
		r.Average = float64(n)
	case "burst":
		r.Burst, err = parseInt(value, 1, 1<<30)
	default:
		err = errors.New("want .period, .average or .burst")
	}
	return err
}

// apply puts the frontend's options into an application.
func (f *v1Frontend) apply(c *compiler, d *draft, b *v1Backend) {
	f.entries.resolve(&c.opts, f.labels["entrypoints"], &d.notes)
	plain := f.entries.plain && f.toEntry == ""
	if kind, _ := c.opts.entryPoint(f.toEntry); f.toEntry != "" && kind == EntryPointHTTP {
		d.notes.warn(f.labels["redirect"], f.toEntry, "has no effect: https is not redirected to plain HTTP", "")
	}
	rewrites := f.frontends(d, plain)
	if len(f.allowed) > 0 {
		d.wrap(cmpLabel(f.labels["whitelist"], f.labels["whitelistsourcerange"]), app.Middleware{Kind: app.MiddlewareAllowedIPs, AllowedIPs: &app.AllowedIPsOpts{Ranges: f.allowed}})
	}
	if f.redirect != (app.RedirectRegexOpts{}) {
		redirect := f.redirect
		d.wrap(f.labels["redirect"], app.Middleware{Kind: app.MiddlewareRedirectRegex, RedirectRegex: &redirect})
	}
	f.limits(d)
	f.auth(d)
	headers := f.security.merge(f.headers)
	if len(headers.Request)+len(headers.Response) > 0 {
		d.wrap(f.labels["headers"], app.Middleware{Kind: app.MiddlewareHeaders, Headers: &headers})
	}
	b.wrap(d)
	d.wrap(f.labels["rule"], rewrites...)
}

func (f *v1Frontend) limits(d *draft) {
	var names []string
	for name := range f.rates {
		names = append(names, name)
	}
	slices.Sort(names)
	per := f.rateBy
	if per == "" {
		per = "client_ip"
	}
	for _, name := range names {
		limit := *f.rates[name]
		limit.Per = per
		if limit.Average == 0 {
			d.notes.fail(f.labels["ratelimit"], "", fmt.Sprintf("the rate %q has no average", short(name)), "")
			continue
		}
		d.wrap(f.labels["ratelimit"], app.Middleware{Kind: app.MiddlewareRateLimit, RateLimit: &limit})
	}
	if len(names) == 0 && f.rateBy != "" {
		d.notes.warn(f.labels["ratelimit"], "", "has no effect without a rateSet", "")
	}
}

func (f *v1Frontend) auth(d *draft) {
	basic, forward := f.basic, f.forward
	if len(basic.Users) > 0 || basic.UsersFile != "" {
		basic.HeaderField = f.field
		d.wrap(f.labels["auth.basic"], app.Middleware{Kind: app.MiddlewareBasicAuth, BasicAuth: &basic})
	} else if f.labels["auth.basic"] != "" {
		d.notes.fail(f.labels["auth.basic"], "", "names no users", "")
	}
	if f.forwarTL != (app.TLSConfig{}) {
		t := f.forwarTL
		forward.TLSConfig = &t
	}
	if f.labels["auth.forward"] != "" {
		d.wrap(f.labels["auth.forward"], app.Middleware{Kind: app.MiddlewareForwardAuth, ForwardAuth: &forward})
	}
}

func cmpLabel(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// setUsers reads htpasswd lines with commas between them.
func setUsers(o *app.BasicAuthOpts, v string) error {
	users, err := list(v)
	o.Users = nil
	for _, u := range users {
		o.Users = append(o.Users, app.Secret(u))
	}
	return err
}

// v1Names are the labels of Traefik v1, for suggestions.
var v1Names = slices.Concat(
	[]string{"traefik.enable", "traefik.backend", "traefik.docker.network", "traefik.backend.tls.insecureskipverify", "traefik.backend.tls.servername"},
	v1PartOptions.names("traefik."), v1FrontendOptions.names("traefik.frontend."), v1BackendOptions.names("traefik.backend."),
)
