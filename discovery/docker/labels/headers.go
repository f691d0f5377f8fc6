package labels

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"edgerouter/app"
)

// securityHeaders are the options of Traefik's headers middleware that amount to
// fixed response fields.
type securityHeaders struct {
	set        map[string]string
	seconds    int
	subdomains bool
	preload    bool
}

func (s *securityHeaders) put(name, value string) {
	if s.set == nil {
		s.set = map[string]string{}
	}
	s.set[name] = value
}

// field is an option that sets a response field to the label's value.
func field(name string) option[securityHeaders] {
	return option[securityHeaders]{set: func(s *securityHeaders, v string) error {
		s.put(name, v)
		return nil
	}}
}

// fixed is an option that sets a response field to a fixed value.
func fixed(name, value string) option[securityHeaders] {
	return option[securityHeaders]{set: func(s *securityHeaders, v string) error {
		on, err := parseBool(v)
		if on {
			s.put(name, value)
		}
		return err
	}}
}

// securityOptions are by the name of the option, which both dialects share.
var securityOptions = options[securityHeaders]{
	"framedeny":                         fixed("X-Frame-Options", "DENY"),
	"customframeoptionsvalue":           field("X-Frame-Options"),
	"contenttypenosniff":                fixed("X-Content-Type-Options", "nosniff"),
	"browserxssfilter":                  fixed("X-XSS-Protection", "1; mode=block"),
	"custombrowserxssvalue":             field("X-XSS-Protection"),
	"contentsecuritypolicy":             field("Content-Security-Policy"),
	"contentsecuritypolicyreportonly":   field("Content-Security-Policy-Report-Only"),
	"referrerpolicy":                    field("Referrer-Policy"),
	"permissionspolicy":                 field("Permissions-Policy"),
	"featurepolicy":                     field("Feature-Policy"),
	"publickey":                         field("Public-Key-Pins"),
	"stsseconds":                        setInt(0, 1<<31-1, func(s *securityHeaders) *int { return &s.seconds }),
	"stsincludesubdomains":              setBool(func(s *securityHeaders) *bool { return &s.subdomains }),
	"stspreload":                        setBool(func(s *securityHeaders) *bool { return &s.preload }),
	"forcestsheader":                    notDone[securityHeaders]("the field is sent whatever the scheme; browsers heed it with https only"),
	"sslredirect":                       notDone[securityHeaders](whyRedirect),
	"ssltemporaryredirect":              notDone[securityHeaders](whyRedirect),
	"sslhost":                           notDone[securityHeaders](whyRedirect),
	"sslforcehost":                      notDone[securityHeaders](whyRedirect),
	"sslproxyheaders":                   notDone[securityHeaders]("--trusted-proxies says whose X-Forwarded-Proto is believed"),
	"sslproxyheaders.":                  notDone[securityHeaders]("--trusted-proxies says whose X-Forwarded-Proto is believed"),
	"isdevelopment":                     notDone[securityHeaders]("there is no such mode"),
	"allowedhosts":                      shut[securityHeaders]("the rule says which hosts are served"),
	"hostsproxyheaders":                 notDone[securityHeaders]("the host is the request's own"),
	"accesscontrolallowcredentials":     notDone[securityHeaders](whyCORS),
	"accesscontrolallowheaders":         notDone[securityHeaders](whyCORS),
	"accesscontrolallowmethods":         notDone[securityHeaders](whyCORS),
	"accesscontrolalloworiginlist":      notDone[securityHeaders](whyCORS),
	"accesscontrolalloworiginlistregex": notDone[securityHeaders](whyCORS),
	"accesscontrolexposeheaders":        notDone[securityHeaders](whyCORS),
	"accesscontrolmaxage":               notDone[securityHeaders](whyCORS),
	"addvaryheader":                     notDone[securityHeaders](whyCORS),
}

const (
	whyRedirect = "plain HTTP is redirected to https anyway"
	whyCORS     = "cross-origin requests are answered by the application"
)

