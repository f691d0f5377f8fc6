package jetstream

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"edgerouter/bus"
)

// Bus is the event log on JetStream. It implements bus.Log.
type Bus struct {
	opts    Options
	log     zerolog.Logger
	metrics appendMetrics
	lock    *os.File // nil: external

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	done   chan struct{} // closed when the supervisor has ended

	current atomic.Pointer[session]
	mu      sync.Mutex
	why     error         // there is no session; guarded by mu, as what follows
	changed chan struct{} // closed when current or why change

	news     news
	nodes    nodeTable
	listener atomic.Pointer[func([]byte)]
	moving   atomic.Bool // the log of a node alone is on its way into the cluster
	broken   atomic.Bool // the embedded server could not write

	damage error    // why the store has to go before the next start; supervise's own
	kept   []string // streams that were kept at the start of the server; supervise's own
}

// session is one connection to a server, which may be in the process.
type session struct {
	srv *server.Server // nil: external
	log *serverLog     // of srv
	nc  *nats.Conn
	js  jetstream.JetStream

	creating sync.Mutex // held while a stream is made
	mu       sync.Mutex
	ready    map[string]bool // streams that are there and have their entry 0
}

// New makes the bus and begins to start it, or to connect to it, in the
// background. An error is one of the options, or ErrLocked.
func New(opts Options) (*Bus, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	b := &Bus{
		opts: opts, log: opts.Logger, done: make(chan struct{}), changed: make(chan struct{}),
		why: errors.New("it is starting"),
	}
	if !opts.external() {
		var err error
		if b.lock, err = lock(opts.Folder); err != nil {
			return nil, err
		}
		if err = checkFolder(opts); err != nil {
			b.lock.Close()
			return nil, err
		}
	}
	b.metrics.register(opts.Metrics)
	b.ctx, b.cancel = context.WithCancel(context.Background())
	go b.supervise()
	return b, nil
}

// Close stops the bus. What waits in it ends with bus.ErrClosed.
func (b *Bus) Close() error {
	b.cancel()
	<-b.done
	return nil
}

// Restart pauses double from one to the other.
const (
	minRestart  = 200 * time.Millisecond
	maxRestart  = 10 * time.Second
	healthEvery = time.Second
)

// supervise keeps a session until Close.
func (b *Bus) supervise() {
	defer close(b.done)
	if b.lock != nil {
		defer b.lock.Close()
	}
	wait := minRestart
	for b.ctx.Err() == nil {
		s, err := b.open()
		if err == nil {
			wait = minRestart
			b.set(s, nil)
			err = b.watch(s)
			b.set(nil, err)
			s.close()
		}
		if b.ctx.Err() != nil {
			break
		}
		b.set(nil, err)
		b.log.Error().Err(err).Dur("again_in", wait).Msg("the event bus is not running; the last state stays in service")
		t := time.NewTimer(wait)
		select {
		case <-b.ctx.Done():
		case <-t.C:
		}
		t.Stop()
		wait = min(2*wait, maxRestart)
	}
	b.set(nil, bus.ErrClosed)
}

// open starts the server, or connects.
func (b *Bus) open() (*session, error) {
	s := &session{ready: map[string]bool{}}
	var err error
	if b.opts.external() {
		s.nc, err = b.dialExternal()
	} else {
		serverLog := newServerLog(b.log, &b.broken)
		s.log = serverLog
		if damage := b.damage; damage != nil {
			b.damage = nil
			if err = b.putStoreAside(damage); err != nil {
				return nil, err
			}
		}
		var old []storedLog
		if b.opts.clustered() {
			if old, err = b.readAlone(serverLog); err != nil {
				return nil, err
			}
			if err = b.keep(); err != nil {
				return nil, err
			}
		}
		s.srv, err = startServer(b.opts, b.opts.clustered(), serverLog)
		if errors.Is(err, errDamaged) && b.opts.clustered() {
			if err = b.leaveStore(serverLog, err); err == nil {
				s.srv, err = startServer(b.opts, true, serverLog)
			}
		}
		if err != nil {
			return nil, err
		}
		if s.nc, err = dialServer(s.srv, b.opts); err != nil {
			stopServer(s.srv)
			return nil, err
		}
		if len(old) > 0 {
			go b.moveIn(old)
		}
	}
	if err != nil {
		return nil, err
	}
	if s.js, err = jetstream.New(s.nc, jetstream.WithDefaultTimeout(askTimeout)); err == nil {
		err = b.subscribe(s.nc)
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("the event bus: %w", err)
	}
	return s, nil
}

func (s *session) close() {
	s.nc.Close()
	if s.srv != nil {
		stopServer(s.srv)
	}
}

// watch waits until the session is of no use any more.
func (b *Bus) watch(s *session) error {
	var damage error   // of a part of the store
	var told time.Time // that the server refuses us
	every := time.NewTicker(healthEvery)
	defer every.Stop()
	for {
		select {
		case <-b.ctx.Done():
			return bus.ErrClosed
		case <-every.C:
		}
		if s.nc.IsClosed() {
			return errors.New("the connection to the event bus was closed")
		}
		if err := b.refused(s.nc); err != nil && time.Since(told) > maxRestart {
			told = time.Now()
			b.log.Warn().Err(err).Msg("the event bus does not take this node again; it is tried again")
		}
		if s.srv != nil && b.broken.Swap(false) {
			return errors.New("the embedded event bus could not write to its store (--data): see the line before; is the disk full?")
		}
		if s.srv != nil && len(b.kept) > 0 {
			if err := b.deleted(); err != nil {
				b.log.Error().Err(err).Msg("what the cluster deleted could not be put aside; it is tried again")
			}
		}
		if damage = b.damaged(s, damage); b.damage != nil {
			return b.damage
		}
		if s.srv != nil && !s.srv.JetStreamEnabled() {
			return errors.New("the embedded event bus gave up its store: see the lines before; is the disk full?")
		}
	}
}

// set makes a session the current one; nil with the reason why there is none.
func (b *Bus) set(s *session, why error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.current.Store(s)
	b.why = why
	close(b.changed)
	b.changed = make(chan struct{})
}

// session returns the current session, which it waits for a moment.
func (b *Bus) session(ctx context.Context) (*session, error) {
	if s := b.current.Load(); s != nil {
		return s, nil
	}
	patience := time.NewTimer(sessionPatience)
	defer patience.Stop()
	for {
		b.mu.Lock()
		s, why, changed := b.current.Load(), b.why, b.changed
		b.mu.Unlock()
		switch {
		case s != nil:
			return s, nil
		case errors.Is(why, bus.ErrClosed):
			return nil, bus.ErrClosed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w: %w", bus.ErrUnavailable, why, ctx.Err())
		case <-patience.C:
			return nil, fmt.Errorf("%w: %w", bus.ErrUnavailable, why)
		}
	}
}

// failed is the error of an operation, which is ErrClosed once Close was called.
func (b *Bus) failed(err error) error {
	if b.ctx.Err() != nil {
		return bus.ErrClosed
	}
	return err
}
