package labels

import (
	"errors"
	"strings"

	"edgerouter/app"
)

// middlewareKind makes middlewares of what labels declare.
type middlewareKind func(m *Middleware, n *notes) []app.Middleware

// reads is a kind whose options are read into a T.
func reads[T any](o options[T], done func(t *T, m *Middleware, n *notes) []app.Middleware) middlewareKind {
	return func(m *Middleware, n *notes) []app.Middleware {
		var t T
		m.each(func(l *label, key string) {
			if key == "" && (l.value == "" || lower(l.value) == "true") {
				return // traefik.http.middlewares.NAME.compress=true
			}
			o.read(&t, n, l, key)
		})
		return done(&t, m, n)
	}
}

// idle is a kind that is known and not done; what it is for is not to keep
// anybody out.
func idle(why string) middlewareKind {
	return func(m *Middleware, n *notes) []app.Middleware {
		m.each(func(l *label, _ string) { n.warn(l.name, "", "has no effect: "+why, "") })
		return nil
	}
}

// guard is a kind that is known and not done, and keeps people out.
func guard(why string) middlewareKind {
	return func(m *Middleware, n *notes) []app.Middleware {
		n.fail(m.label, "", "is not done, and without it the application would let in what this keeps out: "+why, "")
		return nil
	}
}

// refused is a kind that is known and not done, and that an application may
// depend on.
func refused(why string) middlewareKind {
	return func(m *Middleware, n *notes) []app.Middleware {
		n.fail(m.label, "", "is not done: "+why, "remove it from the router's middlewares")
		return nil
	}
}

func one(m app.Middleware) []app.Middleware { return []app.Middleware{m} }

