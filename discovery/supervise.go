package discovery

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"
)

// A source that ends is started again after a pause that doubles from minPause
// to maxPause, half of it random so that nodes that lost the same server do not
// come back in step. A source that ran for steady starts over at minPause.
const (
	minPause = 500 * time.Millisecond
	maxPause = 30 * time.Second
	steady   = time.Minute
)

var errEnded = errors.New("source ended by itself")

// supervise runs a source until ctx ends, starting it again whenever it returns.
func (m *Merge) supervise(ctx context.Context, s *sourceState) {
	pause := minPause
	for {
		started := time.Now()
		err := run(ctx, s.source, func(u Update) { m.receive(s, u) })
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errEnded
		}
		if time.Since(started) >= steady {
			pause = minPause
		}
		wait := pause/2 + rand.N(pause/2)
		m.ended(s, err, wait)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		pause = min(2*pause, maxPause)
	}
}

// ended notes that a source returned.
func (m *Merge) ended(s *sourceState, err error, wait time.Duration) {
	m.mu.Lock()
	s.failed(err, time.Now())
	s.restarts++
	m.mu.Unlock()
	s.errors.Inc()
	m.opts.Log.Error().Str("source", s.name).Err(err).Dur("again_in", wait).
		Msg("source ended; its last applications stay in service")
	m.wakeUp()
}

// run calls the source and turns a panic into an error: a bug in one source must
// not take the proxy down.
func run(ctx context.Context, s Source, emit func(Update)) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("source %s panicked: %v\n%s", s.Name(), r, debug.Stack())
		}
	}()
	return s.Run(ctx, emit)
}