// merge adds the fields to those that were given by name, which stay.
func (s *securityHeaders) merge(h app.HeadersOpts) app.HeadersOpts {
	if s.seconds > 0 {
		v := "max-age=" + strconv.Itoa(s.seconds)
		if s.subdomains {
			v += "; includeSubDomains"
		}
		if s.preload {
			v += "; preload"
		}
		s.put("Strict-Transport-Security", v)
	}
	if len(s.set) == 0 {
		return h
	}
	response := maps.Clone(s.set)
	for name, value := range h.Response {
		for known := range s.set {
			if strings.EqualFold(known, name) {
				delete(response, known)
			}
		}
		response[name] = value
	}
	h.Response = response
	return h
}

// lift makes an option of a part into one of the whole.
func lift[T, P any](o option[P], part func(*T) *P) option[T] {
	out := option[T]{why: o.why, shut: o.shut, secret: o.secret, soft: o.soft}
	if o.set != nil {
		out.set = func(t *T, v string) error { return o.set(part(t), v) }
	}
	return out
}

// entryPoints are the names of Traefik's listeners. Here there are two of them.
type entryPoints struct {
	names         []string
	plain, secure bool
	off           bool // all of them are
}

func (e *entryPoints) read(v string) error {
	names, err := list(v)
	*e = entryPoints{names: names}
	return err
}

// EntryPoint is what a name of one of Traefik's listeners stands for.
type EntryPoint string

// What entry points stand for.
const (
	EntryPointHTTP  EntryPoint = "http"
	EntryPointHTTPS EntryPoint = "https"
	EntryPointOff   EntryPoint = "off" // not served here
)

// DefaultEntryPoints are the names that mean something without being mapped.
var DefaultEntryPoints = map[string]EntryPoint{
	"web": EntryPointHTTP, "http": EntryPointHTTP, "80": EntryPointHTTP,
	"websecure": EntryPointHTTPS, "https": EntryPointHTTPS, "443": EntryPointHTTPS,
}

// ParseEntryPoints reads a list such as "lan=http,vpn=off" and adds it to
// DefaultEntryPoints.
func ParseEntryPoints(s string) (map[string]EntryPoint, error) {
	names, err := list(s)
	if err != nil {
		return nil, err
	}
	points := maps.Clone(DefaultEntryPoints)
	for _, part := range names {
		name, kind, ok := strings.Cut(part, "=")
		name, kind = lower(strings.TrimSpace(name)), lower(strings.TrimSpace(kind))
		switch k := EntryPoint(kind); {
		case !ok || name == "":
			return nil, fmt.Errorf("%q is not NAME=http, NAME=https or NAME=off", short(part))
		case k != EntryPointHTTP && k != EntryPointHTTPS && k != EntryPointOff:
			return nil, fmt.Errorf("%q: want http, https or off, not %q", short(part), short(kind))
		default:
			points[name] = k
		}
	}
	return points, nil
}

func (o *Options) entryPoint(name string) (EntryPoint, bool) {
	points := o.EntryPoints
	if points == nil {
		points = DefaultEntryPoints
	}
	kind, ok := points[lower(name)]
	return kind, ok
}

// resolve finds out what the names stand for. What is for listeners that are not
// known here must not be served on those that are.
func (e *entryPoints) resolve(o *Options, label string, n *notes) {
	off := 0
	for _, name := range e.names {
		kind, ok := o.entryPoint(name)
		switch {
		case !ok:
			n.fail(label, name, "is an entry point that is not known here; what is for it alone must not be served on others",
				"map it with --docker-entrypoints "+name+"=http, "+name+"=https or "+name+"=off")
		case kind == EntryPointHTTP:
			e.plain = true
		case kind == EntryPointHTTPS:
			e.secure = true
		default:
			off++
		}
	}
	e.off = off > 0 && off == len(e.names)
}

// parsePriority reads the order among rules. 0 is Traefik's way to say nothing.
func parsePriority(v string) (*int, error) {
	n, err := strconv.Atoi(v)
	switch {
	case err != nil && errors.Is(err, strconv.ErrRange):
		return nil, fmt.Errorf("beyond %d", maxPriority)
	case err != nil:
		return nil, errors.New("want a whole number")
	case n == 0:
		return nil, nil
	}
	// Traefik's own examples use the largest number there is.
	n = min(max(n, -maxPriority), maxPriority)
	return &n, nil
}

const maxPriority = 1000000000