// middlewareKinds are by the word behind the middleware's name. It is a function's
// result and not a literal, because chains refer to it.
var middlewareKinds = map[string]middlewareKind{
	"addprefix": reads(options[app.AddPrefixOpts]{
		"prefix": setString(func(o *app.AddPrefixOpts) *string { return &o.Prefix }),
	}, func(o *app.AddPrefixOpts, _ *Middleware, _ *notes) []app.Middleware {
		return one(app.Middleware{Kind: app.MiddlewareAddPrefix, AddPrefix: o})
	}),
	"stripprefix": reads(options[app.StripPrefixOpts]{
		"prefixes":   setList(func(o *app.StripPrefixOpts) *[]string { return &o.Prefixes }),
		"forceslash": only[app.StripPrefixOpts]("true", "what is left always begins with a slash"),
	}, stripPrefix),
	"stripprefixregex": reads(options[app.StripPrefixOpts]{
		"regex": setList(func(o *app.StripPrefixOpts) *[]string { return &o.Regexps }),
	}, stripPrefix),
	"replacepath": reads(options[app.ReplacePathOpts]{
		"path": setString(func(o *app.ReplacePathOpts) *string { return &o.Path }),
	}, replacePath),
	"replacepathregex": reads(options[app.ReplacePathOpts]{
		"regex":       setString(func(o *app.ReplacePathOpts) *string { return &o.Regexp }),
		"replacement": setString(func(o *app.ReplacePathOpts) *string { return &o.Replacement }),
	}, replacePath),
	"redirectscheme": reads(options[app.RedirectSchemeOpts]{
		"scheme":    setString(func(o *app.RedirectSchemeOpts) *string { return &o.Scheme }),
		"permanent": setBool(func(o *app.RedirectSchemeOpts) *bool { return &o.Permanent }),
		"port":      {set: func(o *app.RedirectSchemeOpts, v string) (err error) { o.Port, err = parsePort(v); return err }},
	}, func(o *app.RedirectSchemeOpts, _ *Middleware, _ *notes) []app.Middleware {
		return one(app.Middleware{Kind: app.MiddlewareRedirectScheme, RedirectScheme: o})
	}),
	"redirectregex": reads(options[app.RedirectRegexOpts]{
		"regex":       setString(func(o *app.RedirectRegexOpts) *string { return &o.Regexp }),
		"replacement": setString(func(o *app.RedirectRegexOpts) *string { return &o.Replacement }),
		"permanent":   setBool(func(o *app.RedirectRegexOpts) *bool { return &o.Permanent }),
	}, func(o *app.RedirectRegexOpts, _ *Middleware, _ *notes) []app.Middleware {
		return one(app.Middleware{Kind: app.MiddlewareRedirectRegex, RedirectRegex: o})
	}),
	"basicauth": reads(options[app.BasicAuthOpts]{
		"users":        {secret: true, set: func(o *app.BasicAuthOpts, v string) error { return setUsers(o, v) }},
		"usersfile":    setString(func(o *app.BasicAuthOpts) *string { return &o.UsersFile }),
		"realm":        setString(func(o *app.BasicAuthOpts) *string { return &o.Realm }),
		"headerfield":  setString(func(o *app.BasicAuthOpts) *string { return &o.HeaderField }),
		"removeheader": setBool(func(o *app.BasicAuthOpts) *bool { return &o.RemoveHeader }),
	}, func(o *app.BasicAuthOpts, _ *Middleware, _ *notes) []app.Middleware {
		return one(app.Middleware{Kind: app.MiddlewareBasicAuth, BasicAuth: o})
	}),
	"forwardauth": reads(forwardOptions, func(o *forward, _ *Middleware, _ *notes) []app.Middleware {
		if o.tls != (app.TLSConfig{}) {
			o.opts.TLSConfig = &o.tls
		}
		return one(app.Middleware{Kind: app.MiddlewareForwardAuth, ForwardAuth: &o.opts})
	}),
	"headers":     reads(headersOptions, headersOf),
	"ipallowlist": reads(ipOptions, allowed),
	"ipwhitelist": reads(ipOptions, allowed),
	"ratelimit":   reads(rateOptions, rateLimit),
	"inflightreq": reads(options[inFlight]{
		"amount":                            setInt(1, 1<<30, func(o *inFlight) *int { return &o.Amount }),
		"sourcecriterion.requesthost":       {set: func(o *inFlight, v string) error { return perHost(&o.Per, v) }},
		"sourcecriterion.requestheadername": {set: func(o *inFlight, v string) error { o.Per = "header:" + v; return nil }},
		"sourcecriterion.ipstrategy":        {set: func(o *inFlight, v string) error { return perClient(&o.Per, v) }},
		"sourcecriterion.ipstrategy.":       {with: func(o *inFlight, _, _ string) error { return ipStrategy() }},
	}, func(o *inFlight, _ *Middleware, _ *notes) []app.Middleware {
		if o.Per == "" {
			o.Per = "application" // Traefik counts by host
		}
		return one(app.Middleware{Kind: app.MiddlewareInFlight, InFlight: &app.InFlightOpts{Amount: o.Amount, Per: o.Per}})
	}),
	"retry": reads(options[app.RetryOpts]{
		"attempts":        setInt(1, 100, func(o *app.RetryOpts) *int { return &o.Attempts }),
		"initialinterval": setSpan(func(o *app.RetryOpts) *app.Duration { return &o.InitialInterval }),
	}, func(o *app.RetryOpts, m *Middleware, n *notes) []app.Middleware {
		switch o.Attempts {
		case 0:
			n.fail(m.label+".retry.attempts", "", "is missing", "")
			return nil
		case 1:
			return nil // Traefik counts the first attempt
		}
		o.Attempts--
		return one(app.Middleware{Kind: app.MiddlewareRetry, Retry: o})
	}),
	"compress": reads(options[app.CompressOpts]{
		"encodings":            setList(func(o *app.CompressOpts) *[]string { return &o.Encodings }),
		"excludedcontenttypes": setList(func(o *app.CompressOpts) *[]string { return &o.ExcludedTypes }),
		"includedcontenttypes": setList(func(o *app.CompressOpts) *[]string { return &o.IncludedTypes }),
		"minresponsebodybytes": setSize(func(o *app.CompressOpts) *app.Size { return &o.MinResponseBody }),
		"defaultencoding":      notDone[app.CompressOpts]("clients that accept nothing get nothing compressed"),
	}, func(o *app.CompressOpts, _ *Middleware, _ *notes) []app.Middleware {
		return one(app.Middleware{Kind: app.MiddlewareCompress, Compress: o})
	}),
	"buffering": reads(options[app.MaxRequestBodyOpts]{
		"maxrequestbodybytes":  setSize(func(o *app.MaxRequestBodyOpts) *app.Size { return &o.Bytes }),
		"memrequestbodybytes":  notDone[app.MaxRequestBodyOpts](whyBuffering),
		"maxresponsebodybytes": shut[app.MaxRequestBodyOpts]("answers are passed on as they come, however long they are"),
		"memresponsebodybytes": notDone[app.MaxRequestBodyOpts](whyBuffering),
		"retryexpression":      notDone[app.MaxRequestBodyOpts]("retries are decided by the proxy: see the middleware retry"),
	}, func(o *app.MaxRequestBodyOpts, _ *Middleware, _ *notes) []app.Middleware {
		if o.Bytes == 0 {
			return nil
		}
		return one(app.Middleware{Kind: app.MiddlewareMaxRequestBody, MaxRequestBody: o})
	}),
	"chain": reads(options[struct{}]{
		"middlewares": {set: func(_ *struct{}, v string) error { _, err := list(v); return err }},
	}, func(*struct{}, *Middleware, *notes) []app.Middleware { return nil }),

	"circuitbreaker":    refused(whyBreaker),
	"errors":            refused(whyErrors),
	"contenttype":       refused("the type of an answer is the application's business"),
	"grpcweb":           refused("gRPC-Web is passed on as it is"),
	"passtlsclientcert": guard(whyTLSInfo),
	"encodedcharacters": idle("encoded slashes never reach what another application protects; other characters are passed on as they come"),
	"digestauth":        guard("digest authentication is not there; use basicauth"),
	"plugin":            guard("there are no plugins"),
}

