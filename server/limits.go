package server

import (
	"net/netip"
	"sync/atomic"
	"time"

	"edgerouter/wire"
)

// Limits bound what one client may ask for and how long it may take. A zero
// field of the first two groups takes the default that is written beside it; one
// of the last group is off.
type Limits struct {
	Head   int // bytes of a request's head; 16 KiB
	Target int // bytes of a request target; 8 KiB
	Fields int // field lines of a head; 128

	HeaderTimeout time.Duration // from the first byte of a head to its last, and for a TLS handshake; 10 s
	BodyTimeout   time.Duration // without a byte of a request's body; 60 s
	WriteTimeout  time.Duration // without a byte of a response that the client takes; 5 min
	IdleTimeout   time.Duration // between two requests; 75 s

	// LingerTime is how long the rest of a request's body is read and thrown away
	// after a response that came before its end, as long as it keeps coming; 5 min.
	LingerTime time.Duration

	Body       int64         // bytes of a request's body, for entries without a limit of their own
	BodyRate   int           // least bytes per second of a body: it may lag behind by BodyTimeout
	PerAddress int           // open connections of one client address, an IPv6 one being a /64
	Handshakes int           // TLS handshakes per second; those beyond wait for handshakeWait
	TunnelIdle time.Duration // without a byte on a connection that was switched to another protocol
}

// DefaultHead is the default of Limits.Head, MaxHead the most that it may be.
const (
	DefaultHead = 16 << 10
	MaxHead     = 1 << 20
)

func (l Limits) withDefaults() Limits {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	span := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&l.Head, DefaultHead)
	def(&l.Target, wire.DefaultLimits.Target)
	def(&l.Fields, wire.DefaultLimits.Fields)
	span(&l.HeaderTimeout, 10*time.Second)
	span(&l.BodyTimeout, 60*time.Second)
	span(&l.WriteTimeout, 5*time.Minute)
	span(&l.IdleTimeout, 75*time.Second)
	span(&l.LingerTime, 5*time.Minute)
	return l
}

// limit is one of those whose effect is counted and, once, logged.
type limit uint8

const (
	limitHeader limit = iota
	limitBody
	limitBodyRate
	limitPerAddress
	limitHandshakes
	limitTunnelIdle
	limitTrace
	limitOverrides

	limitCount
)

// limits are their settings, by which metrics and the log name them, and what
// they do.
var limits = [limitCount]struct{ setting, effect string }{
	limitHeader:     {"max-header", "a request head that was too large was answered with 431"},
	limitBody:       {"max-body", "a request body that was too large was answered with 413; an application may have a limit of its own, max_request_body"},
	limitBodyRate:   {"min-body-rate", "a request whose body came too slowly was answered with 408"},
	limitPerAddress: {"max-connections-per-ip", "a connection of an address that has too many was closed"},
	limitHandshakes: {"max-handshakes", "a TLS handshake had to wait, or was refused after waiting"},
	limitTunnelIdle: {"tunnel-idle", "a WebSocket or other upgraded connection was closed because nothing moved on it"},
	limitTrace:      {"trace", "a TRACE request was answered with 405"},
	limitOverrides:  {"override-fields", "a request field that overrides what a request is (Proxy, X-Original-URL, X-Rewrite-URL) was removed"},
}

// limitHits counts how often each limit acted.
type limitHits [limitCount]struct {
	count atomic.Uint64
	told  atomic.Bool
}

// limited notes that a limit acted. The log is told once.
func (s *Server) limited(l limit, client netip.Addr) {
	hit := &s.hits[l]
	hit.count.Add(1)
	if !hit.told.Load() && !hit.told.Swap(true) {
		s.Log.Warn().Str("setting", "--"+limits[l].setting).Str("client", client.String()).
			Msg("a limit acted for the first time: " + limits[l].effect + "; er_limit_hits_total counts the others")
	}
}

// LimitHits calls f with each limit, by the name of its setting, and how often it
// acted.
func (s *Server) LimitHits(f func(setting string, n uint64)) {
	for l := range s.hits {
		f(limits[l].setting, s.hits[l].count.Load())
	}
}
