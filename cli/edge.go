package cli

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/admin"
	"edgerouter/app"
	"edgerouter/auth"
	"edgerouter/certs"
	"edgerouter/discovery"
	"edgerouter/discovery/docker"
	"edgerouter/discovery/file"
	"edgerouter/discovery/stream"
	"edgerouter/gateway"
	"edgerouter/metrics"
	"edgerouter/router"
	"edgerouter/server"
	"edgerouter/upstream"
)

// edge is one node: every part of it, wired together.
type edge struct {
	settings settings
	log      zerolog.Logger
	metrics  *metrics.Set
	gateway  *gateway.Gateway
	merge    *discovery.Merge
	files    *file.Source   // nil: no applications from files
	docker   *docker.Source // nil: no engine is watched
	bus      *edgeBus       // nil: off
	ipRules  *ipRules
	tls      *edgeTLS // nil: no TLS listener
	admin    *admin.Admin
	server   *server.Server // of clients
	back     *server.Server // of the admin listener
	access   *accessLog
	upstream *upstream.Stats
	sites    *edgeSites

	draining atomic.Bool
	stopping chan struct{}
	stop     context.CancelFunc
	running  sync.WaitGroup
}

func newEdge(s settings, log zerolog.Logger) (_ *edge, err error) {
	e := &edge{settings: s, log: log, metrics: metrics.NewSet(), upstream: &upstream.Stats{}, stopping: make(chan struct{}), stop: func() {}}
	defer func() {
		if err != nil {
			e.bus.close()
		}
	}()
	token, err := admin.LoadOrMakeToken(s.adminTokenFile)
	if err != nil {
		return nil, fmt.Errorf("--admin-token-file: %w", err)
	}
	adminToken, err := auth.NewToken(token)
	if err != nil {
		return nil, fmt.Errorf("--admin-token-file %s: %w", s.adminTokenFile, err)
	}
	failures := auth.NewFailures()
	if e.ipRules, err = newIPRules(s.ipRules, log); err != nil {
		return nil, err
	}
	if e.bus, err = newEdgeBus(s, e.metrics, e.ipRules.fromStream, log); err != nil {
		return nil, err
	}
	deps := admin.Deps{
		Version:      version(),
		Snapshot:     func() *gateway.Snapshot { return e.gateway.Snapshot() },
		Subscribe:    func() (<-chan gateway.Event, func()) { return e.gateway.Subscribe() },
		Certs:        e.certificates,
		CertProblems: e.certProblems,
		Sources:      func() []discovery.Status { return e.merge.Statuses() },
		Origin:       func(source, id string) (discovery.Origin, bool) { return e.merge.Origin(source, id) },
		Ready:        e.notReady,
		WriteMetrics: e.writeMetrics,
		IPRules:      e.ipRules.status,
		Requests:     e.metrics.ReadRequests,
		Stopping:     e.stopping,
		Gate:         auth.NewGate(adminToken, "edgerouter admin", failures),
	}
	e.bus.tell(&deps, e.gatewayGeneration)
	e.bus.tellHistory(&deps)
	e.admin = admin.New(deps)
	if e.sites, err = newEdgeSites(s, log); err != nil {
		return nil, err
	}
	sessions, err := sessionKey(token, s.busSecretFile)
	if err != nil {
		return nil, err
	}
	kinds := gateway.Standard{
		Turbo:      e.sites.engine,
		Sites:      e.sites.s3(),
		CacheStats: &e.sites.caching,
		Upstream: upstream.Deps{Log: log, Stats: e.upstream, StickyKey: stickyKey(token),
			PeerChanged: func(c upstream.PeerChange) { e.gateway.PeerChanged(c) }},
		Resolve: func(a app.Application) (app.Application, []app.Problem) {
			return app.ResolveAll(a, os.ReadFile, os.LookupEnv)
		},
		Lambda: newLambda(s, e.metrics, log),
		Auth:   auth.V0Deps{Resolve: resolveSecret, Failures: failures},
		SignIn: auth.SignInDeps{Client: signInClient(), SessionKey: sessions}, IDServerURL: s.idServerURL,
		Admin:     e.admin.Handler(admin.Exposure{Access: admin.AccessToken}),
		Metrics:   e.admin.Metrics,
		HTTPSPort: int(s.httpsPort),
		Share:     e.bus.newSharing(sessions, e.metrics, log),
	}
	e.gateway = gateway.New(gateway.Options{
		Builders: kinds.Builders(), Middlewares: kinds.Middlewares(), Metrics: e.metrics, Log: log,
	})
	if err := e.newMerge(); err != nil {
		return nil, err
	}
	if s.https != "" {
		if e.tls, err = newEdgeTLS(s, e.bus, e.gateway, e.metrics, log); err != nil {
			return nil, err
		}
	}
	e.access = newAccessLog(s.accessLog, os.Stdout)
	e.newServers()
	e.registerMetrics()
	return e, nil
}