func stripPrefix(o *app.StripPrefixOpts, _ *Middleware, _ *notes) []app.Middleware {
	return one(app.Middleware{Kind: app.MiddlewareStripPrefix, StripPrefix: o})
}

func replacePath(o *app.ReplacePathOpts, _ *Middleware, _ *notes) []app.Middleware {
	return one(app.Middleware{Kind: app.MiddlewareReplacePath, ReplacePath: o})
}

// forward are the options of forwardauth.
type forward struct {
	opts app.AuthForwardOpts
	tls  app.TLSConfig
}

var forwardOptions = func() options[forward] {
	type F = forward
	return options[F]{
		"address":                  setString(func(o *F) *string { return &o.opts.Address }),
		"trustforwardheader":       setBool(func(o *F) *bool { return &o.opts.TrustForwardHeader }),
		"authresponseheaders":      setList(func(o *F) *[]string { return &o.opts.AuthResponseHeaders }),
		"authresponseheadersregex": setString(func(o *F) *string { return &o.opts.AuthResponseHeadersRegex }),
		"authrequestheaders":       notDone[F]("the server that is asked gets all headers of the request"),
		"addauthcookiestoresponse": setList(func(o *F) *[]string { return &o.opts.AddAuthCookiesToResponse }),
		"forwardbody":              only[F]("false", "write forwardauth.maxbodysize to hand the body on"),
		"maxbodysize":              setSize(func(o *F) *app.Size { return &o.opts.MaxBody }),
		"headerfield":              shut[F]("name the header in authresponseheaders, so that the client's own never passes"),
		"maxresponsebodysize":      notDone[F]("the answer of the server that is asked is bounded anyway"),
		"authsigninurl":            notDone[F]("the answer of the server that is asked says where to sign in"),
		"preservelocationheader":   notDone[F]("the Location of a refusal is passed on as it is"),
		"preserverequestmethod":    notDone[F]("the method of the request is told in X-Forwarded-Method"),
		"tls.ca":                   setString(func(o *F) *string { return &o.tls.CAFile }),
		"tls.cert":                 setString(func(o *F) *string { return &o.tls.ClientCertFile }),
		"tls.key":                  setString(func(o *F) *string { return &o.tls.ClientKeyFile }),
		"tls.insecureskipverify":   setBool(func(o *F) *bool { return &o.tls.InsecureSkipVerify }),
		"tls.caoptional":           notDone[F]("the authority's certificate is always verified"),
	}
}()

