package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/docker/docker/api/types/events"
	"golang.org/x/time/rate"

	"edgerouter/discovery"
)

// What changes often is handed on, and asked of the engine, this often at most:
// a burst at once, then so many in a second. The limits are what a container that
// flaps can cost, and keep what waits well within half a second.
const (
	emitsPerSecond = 4
	emitBurst      = 10
	asksPerSecond  = 8
	askBurst       = 10
)

// That a peer leaves is handed on at once, since each request that still goes to
// it may be lost: at most every leaveGap, and of one container not again and
// again.
const (
	leaveGap        = 20 * time.Millisecond
	leavesPerSecond = 0.5
	leaveBurst      = 3
	maxLeavers      = 1024 // of whom is remembered how often they left
)

// How often a manager lists the tasks again: soon after a container of a task
// changed on this node, of which the manager hears within a tenth of a second or
// two; while a service converges, unless it has been at it for long; and else.
var tasksSoon = []time.Duration{100 * time.Millisecond, 300 * time.Millisecond, time.Second}

const (
	tasksConverging = 2 * time.Second
	tasksQuiet      = 15 * time.Second
	tooLong         = 5 * time.Minute
)

// askAgain is the pause after the engine did not answer a question while its
// stream of events goes on.
const askAgain = time.Second

// session is one connection to the engine: a stream of events and what is asked
// beside it. Its fields belong to the goroutine that runs it; the engine is asked
// by another one, at most one at a time, so that an engine that does not answer
// does not hold up the events.
type session struct {
	*Source
	engine *engine
	emit   func(discovery.Update)

	want    wants
	asking  bool
	touched map[string]bool // containers that something happened to since the engine was asked
	answers chan answers
	running sync.WaitGroup

	listed   bool // the first answer has come
	failing  bool // the last answer was an error
	changed  bool
	emits    *rate.Limiter
	asks     *rate.Limiter
	leaves   map[string]*rate.Limiter
	emitted  time.Time
	emitAt   time.Time
	askAt    time.Time
	tasksAt  time.Time
	expireAt time.Time
	soon     int       // index in tasksSoon
	since    time.Time // since when a service converges

	last set
}

// session runs until the stream of events ends. listed says whether the engine
// was of any use.
func (s *Source) session(ctx context.Context, emit func(discovery.Update)) (listed bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	engine, err := connect(ctx, s.at)
	if err != nil {
		return false, err
	}
	defer engine.close()
	engine.describe(ctx)

	// An engine that takes the request and then says nothing would hang here.
	slow := time.AfterFunc(callTimeout, cancel)
	happened, failed := engine.follow(ctx, engine.info.now)
	if !slow.Stop() {
		return false, fmt.Errorf("following its events: no answer within %s", callTimeout)
	}
	v := &session{
		Source: s, engine: engine, emit: emit,
		touched: map[string]bool{}, answers: make(chan answers), leaves: map[string]*rate.Limiter{},
		emits: rate.NewLimiter(emitsPerSecond, emitBurst), asks: rate.NewLimiter(asksPerSecond, askBurst),
	}
	s.state.engine, s.state.here = engine.info.name, engine.info.node
	s.state.undrain()
	v.want = wants{all: true, services: true, gateway: true}
	// The stream has to be read until its goroutine is gone, and the engine's last
	// answer awaited.
	defer func() {
		cancel()
		for range failed {
		}
		v.running.Wait()
	}()
	return v.run(ctx, happened, failed)
}

func (v *session) run(ctx context.Context, happened <-chan events.Message, failed <-chan error) (bool, error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		now := time.Now()
		v.due(now)
		if v.want.any() && !v.asking && !now.Before(v.askAt) {
			v.ask(ctx, now)
		}
		if next := v.next(); next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(next))
		}
		select {
		case <-ctx.Done():
			return v.listed, ctx.Err()
		case m := <-happened:
			v.event(readEvent(&m))
		case err := <-failed:
			return v.listed, streamError(err)
		case a := <-v.answers:
			v.asking = false
			v.take(a, time.Now())
		case <-timer.C:
		}
	}
}

