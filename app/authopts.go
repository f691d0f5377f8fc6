package app

// AuthV0Opts protect a backend with one shared token.
type AuthV0Opts struct {
	// BearerToken is the token, or file:PATH or env:NAME where it is.
	BearerToken Secret `json:"bearer_token"`
	// AuthorizedBackend answers who has it; not in a middleware.
	AuthorizedBackend *Backend `json:"authorized_backend,omitempty"`
}

// AuthSSOOpts protect a backend with function61 id.
type AuthSSOOpts struct {
	// IDServerURL is where users sign in and where the keys are.
	IDServerURL string `json:"id_server_url,omitempty"`
	// AllowedUserIDs are the users that may enter.
	AllowedUserIDs []string `json:"allowed_user_ids"`
	// Audience that tokens must be made for.
	Audience string `json:"audience"`
	// Issuer that tokens must be of, if they name one; id_server_url by default.
	Issuer string `json:"issuer,omitempty"`
	// AuthorizedBackend answers who may enter; not in a middleware.
	AuthorizedBackend *Backend `json:"authorized_backend,omitempty"`
}

// AuthForwardOpts ask another server about each request.
type AuthForwardOpts struct {
	// Address is the URL that is asked; an answer of 2xx lets the request through.
	Address string `json:"address"`
	// TrustForwardHeader keeps X-Forwarded-Method and -Uri of a trusted proxy (flag
	// --trusted-proxies); nobody else's are ever passed on.
	TrustForwardHeader bool `json:"trust_forward_header,omitempty" default:"false"`
	// AuthResponseHeaders are copied from its answer to the request.
	AuthResponseHeaders []string `json:"auth_response_headers,omitempty"`
	// AuthResponseHeadersRegex names further headers that are copied, by a regexp
	// that is looked for in their names in any case.
	AuthResponseHeadersRegex string `json:"auth_response_headers_regex,omitempty"`
	// AddAuthCookiesToResponse are names of cookies; of an answer that lets the
	// request through only these are set. Without names all are.
	AddAuthCookiesToResponse []string `json:"add_auth_cookies_to_response,omitempty"`
	// MaxBody is how much of the request's body it gets; 0: none.
	MaxBody Size `json:"max_body,omitempty" default:"0"`
	// TLSConfig says how an https Address is verified.
	TLSConfig *TLSConfig `json:"tls_config,omitempty"`
	// RefuseLocal keeps it from addresses of this machine: loopback, link-local and
	// unspecified ones, whatever Address resolves to.
	RefuseLocal bool `json:"refuse_local,omitempty" default:"false"`
	// AuthorizedBackend answers who may enter; not in a middleware.
	AuthorizedBackend *Backend `json:"authorized_backend,omitempty"`
}

// AuthOIDCOpts protect a backend with any OpenID provider.
type AuthOIDCOpts struct {
	// Issuer is the provider's URL; /.well-known/openid-configuration is below it.
	Issuer string `json:"issuer"`
	// ClientID that the provider gave.
	ClientID string `json:"client_id"`
	// ClientSecret that the provider gave, or file:PATH or env:NAME where it is.
	ClientSecret Secret `json:"client_secret,omitempty"`
	// ClientSecretFile holds the client's secret, instead of ClientSecret.
	ClientSecretFile string `json:"client_secret_file,omitempty"`
	// Scopes that are asked for; openid always is.
	Scopes []string `json:"scopes,omitempty" default:"openid,email,profile"`
	// Allowed says who may enter; required, so that nothing is opened by forgetting it.
	Allowed *OIDCAllowed `json:"allowed"`
	// AuthorizedBackend answers who may enter; not in a middleware.
	AuthorizedBackend *Backend `json:"authorized_backend,omitempty"`
}

// OIDCAllowed says who of the provider's users may enter: whoever is in one of
// the lists.
type OIDCAllowed struct {
	// Emails of users, as the provider verified them.
	Emails []string `json:"emails,omitempty"`
	// Domains of users' email addresses.
	Domains []string `json:"domains,omitempty"`
	// Groups that the provider says the user is in.
	Groups []string `json:"groups,omitempty"`
	// Subjects are the provider's own ids of users.
	Subjects []string `json:"subjects,omitempty"`
}