// customHeaders are the options of headers.
type customHeaders struct {
	fields   app.HeadersOpts
	security securityHeaders
}

func setHeader(m *map[string]string, name, value string) error {
	if name == "" {
		return errors.New("names no header")
	}
	if err := noReference(name, value); err != nil {
		return err
	}
	if *m == nil {
		*m = map[string]string{}
	}
	(*m)[name] = value
	return nil
}

var headersOptions = func() options[customHeaders] {
	type H = customHeaders
	o := options[H]{
		"customrequestheaders.":  {secret: true, with: func(h *H, name, v string) error { return setHeader(&h.fields.Request, name, v) }},
		"customresponseheaders.": {secret: true, with: func(h *H, name, v string) error { return setHeader(&h.fields.Response, name, v) }},
	}
	for name, s := range securityOptions {
		o[name] = lift(s, func(h *H) *securityHeaders { return &h.security })
	}
	return o
}()

func headersOf(h *customHeaders, _ *Middleware, _ *notes) []app.Middleware {
	fields := h.security.merge(h.fields)
	if len(fields.Request)+len(fields.Response) == 0 {
		return nil
	}
	return one(app.Middleware{Kind: app.MiddlewareHeaders, Headers: &fields})
}

var ipOptions = options[app.AllowedIPsOpts]{
	"sourcerange":      {set: func(o *app.AllowedIPsOpts, v string) (err error) { o.Ranges, err = networks(v); return err }},
	"ipstrategy":       {set: func(*app.AllowedIPsOpts, string) error { return nil }},
	"ipstrategy.":      shut[app.AllowedIPsOpts](whyClient),
	"rejectstatuscode": only[app.AllowedIPsOpts]("403", "who may not enter gets 403"),
}

const whyClient = "--trusted-proxies says whose X-Forwarded-For is believed"

func allowed(o *app.AllowedIPsOpts, _ *Middleware, _ *notes) []app.Middleware {
	return one(app.Middleware{Kind: app.MiddlewareAllowedIPs, AllowedIPs: o})
}

type inFlight struct {
	Amount int
	Per    string
}

func perHost(per *string, v string) error {
	on, err := parseBool(v)
	if on {
		*per = "application"
	}
	return err
}

func perClient(per *string, v string) error {
	on, err := parseBool(v)
	if on {
		*per = "client_ip"
	}
	return err
}

// ipStrategy refuses another way to find the client's address: a limit that counts
// by another address than was asked for may be no limit.
func ipStrategy() error { return errors.New("is not done: " + whyClient) }

// rateOptions are the options of ratelimit.
var rateOptions = options[app.RateLimitOpts]{
	"average": {set: func(o *app.RateLimitOpts, v string) error {
		n, err := parseInt(v, 0, 1000000000)
		o.Average = float64(n)
		return err
	}},
	"period":                            setSpan(func(o *app.RateLimitOpts) *app.Duration { return &o.Period }),
	"burst":                             setInt(1, 1<<30, func(o *app.RateLimitOpts) *int { return &o.Burst }),
	"sourcecriterion.requesthost":       {set: func(o *app.RateLimitOpts, v string) error { return perHost(&o.Per, v) }},
	"sourcecriterion.requestheadername": {set: func(o *app.RateLimitOpts, v string) error { o.Per = "header:" + v; return nil }},
	"sourcecriterion.ipstrategy":        {set: func(o *app.RateLimitOpts, v string) error { return perClient(&o.Per, v) }},
	"sourcecriterion.ipstrategy.":       {with: func(o *app.RateLimitOpts, _, _ string) error { return ipStrategy() }},
	"redis.":                            notDone[app.RateLimitOpts]("the nodes of a cluster count together over the event bus"),
}

// rateLimit is nothing without an average, which in Traefik means no limit.
func rateLimit(o *app.RateLimitOpts, m *Middleware, n *notes) []app.Middleware {
	if o.Average == 0 {
		n.warn(m.label+".ratelimit.average", "", "has no effect: 0 is no limit", "")
		return nil
	}
	if strings.HasPrefix(o.Per, "header:") && o.Per == "header:" {
		o.Per = ""
	}
	return one(app.Middleware{Kind: app.MiddlewareRateLimit, RateLimit: o})
}
