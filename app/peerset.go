package app

// PeerSetOpts are the options of a set of HTTP peers.
type PeerSetOpts struct {
	// Addrs are http://, https:// or h2c:// addresses: host or IP, optional
	// port, optional path that is put before the request's path.
	Addrs []string `json:"addrs" alias:"origins"`
	// TLSConfig says how https peers are verified.
	TLSConfig *TLSConfig `json:"tls_config,omitempty"`
	// PassHostHeader sends the client's Host instead of the peer's.
	PassHostHeader bool `json:"pass_host_header,omitempty" default:"false"`
	// IndexDocument is appended to request paths that end with "/".
	IndexDocument string `json:"index_document,omitempty"`
	// RemoveQueryString drops the query before the peer sees the request.
	RemoveQueryString bool `json:"remove_query_string,omitempty" default:"false"`
	// HeadersToOrigin are set on requests to the peers.
	HeadersToOrigin map[string]string `json:"headers_to_origin,omitempty"`
	// Caching keeps answers of the peers; in JSON true turns it on with defaults.
	Caching *Caching `json:"caching,omitempty" switch:"enabled"`
	// Weights maps an address of Addrs to its weight; 1 where absent, 0 drains.
	Weights map[string]int `json:"weights,omitempty" min:"0" max:"1000000" default:"1"`
	// Policy says how a peer is chosen: p2c takes the less loaded of two.
	Policy Policy `json:"policy,omitempty" enum:"p2c,round_robin,least_conn,hash" default:"p2c"`
	// HashOn says what policy hash hashes: client_ip, path, header:NAME or cookie:NAME.
	HashOn string `json:"hash_on,omitempty" default:"client_ip"`
	// StickyCookie keeps a client on one peer.
	StickyCookie *StickyCookie `json:"sticky_cookie,omitempty"`
	// HealthCheck asks each peer regularly.
	HealthCheck *HealthCheck `json:"health_check,omitempty"`
	// PassiveHealth ejects peers that fail real requests; on by default.
	PassiveHealth *PassiveHealth `json:"passive_health,omitempty"`
	// Retries says what is tried again on another peer; on by default.
	Retries *Retries `json:"retries,omitempty"`
	// Timeouts bound the steps of a request to a peer.
	Timeouts *Timeouts `json:"timeouts,omitempty"`
	// MaxConnections is per peer; 0 is no limit.
	MaxConnections int `json:"max_connections,omitempty" min:"0" default:"0"`
	// MaxRequests in flight is per peer; 0 is no limit.
	MaxRequests int `json:"max_requests,omitempty" min:"0" default:"0"`
	// MaxPending requests wait for a place when the limits are reached; 0: none
	// wait, they get 503.
	MaxPending int `json:"max_pending,omitempty" min:"0" default:"0"`
	// PendingTimeout is how long a request waits for a place before it gets 503.
	PendingTimeout Duration `json:"pending_timeout,omitempty" default:"5s"`
	// MaxRequestBody in bytes; a larger one gets 413. It takes the place of the node's
	// limit (--max-body), whether it is lower or higher; 0 leaves that in force.
	MaxRequestBody Size `json:"max_request_body,omitempty" default:"0"`
	// Upgrades are the protocols that clients may switch to (the Upgrade field);
	// an empty list: none. Absent: websocket.
	Upgrades []string `json:"upgrades,omitempty"`
	// RequestTrailers passes on the trailers of chunked requests. They are dropped
	// otherwise, but for gRPC, because few applications keep them apart from fields.
	RequestTrailers bool `json:"request_trailers,omitempty" default:"false"`
	// ResponseHeaders are set on and removed from what peers answer.
	ResponseHeaders *ResponseHeaders `json:"response_headers,omitempty"`
	// Turbocharger "off" ignores the advertisement header of the peers.
	Turbocharger string `json:"turbocharger,omitempty" enum:"on,off" default:"on"`
}

// Policy says how a peer is chosen.
type Policy string

// The balancing policies; empty means p2c.
const (
	PolicyP2C        Policy = "p2c"
	PolicyRoundRobin Policy = "round_robin"
	PolicyLeastConn  Policy = "least_conn"
	PolicyHash       Policy = "hash"
)

// TLSConfig says how https servers are verified. Verification is on by default.
type TLSConfig struct {
	// InsecureSkipVerify accepts any certificate.
	InsecureSkipVerify bool `json:"insecure_skip_verify,omitempty" default:"false"`
	// ServerName is asked for and verified instead of the address's host.
	ServerName string `json:"server_name,omitempty"`
	// ClientCertFile is a PEM file with the certificate that we show.
	ClientCertFile string `json:"client_cert_file,omitempty"`
	// ClientKeyFile is a PEM file with the key of ClientCertFile.
	ClientKeyFile string `json:"client_key_file,omitempty"`
	// CAFile is a PEM file with the authorities to trust instead of the system's.
	CAFile string `json:"ca_file,omitempty"`
}

