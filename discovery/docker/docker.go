// Package docker is the discovery source that makes containers, Compose services
// and Swarm services with labels into applications, and follows them.
//
// An engine's address goes in, discovery.Updates come out. It watches and does
// not poll: everything is listed once, then the engine's events are followed;
// only the tasks of a Swarm, which have no events, are listed again by a manager.
// Its promises:
//   - A change is emitted within half a second of its event, and at once when a
//     peer leaves. Many changes in a short time are emitted together.
//   - A container that gets its stop signal takes no new requests from then on
//     and its sticky clients move, unless it is the last one, which goes on until
//     it is gone.
//   - An engine that fails, hangs or goes away leaves the last set as it is, and
//     is told once. It is tried again with growing pauses up to two seconds.
//   - One broken container breaks its own application only. What was good before
//     stays in service, with the addresses of the containers that run now; an
//     address whose container is gone is never used again.
//
// It reads and never writes: the engine may be behind a proxy that lets through
// only GET of version, info, events, containers, networks, services, tasks and
// nodes; of these info, networks, services, tasks and nodes may be refused too.
//
// What labels mean is package labels' business.
package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/discovery"
	"edgerouter/discovery/docker/labels"
)

// Name is the name of the source.
const Name = "docker"

// The networks with a meaning of their own.
const (
	DefaultNetwork = "bridge"
	AutoNetwork    = "_auto_"
	GatewayNetwork = "docker_gwbridge"
)

// DefaultHost is where an engine on this machine listens.
const DefaultHost = "unix:///var/run/docker.sock"

// Options say which engine to watch, and how.
type Options struct {
	// Host is the engine: unix:///path, tcp://host:port, http:// or https://.
	Host string
	// TLS is for tcp:// and https://.
	TLS TLS
	// Network is the one whose addresses are used, unless a label asks for
	// another; AutoNetwork for a container's only one. "" means DefaultNetwork.
	Network string
	// DefaultAuth stands in for a missing edgerouter.auth: "" or "public".
	DefaultAuth string
	// EntryPoints say what names of entry points in labels stand for; nil:
	// labels.DefaultEntryPoints.
	EntryPoints map[string]labels.EntryPoint
	// TrustLabels lets labels read files of the edge and reach its own addresses.
	TrustLabels bool
	// Linger is how long an application whose last container is gone answers 503
	// before it is gone itself, so that one that is made anew is not unknown
	// meanwhile. 0 means DefaultLinger, less than 0 not at all.
	Linger time.Duration
	Log    zerolog.Logger
}

// DefaultLinger is the default of Options.Linger.
const DefaultLinger = 10 * time.Second

// Source watches one engine. It is a discovery.Source.
type Source struct {
	at      endpoint
	log     zerolog.Logger
	origins atomic.Pointer[map[string]discovery.Origin]

	// What follows belongs to Run. It outlives a restart of the source.
	state   *state
	build   *builder
	failure string // the error last emitted, until something else is
	manager managerState
}

// managerState is what is known of the engine's place in a Swarm, to tell a
// change once.
type managerState int

const (
	managerUnknown managerState = iota
	managerYes
	managerNo
)

// New makes a source. Nothing is asked of the engine before Run. Errors are of
// the options.
func New(o Options) (*Source, error) {
	switch o.DefaultAuth {
	case "", "public":
	default:
		return nil, fmt.Errorf("docker: the default of edgerouter.auth can only be public, not %q", o.DefaultAuth)
	}
	at, err := parseHost(o.Host, o.TLS)
	if err != nil {
		return nil, fmt.Errorf("docker: the engine's address: %w", err)
	}
	if o.Network == "" {
		o.Network = DefaultNetwork
	}
	if o.Linger == 0 {
		o.Linger = DefaultLinger
	}
	s := &Source{at: at, log: o.Log, state: newState()}
	s.build = newBuilder(o)
	s.origins.Store(&map[string]discovery.Origin{})
	return s, nil
}

// Name is "docker".
func (s *Source) Name() string { return Name }

// Origins says where the applications that were emitted last come from, and those
// that are broken and were not. See discovery.Originator.
func (s *Source) Origins() map[string]discovery.Origin { return *s.origins.Load() }

// Pauses before the engine is tried again double from the first to the last,
// half of each random.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 2 * time.Second
)

// Run watches the engine until ctx ends.
func (s *Source) Run(ctx context.Context, emit func(discovery.Update)) error {
	pause := firstPause
	for {
		listed, err := s.session(ctx, emit)
		if ctx.Err() != nil {
			return nil
		}
		if listed {
			pause = firstPause
		}
		s.fail(err, emit)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause/2 + rand.N(pause/2)):
		}
		pause = min(2*pause, lastPause)
	}
}

// advice is what whoever reads an error of the engine may want to look at.
func advice(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return " (this user may not open the socket: give it the group that owns it, with docker run --group-add or usermod -aG; --docker off turns this off)"
	}
	return " (see --docker)"
}

// fail emits an error, unless it is the one that was emitted last.
func (s *Source) fail(err error, emit func(discovery.Update)) {
	err = fmt.Errorf("watching the Docker engine at %s: %w%s", s.at.shown, err, advice(err))
	if s.failure == err.Error() {
		return
	}
	s.failure = err.Error()
	emit(discovery.Update{Err: err})
}