// stickyKey makes the key of sticky cookies. Nodes that serve the same clients
// have it in common when they have the admin token in common.
func stickyKey(adminToken []byte) []byte {
	h := hmac.New(sha256.New, adminToken)
	h.Write([]byte("edgerouter sticky cookies"))
	return h.Sum(nil)
}

// gatewayGeneration counts the changes that were applied, whatever their source.
func (e *edge) gatewayGeneration() uint64 { return e.gateway.Snapshot().Generation }

func (e *edge) newMerge() error {
	var sources []discovery.Source
	if path := appsPath(e.settings); path != "" {
		e.files = file.New(path, e.log)
		sources = append(sources, e.files)
	}
	if e.bus != nil {
		sources = append(sources, e.bus.stream)
	}
	var err error
	if e.settings.docker.on {
		options := e.settings.docker.options
		options.Log = e.log
		if e.docker, err = docker.New(options); err != nil {
			return err
		}
		sources = append(sources, e.docker)
	}
	bucket, err := e.settings.s3.source(context.Background(), e.log)
	if err != nil {
		return err
	}
	if bucket != nil {
		sources = append(sources, bucket) // after the others
	}
	if len(sources) == 0 {
		e.log.Warn().Msg("no applications are configured: give --apps, put an applications.json into the working folder, or let --docker name an engine to watch")
	}
	e.merge, err = discovery.New(discovery.Options{
		Sources: sources, Metrics: e.metrics, Log: e.log,
		// Without what the bus has, a node would answer 404 to everything of it.
		Patience: map[string]time.Duration{stream.Name: e.settings.busWait},
		Apply: func(sets []discovery.Set) {
			applied := make([]gateway.SourceSet, len(sets))
			for i, s := range sets {
				applied[i] = gateway.SourceSet{Source: s.Source, Parts: s.Parts, Problems: s.Problems, Kept: s.Kept}
			}
			e.gateway.Apply(applied)
			e.bus.applied(sets)
		},
	})
	return err
}

func (e *edge) newServers() {
	s := e.settings
	cfg := server.Config{
		Lookup: e.gateway.Lookup, Unmatched: e.metrics.App("appNotFound"), Log: e.log,
		AccessLog: e.access.log(), TrustedProxies: s.trusted,
		Admit: e.ipRules.admit, MetricsPath: s.metricsPath, Metrics: e.metricsText,
		Limits: server.Limits{WriteTimeout: s.writeIdle, LingerTime: s.linger},
	}
	s.limitSettings.apply(&cfg)
	cfg.ProxyPlain, cfg.ProxySecure = s.proxyPlain, s.proxySecure
	if e.tls != nil {
		cfg.TLS, cfg.Challenge = e.tls.config, e.tls.challenge()
		cfg.HTTPSPort = s.publicPort()
	}
	e.server = server.New(cfg)

	loopback := isLoopback(s.admin)
	access := admin.AccessToken
	if loopback {
		access = admin.AccessLoopback
	}
	entry := &router.Entry{
		App: "admin", AllowPlain: true, Observer: unobserved{},
		Handler: e.admin.Handler(admin.Exposure{Access: access, PProf: s.dev || loopback}),
	}
	e.back = server.New(server.Config{
		Lookup:    func(_, _ []byte, _ router.Attributes) *router.Entry { return entry },
		Unmatched: unobserved{}, Log: e.log,
	})
}

