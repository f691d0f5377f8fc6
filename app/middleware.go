package app

// MiddlewareKind names a handler around the backend.
type MiddlewareKind string

// The kinds of middleware.
const (
	MiddlewareHeaders           MiddlewareKind = "headers"
	MiddlewareStripPrefix       MiddlewareKind = "strip_prefix"
	MiddlewareAddPrefix         MiddlewareKind = "add_prefix"
	MiddlewareReplacePath       MiddlewareKind = "replace_path"
	MiddlewareRedirectScheme    MiddlewareKind = "redirect_scheme"
	MiddlewareRedirectRegex     MiddlewareKind = "redirect_regex"
	MiddlewareBasicAuth         MiddlewareKind = "basic_auth"
	MiddlewareForwardAuth       MiddlewareKind = "forward_auth"
	MiddlewareAllowedIPs        MiddlewareKind = "allowed_ips"
	MiddlewareRateLimit         MiddlewareKind = "rate_limit"
	MiddlewareInFlight          MiddlewareKind = "in_flight"
	MiddlewareRetry             MiddlewareKind = "retry"
	MiddlewareCompress          MiddlewareKind = "compress"
	MiddlewareMaxRequestBody    MiddlewareKind = "max_request_body"
	MiddlewareChain             MiddlewareKind = "chain"
	MiddlewareClientCertificate MiddlewareKind = "client_certificate"
	MiddlewareAuthV0            MiddlewareKind = "auth_v0"
	MiddlewareAuthSSO           MiddlewareKind = "auth_sso"
	MiddlewareAuthForward       MiddlewareKind = "auth_forward"
	MiddlewareAuthOIDC          MiddlewareKind = "auth_oidc"
)

// Middleware is a kind and the options of that kind. The first one of an
// application is the outermost.
type Middleware struct {
	// Kind says what is done; the options are in the field KIND_opts.
	Kind MiddlewareKind `json:"kind" enum:"headers,strip_prefix,add_prefix,replace_path,redirect_scheme,redirect_regex,basic_auth,forward_auth,allowed_ips,rate_limit,in_flight,retry,compress,max_request_body,chain,client_certificate,auth_v0,auth_sso,auth_forward,auth_oidc"`
	// Headers is for kind headers.
	Headers *HeadersOpts `json:"headers_opts,omitempty"`
	// StripPrefix is for kind strip_prefix.
	StripPrefix *StripPrefixOpts `json:"strip_prefix_opts,omitempty"`
	// AddPrefix is for kind add_prefix.
	AddPrefix *AddPrefixOpts `json:"add_prefix_opts,omitempty"`
	// ReplacePath is for kind replace_path.
	ReplacePath *ReplacePathOpts `json:"replace_path_opts,omitempty"`
	// RedirectScheme is for kind redirect_scheme.
	RedirectScheme *RedirectSchemeOpts `json:"redirect_scheme_opts,omitempty"`
	// RedirectRegex is for kind redirect_regex.
	RedirectRegex *RedirectRegexOpts `json:"redirect_regex_opts,omitempty"`
	// BasicAuth is for kind basic_auth.
	BasicAuth *BasicAuthOpts `json:"basic_auth_opts,omitempty"`
	// ForwardAuth is for kind forward_auth.
	ForwardAuth *AuthForwardOpts `json:"forward_auth_opts,omitempty"`
	// AllowedIPs is for kind allowed_ips.
	AllowedIPs *AllowedIPsOpts `json:"allowed_ips_opts,omitempty"`
	// RateLimit is for kind rate_limit.
	RateLimit *RateLimitOpts `json:"rate_limit_opts,omitempty"`
	// InFlight is for kind in_flight.
	InFlight *InFlightOpts `json:"in_flight_opts,omitempty"`
	// Retry is for kind retry.
	Retry *RetryOpts `json:"retry_opts,omitempty"`
	// Compress is for kind compress, which works without options as well.
	Compress *CompressOpts `json:"compress_opts,omitempty"`
	// MaxRequestBody is for kind max_request_body.
	MaxRequestBody *MaxRequestBodyOpts `json:"max_request_body_opts,omitempty"`
	// Chain is for kind chain.
	Chain *ChainOpts `json:"chain_opts,omitempty"`
	// ClientCertificate is for kind client_certificate.
	ClientCertificate *ClientCertificateOpts `json:"client_certificate_opts,omitempty"`
	// AuthV0 is for kind auth_v0; what it protects is what follows it.
	AuthV0 *AuthV0Opts `json:"auth_v0_opts,omitempty"`
	// AuthSSO is for kind auth_sso; what it protects is what follows it.
	AuthSSO *AuthSSOOpts `json:"auth_sso_opts,omitempty"`
	// AuthForward is for kind auth_forward; what it protects is what follows it.
	AuthForward *AuthForwardOpts `json:"auth_forward_opts,omitempty"`
	// AuthOIDC is for kind auth_oidc; what it protects is what follows it.
	AuthOIDC *AuthOIDCOpts `json:"auth_oidc_opts,omitempty"`
}

// HeadersOpts change the fields of requests and responses.
type HeadersOpts struct {
	// Request fields that are set; an empty value removes the field.
	Request map[string]string `json:"request,omitempty"`
	// Response fields that are set; an empty value removes the field.
	Response map[string]string `json:"response,omitempty"`
}

