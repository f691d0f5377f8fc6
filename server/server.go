// Package server takes HTTP/1.1 off listeners, plain and TLS, and tells each
// request's way: guard, match, redirect, rules, handler, observe, log.
//
// It is given what it needs: a Lookup that finds the entry of a host and path, a
// TLS configuration, an observer for requests that matched nothing. Heads are
// parsed by package wire; a handler is a fasthttp.RequestHandler and gets a
// RequestCtx that is filled in, unless its entry is Direct: then it works on the
// wire.Exchange of the connection and nothing is copied for it.
//
// One goroutine serves one connection, and one more, the sweeper, looks after
// clients that leave while they are served. An idle connection holds no buffers.
//
// What it never does: read a byte of a body as a request, keep a connection whose
// next request could begin in more than one place, end a response cleanly that
// was cut off, or let one handler's panic end the process.
package server

import (
	"crypto/tls"
	"hash/maphash"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"
	"golang.org/x/time/rate"

	"edgerouter/router"
	"edgerouter/wire"
)

// Lookup finds the entry that takes a request, nil when none does. path is
// normalized.
type Lookup func(host, path []byte, a router.Attributes) *router.Entry

// Config is what a Server needs. Lookup, Unmatched and Log are required.
type Config struct {
	Lookup    Lookup
	Unmatched router.Observer // sees requests that matched nothing or could not be read
	Log       zerolog.Logger
	AccessLog AccessLog // nil: none
	Limits    Limits

	// Admit says why a client may not enter an application ("implicit deny"), and
	// nothing when it may; nil: all may. The address is that of the connection, or
	// what a trusted proxy says.
	Admit func(client netip.Addr, app string) (denial string)

	// TrustedProxies are networks whose X-Forwarded-*, X-Request-Id and PROXY
	// protocol header are believed.
	TrustedProxies []netip.Prefix
	// ProxyPlain and ProxySecure are the modes of plain and of TLS listeners.
	ProxyPlain, ProxySecure ProxyMode
	// HTTPSPort is where plain requests for entries without AllowPlain are
	// redirected to. 443 and 0 are left out of the URL.
	HTTPSPort int
	// TLS is the configuration of TLS listeners.
	TLS *tls.Config
	// Challenge, when not nil, is asked for the body of plain requests below
	// /.well-known/acme-challenge/ (RFC 8555 section 8.3) before applications are;
	// "" leaves them to those.
	Challenge func(host, path string) string
	// MetricsPath, when not empty, is answered on every host in plain HTTP by Metrics.
	MetricsPath string
	Metrics     func() []byte
	// AllowTrace has TRACE handed on; else it is answered with 405.
	AllowTrace bool
	// AllowOverrides has the request fields Proxy, X-Original-URL and X-Rewrite-URL
	// handed on, which make CGI programs and some frameworks take the request for
	// another one; else they are removed, in any spelling.
	AllowOverrides bool
	// ServerName is sent as Server in responses that edgerouter makes itself.
	ServerName string
}

// Server serves connections of any number of listeners with one configuration.
type Server struct {
	Config
	wireLimits wire.Limits
	hits       limitHits
	perAddress perAddress
	handshakes *rate.Limiter // nil: no limit
	challenges bool          // TLS offers the protocol of TLS-ALPN-01
	Stats      Stats
	draining   atomic.Bool
	conns      registry
	listeners  sync.Map      // net.Listener -> struct{}
	deaf       chan struct{} // closed when no more connections are accepted
	deafOnce   sync.Once
	stop       chan struct{} // closed to end the sweeper
	stopOnce   sync.Once
	accepting  sync.WaitGroup // Serve
	running    sync.WaitGroup // the sweeper
}

// Stats are counters of a server, read while it runs.
type Stats struct {
	Accepted, Refused, HandshakeErrors, ClientGone, Panics atomic.Uint64
	// ProxyErrors are connections that were closed for what --proxy-protocol says.
	ProxyErrors atomic.Uint64
	// BytesReceived is of request bodies, BytesSent of responses with their heads.
	BytesReceived, BytesSent atomic.Uint64
}

// New makes a server. Its sweeper runs until Shutdown.
func New(cfg Config) *Server {
	cfg.Limits = cfg.Limits.withDefaults()
	s := &Server{
		Config:     cfg,
		wireLimits: wire.Limits{Head: cfg.Limits.Head, Target: cfg.Limits.Target, Fields: cfg.Limits.Fields, Overrides: cfg.AllowOverrides},
		perAddress: perAddress{most: cfg.Limits.PerAddress, seed: maphash.MakeSeed()},
		handshakes: newHandshakeLimit(cfg.Limits.Handshakes),
		deaf:       make(chan struct{}),
		stop:       make(chan struct{}),
		challenges: cfg.TLS != nil && slices.Contains(cfg.TLS.NextProtos, protoChallenge),
	}
	s.running.Add(1)
	go s.sweep()
	return s
}

// Open returns the number of open client connections.
func (s *Server) Open() int { return s.conns.len() }
