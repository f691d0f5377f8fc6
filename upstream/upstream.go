// Package upstream is the peer_set backend: it hands a request to one of a set
// of HTTP peers and the answer back, byte for byte where nothing stands between.
//
// The request is told in four steps, in the files that bear their names: call
// (one request and its attempts), request (the head for the peer), exchange (one
// attempt on one connection), response (the head and body for the client).
// Beside them stand the choice of a peer (balance, hash, sticky), what is known
// of its health (active, passive), and what bounds the work (budget, limits,
// deadline).
//
// It works on the wire.Exchange of package server and on connections pooled by
// one fasthttp.HostClient per peer, or on HTTP/2 connections where the peer's
// address says h2c (h2c, h2pool). A small request over kept connections
// allocates nothing. A Set starts goroutines for health checks and name
// resolution; Close ends them. A HostClient keeps one that closes idle
// connections; it ends within timeouts.idle of the peer's last connection.
//
// Addresses and weights change while a Set runs (Update): peers that stay keep
// all they have, those that leave end what they have begun.
package upstream

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/wire"
)

// Deps are what a Set is given.
type Deps struct {
	Log zerolog.Logger
	// StickyKey makes the values of sticky cookies; every instance that serves
	// the same clients needs the same, and nobody else should know it. Nil: one
	// that is the same everywhere.
	StickyKey []byte
	// Stats counts what happens; it may be shared and must not be nil.
	Stats *Stats
	// Advertised, when set, is told of responses with the header turbocharger.
	Advertised Advertised
	// DrainGrace is how long requests and upgraded connections may go on at a
	// peer that has left; 0: DefaultDrainGrace.
	DrainGrace time.Duration
	// PeerChanged, when set, is told of ejections and returns. It must be quick and
	// must not call back.
	PeerChanged func(PeerChange)
}

// Set is a running peer_set. It is safe for concurrent use.
type Set struct {
	id       string
	opts     app.PeerSetOpts
	log      zerolog.Logger
	stats    *Stats
	balancer *balancer
	budget   *budget
	dialer   *dialer
	tls      *tls.Config
	times    times
	retries  int // beyond the first attempt
	retryOn  retryOn
	fixed    fixedHeaders
	upgrades upgrades
	// advertised is Deps.Advertised.
	advertised Advertised
	grace      time.Duration   // for peers that leave
	ctx        context.Context // until Close
	stop       context.CancelFunc
	running    sync.WaitGroup
	changed    chan struct{} // for the health checks: there are other peers

	mu        sync.Mutex // one change at a time; guards what follows
	leaving   []*peer
	draining  bool // drain runs
	resolving bool // runResolver runs
	closed    bool
}

// times are the options' time-outs with their defaults.
type times struct {
	connect, header, idle time.Duration
	request               time.Duration // 0: none
	linger                time.Duration // see tunnelLinger
}

type retryOn struct {
	connect, refused, reset bool
	status                  [3]bool // 502, 503, 504
}

// New makes a set and starts its health checks. A set without addrs answers 503
// until Update gives it peers. Errors name the option and its value.
func New(id string, opts app.PeerSetOpts, deps Deps) (*Set, error) {
	s := &Set{id: id, opts: opts, log: deps.Log.With().Str("app", id).Logger(), stats: deps.Stats, dialer: newDialer(),
		grace: positive(deps.DrainGrace, DefaultDrainGrace), changed: make(chan struct{}, 1), advertised: deps.Advertised}
	s.times = times{connect: 5 * time.Second, header: 60 * time.Second, idle: 90 * time.Second, linger: tunnelLinger}
	if t := opts.Timeouts; t != nil {
		s.times.connect = positive(time.Duration(t.Connect), s.times.connect)
		s.times.header = positive(time.Duration(t.ResponseHeader), s.times.header)
		s.times.idle = positive(time.Duration(t.Idle), s.times.idle)
		s.times.request = time.Duration(t.Request)
	}
	if err := s.setRetries(opts.Retries); err != nil {
		return nil, err
	}
	var err error
	if s.tls, err = newClientTLS(opts.TLSConfig); err != nil {
		return nil, err
	}
	if s.fixed, err = newFixedHeaders(&opts); err != nil {
		return nil, err
	}
	if s.upgrades, err = newUpgrades(opts.Upgrades); err != nil {
		return nil, err
	}
	addrs, err := parseAddresses(opts.Addrs)
	if err != nil {
		return nil, err
	}
	var peers []*peer
	for _, a := range addrs {
		peers = append(peers, s.newPeer(a))
	}
	if s.balancer, err = newBalancer(peers, opts, clock); err != nil {
		return nil, err
	}
	s.tellEjections(deps.PeerChanged)
	if deps.StickyKey != nil {
		s.balancer.useStickyKey(deps.StickyKey)
	}
	if err := s.start(opts); err != nil {
		return nil, err
	}
	return s, nil
}

