package cli

import (
	"runtime"
	"time"

	"github.com/spf13/pflag"

	"edgerouter/app"
	"edgerouter/server"
)

// limitSettings are the flags that bound what one client may take of a listener
// on the internet. 0 turns each of them off.
type limitSettings struct {
	maxHeader, maxBody, minBodyRate sizeFlag
	maxConnections, maxHandshakes   uint
	tunnelIdle                      time.Duration
	trace                           bool
	overrideFields                  bool
}

var limitEnvironment = []setting{
	{flag: "max-header"}, {flag: "max-body"}, {flag: "min-body-rate"}, {flag: "max-connections-per-ip"},
	{flag: "max-handshakes"}, {flag: "tunnel-idle"}, {flag: "trace"}, {flag: "override-fields"},
}

// The defaults of the limits.
const (
	defaultMaxBody        = 100 << 20
	defaultMinBodyRate    = 240
	defaultMaxConnections = 4096
	defaultTunnelIdle     = time.Hour
	handshakesPerCore     = 1000 // with RSA 2048 more than a core can do
)

func (s *limitSettings) addFlags(f *pflag.FlagSet) {
	s.maxHeader, s.maxBody, s.minBodyRate = server.DefaultHead, defaultMaxBody, defaultMinBodyRate
	f.Var(&s.maxHeader, "max-header", "largest head of a request, a `size` up to 1MiB; more gets 431")
	f.Var(&s.maxBody, "max-body", "largest body of a request, a `size`; more gets 413, unless the application has max_request_body")
	f.Var(&s.minBodyRate, "min-body-rate", "least `size` per second of a request's body; slower ones get 408 after a minute")
	f.UintVar(&s.maxConnections, "max-connections-per-ip", defaultMaxConnections, "largest `number` of open connections of one address (IPv6: one /64) that is no trusted proxy")
	f.UintVar(&s.maxHandshakes, "max-handshakes", uint(handshakesPerCore*runtime.GOMAXPROCS(0)), "largest `number` of TLS handshakes per second; more wait up to 3s (default 1000 for each core)")
	f.DurationVar(&s.tunnelIdle, "tunnel-idle", defaultTunnelIdle, "`duration` without a byte after which a WebSocket or other upgraded connection is closed")
	f.Var(newSwitch(&s.trace), "trace", "TRACE requests: on hands them on, off answers 405")
	f.Var(newSwitch(&s.overrideFields), "override-fields", "request fields Proxy, X-Original-URL and X-Rewrite-URL: on hands them on, off removes them")
}

func (s *limitSettings) check() error {
	if s.maxHeader > server.MaxHead {
		return usagef("--max-header %s: more than %s", s.maxHeader.String(), app.Size(server.MaxHead))
	}
	if s.tunnelIdle < 0 {
		return usagef("--tunnel-idle %s: must not be negative", s.tunnelIdle)
	}
	return nil
}

// apply puts the limits into the configuration of the clients' server.
func (s *limitSettings) apply(cfg *server.Config) {
	l := &cfg.Limits
	l.Head = int(s.maxHeader)
	if s.maxHeader == 0 {
		l.Head = server.MaxHead
	}
	l.Body, l.BodyRate = int64(s.maxBody), int(min(int64(s.minBodyRate), 1<<30))
	l.PerAddress, l.Handshakes = int(min(s.maxConnections, 1<<30)), int(min(s.maxHandshakes, 1<<30))
	l.TunnelIdle = s.tunnelIdle
	cfg.AllowTrace, cfg.AllowOverrides = s.trace, s.overrideFields
}