func streamError(err error) error {
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return errors.New("it ended its stream of events")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("its stream of events broke off")
	}
	return fmt.Errorf("following its events: %w", err)
}

// due does what its time has come for.
func (v *session) due(now time.Time) {
	if !v.expireAt.IsZero() && !now.Before(v.expireAt) {
		v.expireAt = time.Time{}
		ids, _ := v.state.expire(now)
		v.want.list(ids...)
		v.touch()
	}
	if !v.tasksAt.IsZero() && !now.Before(v.tasksAt) {
		v.tasksAt = time.Time{}
		v.want.tasks = true
	}
	if !v.emitAt.IsZero() && !now.Before(v.emitAt) && v.listed {
		v.emitAt, v.emitted = time.Time{}, now
		v.hand(now)
	}
}

// next is when there is something to do without anything happening.
func (v *session) next() time.Time {
	var next time.Time
	earlier := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	earlier(v.expireAt)
	earlier(v.tasksAt)
	if v.listed {
		earlier(v.emitAt)
	}
	if v.want.any() && !v.asking {
		earlier(v.askAt)
	}
	return next
}

// touch notes that there is something to hand on.
func (v *session) touch() {
	if v.emitAt.IsZero() {
		now := time.Now()
		v.emitAt = now.Add(v.emits.ReserveN(now, 1).DelayFrom(now))
	}
}

// left notes that a container takes no more requests.
func (v *session) left(id string) {
	now := time.Now()
	often := v.leaves[id]
	if often == nil {
		if len(v.leaves) == maxLeavers {
			clear(v.leaves)
		}
		often = rate.NewLimiter(leavesPerSecond, leaveBurst)
		v.leaves[id] = often
	}
	if !often.AllowN(now, 1) {
		v.touch()
		return
	}
	at := v.emitted.Add(leaveGap)
	if at.Before(now) {
		at = now
	}
	if v.emitAt.IsZero() || at.Before(v.emitAt) {
		v.emitAt = at
	}
}

// event takes an event in.
func (v *session) event(e event) {
	f := v.state.apply(e, time.Now())
	if e.kind == "container" {
		v.touched[e.id] = true
	}
	v.want.list(f.list...)
	v.want.look(f.inspect)
	if f.gateway && v.build.wantsGateway() {
		v.want.gateway = true
	}
	if v.manager != managerNo || f.nodes {
		v.want.services = v.want.services || f.swarm
		v.want.nodes = v.want.nodes || f.nodes
	}
	if v.manager == managerYes && (f.swarm || f.task) {
		v.want.tasks = true
		v.soon = 0
	}
	switch {
	case f.changed && f.leaves:
		v.left(e.id)
	case f.changed:
		v.touch()
	}
}

// hand emits what the state makes, if that is something new.
func (v *session) hand(now time.Time) {
	made := v.build.build(v.state, now, false)
	for _, id := range made.inspect {
		v.want.look(id)
	}
	ids, next := v.state.expire(now)
	v.want.list(ids...)
	if v.expireAt = made.again; v.expireAt.IsZero() || !next.IsZero() && next.Before(v.expireAt) {
		v.expireAt = next
	}
	if v.build.wantsGateway() && v.state.gateway == nil {
		v.want.gateway = true
	}
	v.origins.Store(&made.origins)
	same := v.changed && sameSet(made.apps, v.last.apps) && slices.Equal(made.problems, v.last.problems)
	if same && !v.failing {
		return
	}
	v.changed, v.failing = true, false
	v.failure = ""
	if slices.Equal(made.problems, v.last.problems) {
		made.problems = v.last.problems
	}
	v.last = made
	v.emit(discovery.Update{Apps: made.apps, Problems: slices.Clip(made.problems)})
}

// serves says whether a Swarm service is an application.
func (b *builder) serves(service string) bool { return !b.declined[service] }

// wantsGateway says whether anybody asks for docker_gwbridge.
func (b *builder) wantsGateway() bool { return b.network.network == GatewayNetwork || b.gatewayAsked }