// clock is the one that ejections are counted by, as are the requests' times.
func clock() time.Time { return wire.At(wire.Now()) }

func (s *Set) newPeer(a address) *peer {
	p := newPeer(a)
	p.conns = s.newPool(p)
	p.dials.moved = p.conns.closeIdle
	return p
}

func (s *Set) setRetries(r *app.Retries) error {
	percent, on := defaultPercent, []string{"connect_error", "refused_stream", "reset_before_response"}
	s.retries = 2
	if r != nil {
		if r.Attempts != nil {
			s.retries = max(*r.Attempts, 0)
		}
		if r.Budget != nil {
			percent = *r.Budget
		}
		if r.On != nil {
			on = r.On
		}
	}
	s.budget = newBudget(percent, budgetMinimum)
	for _, o := range on {
		switch o {
		case "connect_error":
			s.retryOn.connect = true
		case "refused_stream":
			s.retryOn.refused = true
		case "reset_before_response":
			s.retryOn.reset = true
		case "502", "503", "504":
			s.retryOn.status[o[2]-'2'] = true
		default:
			return fmt.Errorf("retries.on: %q is none of connect_error, refused_stream, reset_before_response, 502, 503, 504", o)
		}
	}
	return nil
}

// start runs what goes on beside the requests.
func (s *Set) start(opts app.PeerSetOpts) error {
	s.ctx, s.stop = context.WithCancel(context.Background())
	var probe func(context.Context, *peer) error
	if hc := opts.HealthCheck; hc != nil {
		var err error
		probe, err = newProbe(*hc, func(ctx context.Context, p *peer) (net.Conn, error) {
			return s.dialer.connect(ctx, p.dials, s.times.connect)
		}, func(p *peer) *tls.Config { return tlsForPeer(s.tls, p.addr, "http/1.1") })
		if err != nil {
			s.stop()
			return err
		}
		s.running.Go(func() {
			runHealthChecks(s.ctx, s.balancer.peers, s.changed, *hc, probe, s.healthChanged)
		})
	}
	s.resolve()
	return nil
}

// resolve has the names of peers looked up again and again, from when there is
// the first on.
func (s *Set) resolve() {
	if s.resolving || !slices.ContainsFunc(s.balancer.peers(), func(p *peer) bool { return !p.dials.fixed }) {
		return
	}
	s.resolving = true
	s.running.Go(func() {
		runResolver(s.ctx, s.balancer.peers, s.dialer.resolver, resolveInterval,
			func(p *peer, _ []netip.Addr) { p.conns.closeIdle() },
			func(p *peer, err error) {
				s.log.Warn().Err(err).Str("peer", p.addr.Raw).Msg("looking up the name of a peer failed; the last known addresses stay")
			})
	})
}

func (s *Set) healthChanged(p *peer, up bool, reason string) {
	e := s.log.Warn()
	if up {
		e = s.log.Info()
	}
	e.Str("peer", p.addr.Raw).Bool("up", up).Str("reason", reason).Msg("health check")
}

// Handler answers requests. A direct handler writes to the client's connection
// itself; otherwise the answer is left in ctx.Response for those that wrap it.
func (s *Set) Handler(direct bool) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		x := wire.From(ctx)
		if x == nil {
			wire.Fail(ctx, 500, "this request did not come over HTTP/1.1")
			return
		}
		s.serve(ctx, x, direct)
	}
}

// Peers tells the state of each peer, in the order of addrs; those that have left
// and are not done yet come last.
func (s *Set) Peers() []PeerStatus {
	now := clock()
	var list []PeerStatus
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, peers := range [][]*peer{s.balancer.peers(), s.leaving} {
		for _, p := range peers {
			list = append(list, p.status(now))
		}
	}
	return list
}

// Close ends health checks and closes idle connections. Requests in flight end
// by themselves; their connections are not kept.
func (s *Set) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.running.Wait()
	for _, peers := range [][]*peer{s.balancer.peers(), s.leaving} {
		for _, p := range peers {
			p.conns.close()
		}
	}
}
