package app

// Application is one thing that is served: the frontends say which requests it
// takes, the backend answers them, the middlewares stand between.
type Application struct {
	// ID names the application in metrics, logs, access rules, URLs and file
	// names: letters, digits, ".", "_" and "-", beginning with a letter or digit,
	// at most 128 characters. It is stable: changing it makes another application.
	ID string `json:"id"`
	// Frontends say which requests the application takes; at least one.
	Frontends []Frontend `json:"frontends"`
	// Middlewares are handlers around the backend, the first one outermost.
	Middlewares []Middleware `json:"middlewares,omitempty"`
	// Backend answers the requests.
	Backend Backend `json:"backend"`
}

// FrontendKind says what a frontend is matched by.
type FrontendKind string

// The kinds of frontend.
const (
	FrontendHostname       FrontendKind = "hostname"
	FrontendHostnameRegexp FrontendKind = "hostname_regexp"
	FrontendPathPrefix     FrontendKind = "path_prefix" // any host
	FrontendRule           FrontendKind = "rule"
)

// Frontend says which requests an application takes.
type Frontend struct {
	// Kind says what the frontend is matched by: a hostname, a pattern of
	// hostnames, a path prefix of any host, or a rule expression.
	Kind FrontendKind `json:"kind" enum:"hostname,hostname_regexp,path_prefix,rule"`
	// Hostname is exact, or "*.example.com" for one label in the star's place;
	// compared without case, port and trailing dot. International names are in
	// their xn-- form. Kind hostname only.
	Hostname string `json:"hostname,omitempty"`
	// HostnameRegexp is literal text with {regexp} or {name:regexp} parts,
	// anchored at both ends: "pr-{[0-9]+}.example.net". Kind hostname_regexp only.
	HostnameRegexp string `json:"hostname_regexp,omitempty"`
	// PathPrefix matches whole segments: "/foo" and "/foo/" both take /foo and
	// /foo/bar, not /foobar. Not with kind rule, whose expression says it.
	PathPrefix string `json:"path_prefix,omitempty" default:"/"`
	// Rule is a Traefik v3 rule expression: "Host(`a.example`) && Method(`GET`)".
	// Kind rule only.
	Rule string `json:"rule,omitempty"`
	// StripPathPrefix is removed from the path before the backend sees it, which
	// gets it as X-Forwarded-Prefix. In JSON true means the frontend's path_prefix.
	StripPathPrefix string `json:"strip_path_prefix,omitempty" switch:"path_prefix"`
	// AllowInsecureHTTP serves plain HTTP instead of redirecting it to https.
	AllowInsecureHTTP bool `json:"allow_insecure_http,omitempty" default:"false"`
	// OnlyInsecureHTTP leaves requests over https to other frontends; with
	// allow_insecure_http. Kinds hostname_regexp and rule.
	OnlyInsecureHTTP bool `json:"only_insecure_http,omitempty" default:"false"`
	// RulePriority takes the place of the text's length in the order among
	// hostname_regexp and rule, as Traefik's priority does; higher wins.
	RulePriority *int `json:"rule_priority,omitempty" min:"-1000000000" max:"1000000000"`
	// Priority, when set, goes before the natural order of matching; higher wins.
	Priority *int `json:"priority,omitempty" min:"-1000000000" max:"1000000000"`
}
