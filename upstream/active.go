package upstream

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"edgerouter/app"
)

// The defaults of health_check.
const (
	defaultCheckInterval  = 10 * time.Second
	defaultCheckTimeout   = 2 * time.Second
	defaultCheckStatus    = "200-399"
	defaultHealthyAfter   = 2
	defaultUnhealthyAfter = 3
)

// joinInterval is the longest time between two checks of a peer that is joining:
// a deployment may wait for it.
const joinInterval = time.Second

// maxChecks is how many peers of a set are checked at the same time.
const maxChecks = 32

// check is what is known of one peer's checks.
type check struct {
	due     time.Time
	running bool
	done    bool // at least one has ended
	good    int  // successes in a row
	bad     int  // failures in a row
}

type checkResult struct {
	p   *peer
	c   *check // of p when it began
	err error
}

// checker is the state of one runHealthChecks.
type checker struct {
	interval  time.Duration
	timeout   time.Duration
	healthy   int
	unhealthy int
	probe     func(ctx context.Context, p *peer) error
	onChange  func(p *peer, up bool, reason string)

	checks  map[*peer]*check
	running int
	results chan checkResult
	workers sync.WaitGroup
}

// runHealthChecks checks the peers until ctx ends: each at once when it is
// first seen, then every interval, shifted by up to a tenth either way so that
// many sets do not check in step. A value from changed (may be nil) says that
// there are other peers than before.
//
// A peer that is up goes down after so many failures in a row and comes back
// after so many successes in a row; its first check decides alone, since
// nothing speaks for an address that was just put in. One that joined a running
// set (flagJoining) is checked every second at least until it succeeds for the
// first time, which is all it needs: it may just have been started. onChange (may
// be nil) is told after the peer's state was set.
//
// It is to be run in a goroutine and returns when all checks under way have
// ended, which end with ctx.
func runHealthChecks(ctx context.Context, peers func() []*peer, changed <-chan struct{}, opts app.HealthCheck,
	probe func(ctx context.Context, p *peer) error, onChange func(p *peer, up bool, reason string)) {
	k := &checker{
		interval:  positive(time.Duration(opts.Interval), defaultCheckInterval),
		timeout:   positive(time.Duration(opts.Timeout), defaultCheckTimeout),
		healthy:   positive(opts.Healthy, defaultHealthyAfter),
		unhealthy: positive(opts.Unhealthy, defaultUnhealthyAfter),
		probe:     probe,
		onChange:  onChange,
		checks:    make(map[*peer]*check),
		results:   make(chan checkResult),
	}
	defer k.workers.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-k.results:
			k.note(r)
		case <-changed:
			k.follow(peers())
		case <-timer.C:
			k.follow(peers())
		}
		timer.Reset(k.start(ctx))
	}
}

// follow starts to watch the peers that are new and forgets those that left.
func (k *checker) follow(peers []*peer) {
	now := time.Now()
	gone := make(map[*peer]bool, len(k.checks))
	for p := range k.checks {
		gone[p] = true
	}
	for _, p := range peers {
		delete(gone, p)
		if k.checks[p] == nil {
			k.checks[p] = &check{due: now}
		}
	}
	for p := range gone {
		delete(k.checks, p)
	}
}

// start runs the checks that are due and tells how long it is to the next.
func (k *checker) start(ctx context.Context) time.Duration {
	now := time.Now()
	next := k.interval
	for p, c := range k.checks {
		switch wait := c.due.Sub(now); {
		case c.running:
		case wait > 0:
			next = min(next, wait)
		case k.running < maxChecks: // else a result will wake us
			c.running = true
			k.running++
			k.workers.Go(func() {
				limited, cancel := context.WithTimeout(ctx, k.timeout)
				defer cancel()
				r := checkResult{p, c, k.probe(limited, p)}
				select {
				case k.results <- r:
				case <-ctx.Done():
				}
			})
		}
	}
	return next
}

// note takes a result and changes the peer's state when it is time to.
func (k *checker) note(r checkResult) {
	k.running--
	c := k.checks[r.p]
	if c != r.c {
		return // it left meanwhile, and may have come back
	}
	c.running = false
	flags := r.p.flags.Load()
	down, joining := flags&flagDown != 0, flags&flagJoining != 0
	pause := k.interval
	if joining && r.err != nil {
		pause = min(pause, joinInterval)
	}
	spread := int64(pause) / 10
	c.due = time.Now().Add(pause + time.Duration(rand.Int64N(2*spread+1)-spread))
	first := !c.done
	c.done = true
	if r.err == nil {
		c.good, c.bad = c.good+1, 0
		r.p.setJoining(false)
		if down && (first || joining || c.good >= k.healthy) {
			r.p.setUp()
			k.tell(r.p, true, fmt.Sprintf("health check succeeded (%d in a row)", c.good))
		}
		return
	}
	c.good, c.bad = 0, c.bad+1
	reason := fmt.Sprintf("health check failed (%d in a row): %v", c.bad, r.err)
	switch {
	case down:
		r.p.reason.Store(&reason) // the latest says most
	case first || c.bad >= k.unhealthy:
		r.p.setDown(reason)
		k.tell(r.p, false, reason)
	}
}

func (k *checker) tell(p *peer, up bool, reason string) {
	if k.onChange != nil {
		k.onChange(p, up, reason)
	}
}