// unobserved keeps the admin listener's own requests out of the figures.
type unobserved struct{}

func (unobserved) Observe([]byte, int, time.Duration) {}

func isLoopback(addr string) bool {
	host, _, _ := net.SplitHostPort(addr)
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// start serves: the admin listener at once, clients after the first table.
func (e *edge) start(ctx context.Context, l listeners) {
	ctx, e.stop = context.WithCancel(context.WithoutCancel(ctx))
	e.running.Go(func() { e.accept(e.back, l.admin, false) })
	if e.tls != nil {
		e.tls.run(ctx, &e.running)
	}
	e.running.Go(func() { e.merge.Run(ctx) })
	e.bus.run(ctx, &e.running)
	if e.ipRules.path != "" {
		e.running.Go(func() { e.ipRules.run(ctx) })
	}
	e.running.Go(func() { e.admin.Run(ctx) })
	waitFor(ctx, e.merge.Ready(), 2*discovery.DefaultGiveUp)
	if l.http != nil {
		e.running.Go(func() { e.accept(e.server, l.http, false) })
	}
	if l.https != nil {
		e.running.Go(func() { e.accept(e.server, l.https, true) })
	}
}

func (e *edge) accept(s *server.Server, ln net.Listener, secure bool) {
	if err := s.Serve(ln, secure); err != nil {
		e.log.Error().Err(err).Str("listener", ln.Addr().String()).Msg("the listener failed")
	}
}

// reload reads files again.
func (e *edge) reload() {
	if e.files != nil {
		e.files.Reload()
	}
	e.gateway.Refresh()
	e.ipRules.readAgain()
	if e.tls != nil {
		e.tls.reload()
	}
}

// notReady tells why this node should not get traffic.
func (e *edge) notReady() (reasons []string) {
	if e.draining.Load() {
		reasons = append(reasons, "draining")
	}
	select {
	case <-e.merge.Ready():
	default:
		reasons = append(reasons, "waiting for the first applications of "+strings.Join(e.merge.Waiting(), ", "))
	}
	return reasons
}

// drainLinger is how long new connections are still taken when the node has
// said that it is not ready, so that a load balancer can turn away.
func drainLinger(grace time.Duration) time.Duration { return min(grace/10, time.Second) }

// drain ends the node: no longer ready, requests in flight end, the admin
// listener last. It returns how many connections had to be cut.
func (e *edge) drain(ctx context.Context) int {
	e.draining.Store(true)
	linger := time.Duration(0)
	if e.server.Open() > 0 {
		linger = drainLinger(e.settings.shutdownGrace)
	}
	cut := e.server.Shutdown(ctx, linger)
	close(e.stopping)
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	e.back.Shutdown(end, 0)
	e.close()
	return cut
}

// close ends what runs beside the servers.
func (e *edge) close() {
	e.stop()
	e.running.Wait()
	e.bus.close()
	e.gateway.Close()
	e.sites.close()
	e.access.close()
}

func (e *edge) certificates() []certs.Status {
	if e.tls == nil {
		return nil
	}
	return e.tls.list()
}

func (e *edge) certProblems() map[string][]certs.Problem {
	if e.tls == nil {
		return nil
	}
	return e.tls.problems()
}

// metricsText is writeMetrics for METRICS_ENDPOINT.
func (e *edge) metricsText() []byte {
	var b bytes.Buffer
	e.writeMetrics(&b)
	return b.Bytes()
}

func (e *edge) writeMetrics(w io.Writer) {
	e.metrics.WritePrometheus(w)
	e.writeCounters(w)
	writeLimits(w, e.server)
	e.ipRules.write(w)
	writePeers(w, e.gateway.Snapshot())
	e.sites.writeMetrics(w)
	metrics.WriteProcess(w)
}

// resolveSecret reads file:PATH and env:NAME secrets of definitions.
func resolveSecret(s app.Secret) (string, error) { return app.Resolve(s, os.ReadFile, os.LookupEnv) }