// StripPrefixOpts take a prefix off the path.
type StripPrefixOpts struct {
	// Prefixes are tried in order; the first one that fits is taken off.
	Prefixes []string `json:"prefixes,omitempty"`
	// Regexps are tried after them; what one matches at the start is taken off.
	Regexps []string `json:"regexps,omitempty"`
}

// AddPrefixOpts put a prefix before the path.
type AddPrefixOpts struct {
	// Prefix that is put before the path.
	Prefix string `json:"prefix"`
}

// ReplacePathOpts replace the whole path, or what a regexp matches in it.
type ReplacePathOpts struct {
	// Path is the new path.
	Path string `json:"path,omitempty"`
	// Regexp is what is replaced, instead of the whole path.
	Regexp string `json:"regexp,omitempty"`
	// Replacement for what Regexp matches; $1 and ${name} are its groups.
	Replacement string `json:"replacement,omitempty"`
}

// RedirectSchemeOpts send requests of another scheme to Scheme.
type RedirectSchemeOpts struct {
	// Scheme that requests should have.
	Scheme string `json:"scheme" enum:"https,http"`
	// Port of the new URL; the scheme's own by default.
	Port int `json:"port,omitempty" min:"1" max:"65535"`
	// Permanent makes the redirect one that browsers remember.
	Permanent bool `json:"permanent,omitempty" default:"false"`
}

// RedirectRegexOpts redirect URLs that match.
type RedirectRegexOpts struct {
	// Regexp that is looked for in the whole URL.
	Regexp string `json:"regexp"`
	// Replacement for what Regexp matches; $1 and ${name} are its groups.
	Replacement string `json:"replacement"`
	// Permanent makes the redirect one that browsers remember.
	Permanent bool `json:"permanent,omitempty" default:"false"`
}

// BasicAuthOpts ask for a user name and a password.
type BasicAuthOpts struct {
	// Users are htpasswd lines "user:hash" (bcrypt, apr1 or SHA), or file:PATH or
	// env:NAME where such a line is.
	Users []Secret `json:"users,omitempty"`
	// UsersFile is an htpasswd file, beside or instead of Users.
	UsersFile string `json:"users_file,omitempty"`
	// Realm is shown in the browser's dialog.
	Realm string `json:"realm,omitempty" default:"restricted"`
	// HeaderField carries the user's name to the backend; none by default.
	HeaderField string `json:"header_field,omitempty"`
	// RemoveHeader drops Authorization before the backend sees the request.
	RemoveHeader bool `json:"remove_header,omitempty" default:"false"`
}

// AllowedIPsOpts name the client networks that may enter.
type AllowedIPsOpts struct {
	// Ranges are networks (10.0.0.0/8, 2001:db8::/32) and single addresses.
	Ranges []string `json:"ranges"`
}

// RateLimitOpts bound requests per time.
type RateLimitOpts struct {
	// Average is how many requests of one client may come in each Period; may be
	// a fraction.
	Average float64 `json:"average" min:"0.000001" max:"1000000000"`
	// Period that Average is counted in.
	Period Duration `json:"period,omitempty" default:"1s"`
	// Burst is how many may come at once.
	Burst int `json:"burst,omitempty" min:"1" default:"1"`
	// Per says what is counted apart: client_ip, header:NAME or application.
	Per string `json:"per,omitempty" default:"client_ip"`
}

// InFlightOpts bound concurrent requests.
type InFlightOpts struct {
	// Amount of requests at one time.
	Amount int `json:"amount" min:"1"`
	// Per says what is counted apart: client_ip, header:NAME or application.
	Per string `json:"per,omitempty" default:"client_ip"`
}

// RetryOpts try again what failed before it was answered.
type RetryOpts struct {
	// Attempts beyond the first.
	Attempts int `json:"attempts" min:"1" max:"100"`
	// InitialInterval is the wait before the first retry, doubling with each.
	InitialInterval Duration `json:"initial_interval,omitempty" default:"0s"`
}

// CompressOpts compress what clients accept.
type CompressOpts struct {
	// Encodings in order of preference.
	Encodings []string `json:"encodings,omitempty" enum:"zstd,br,gzip" default:"zstd,br,gzip"`
	// ExcludedTypes are media types that are left as they are.
	ExcludedTypes []string `json:"excluded_types,omitempty"`
	// IncludedTypes are the only media types that are compressed; not together
	// with ExcludedTypes.
	IncludedTypes []string `json:"included_types,omitempty"`
	// MinResponseBody in bytes; smaller responses are left as they are.
	MinResponseBody Size `json:"min_response_body,omitempty" default:"1KiB"`
}

// MaxRequestBodyOpts refuse larger bodies with 413.
type MaxRequestBodyOpts struct {
	// Bytes that a body may have.
	Bytes Size `json:"bytes" min:"1"`
}

// ChainOpts are middlewares in one, to be put somewhere as a whole.
type ChainOpts struct {
	// Middlewares in their order, the first one outermost.
	Middlewares []Middleware `json:"middlewares"`
}

// ClientCertificateOpts ask for a client certificate.
type ClientCertificateOpts struct {
	// CAFile is a PEM file with the authorities that clients' certificates come from.
	CAFile string `json:"ca_file"`
	// Optional lets clients without a certificate through.
	Optional bool `json:"optional,omitempty" default:"false"`
}