// Caching turns on an HTTP cache (RFC 9111) in front of the peers.
type Caching struct {
	// Enabled turns the cache on.
	Enabled bool `json:"enabled"`
	// MaxMemory bounds what is kept in memory.
	MaxMemory Size `json:"max_memory,omitempty"`
	// MaxDisk bounds what is kept on disk.
	MaxDisk Size `json:"max_disk,omitempty"`
	// MaxObject bounds one response; larger ones are not kept.
	MaxObject Size `json:"max_object,omitempty"`
	// DefaultTTL is how long a response that says nothing about it is fresh.
	DefaultTTL Duration `json:"default_ttl,omitempty" default:"0s"`
	// StaleIfError is how long a stale response may stand in for a failing peer.
	StaleIfError Duration `json:"stale_if_error,omitempty" default:"0s"`
}

// StickyCookie keeps a client on one peer. The value names the peer without
// giving its address away.
type StickyCookie struct {
	// Name of the cookie.
	Name string `json:"name,omitempty" default:"er_peer"`
	// MaxAge is how long browsers keep it; 0 makes a session cookie.
	MaxAge Duration `json:"max_age,omitempty" min:"1s" default:"0s"`
	// Secure keeps it to https.
	Secure bool `json:"secure,omitempty" default:"false"`
	// SameSite of the cookie; none brings secure with it.
	SameSite string `json:"same_site,omitempty" enum:"lax,strict,none" default:"lax"`
}

// HealthCheck asks each peer regularly.
type HealthCheck struct {
	// Path that is asked for, with an optional query.
	Path string `json:"path"`
	// Port that is asked; the peer's own by default.
	Port int `json:"port,omitempty" min:"1" max:"65535"`
	// Scheme that is spoken; the peer's own by default.
	Scheme string `json:"scheme,omitempty" enum:"http,https,h2c"`
	// Interval between two checks of a peer.
	Interval Duration `json:"interval,omitempty" min:"10ms" default:"10s"`
	// Timeout of one check.
	Timeout Duration `json:"timeout,omitempty" default:"2s"`
	// Status codes and ranges that mean healthy, comma separated.
	Status string `json:"status,omitempty" default:"200-399"`
	// Host header of the check; the peer's own by default.
	Host string `json:"host,omitempty"`
	// Healthy is how many successes in a row bring a peer back.
	Healthy int `json:"healthy,omitempty" min:"1" default:"2"`
	// Unhealthy is how many failures in a row take a peer out.
	Unhealthy int `json:"unhealthy,omitempty" min:"1" default:"3"`
}

// PassiveHealth ejects a peer that fails real requests: Failures in a row within
// Window, or Failures that are Share percent of the requests in Window, eject it
// for Eject, doubling up to MaxEject; never more than half of the peers at once. It is on by default; Off turns it off.
type PassiveHealth struct {
	// Off turns ejection off.
	Off bool `json:"off,omitempty" default:"false"`
	// Failures that eject a peer: in a row, or as Share of the requests; within Window.
	Failures int `json:"failures,omitempty" min:"1" default:"5"`
	// Window in which failures are counted.
	Window Duration `json:"window,omitempty" default:"10s"`
	// Share of the requests in Window, in percent, that has to fail when the failures
	// are not in a row.
	Share int `json:"share,omitempty" min:"1" max:"100" default:"20"`
	// MinRequests in Window before Share counts.
	MinRequests int `json:"min_requests,omitempty" min:"1" default:"20"`
	// Eject is how long the first ejection lasts; each further one is twice as long.
	Eject Duration `json:"eject,omitempty" default:"5s"`
	// MaxEject is the longest ejection.
	MaxEject Duration `json:"max_eject,omitempty" default:"5m"`
}

// Retries says what is tried again on another peer, and how often.
type Retries struct {
	// Attempts beyond the first; 0 turns retries off.
	Attempts *int `json:"attempts,omitempty" min:"0" max:"100" default:"2"`
	// Budget is the share of recent requests that may be retries, in percent.
	Budget *int `json:"budget,omitempty" min:"0" max:"100" default:"20"`
	// On lists the failures that are tried again. reset_before_response, 502, 503
	// and 504 only for idempotent requests.
	On []string `json:"on,omitempty" enum:"connect_error,refused_stream,reset_before_response,502,503,504" default:"connect_error,refused_stream,reset_before_response"`
}

// Timeouts of the requests to peers.
type Timeouts struct {
	// Connect bounds the making of a connection, TLS included.
	Connect Duration `json:"connect,omitempty" default:"5s"`
	// ResponseHeader bounds the wait for the response's header.
	ResponseHeader Duration `json:"response_header,omitempty" default:"60s"`
	// Idle is how long a connection is kept without a request.
	Idle Duration `json:"idle,omitempty" default:"90s"`
	// Request bounds the whole request; none by default.
	Request Duration `json:"request,omitempty"`
}

// ResponseHeaders are set on and removed from what peers answer.
type ResponseHeaders struct {
	// Set replaces or adds fields.
	Set map[string]string `json:"set,omitempty"`
	// Remove drops fields; it comes before Set.
	Remove []string `json:"remove,omitempty"`
}
