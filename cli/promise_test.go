package cli

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"edgerouter/admin"
	"edgerouter/bus"
	"edgerouter/discovery/stream"
	"edgerouter/internal/testkit"
)

// The promise of the event bus: whatever happens to single nodes, and to all of
// them at once, no acknowledged append is lost, none is applied twice, all nodes
// come to the same within sameWithin, and each serves all the while.
//
// EDGEROUTER_TEST_PROMISE=N is the longest form: N runs with faults of 30 s, in random
// order at random nodes. A run that failed says its seed; EDGEROUTER_TEST_SEED
// runs it again.
func TestClusterPromise(t *testing.T) {
	testkit.Long(t)
	n, _ := strconv.Atoi(os.Getenv("EDGEROUTER_TEST_PROMISE"))
	if n <= 0 {
		clusterPromise(t, shortPromise())
		return
	}
	seed := rand.Uint64()
	if given, err := strconv.ParseUint(os.Getenv("EDGEROUTER_TEST_SEED"), 10, 64); err == nil {
		seed = given
	}
	for round := range uint64(n) {
		t.Run(fmt.Sprintf("seed %d", seed+round), func(t *testing.T) { clusterPromise(t, longPromise(seed+round)) })
	}
}

const (
	// sameWithin is how long the nodes may take to have in service, all of them, what
	// was acknowledged until the cluster was whole again after a fault: after so many
	// appends in a row through each of them. While it elects a leader, which takes the
	// server 4 to 10 seconds, nothing new is acknowledged, and who had not heard of
	// the last acknowledged append before does not until then.
	sameWithin = 5 * time.Second
	whole      = 40
)

// fault is one thing that happens to one node.
type fault struct {
	kind string // kill, stop, cut
	node int
	away time.Duration
	then time.Duration // a pause after it
}

// promise is what happens in one run.
type promise struct {
	faults  []fault
	restart syscall.Signal // what ends all nodes at the end
}

func shortPromise() promise {
	return promise{restart: syscall.SIGTERM, faults: []fault{
		{"kill", 0, 2 * time.Second, 2 * time.Second}, {"stop", 1, 8 * time.Second, 2 * time.Second}, {"cut", 2, 8 * time.Second, 2 * time.Second},
	}}
}

func longPromise(seed uint64) promise {
	r := rand.New(rand.NewPCG(seed, 4))
	until := func(most time.Duration) time.Duration { return time.Duration(r.Int64N(int64(most))) }
	p := promise{restart: syscall.SIGTERM, faults: []fault{
		{"kill", r.IntN(3), until(10 * time.Second), until(3 * time.Second)},
		{"stop", r.IntN(3), 30 * time.Second, until(3 * time.Second)},
		{"cut", r.IntN(3), 30 * time.Second, until(3 * time.Second)},
		{"kill", r.IntN(3), until(time.Second), until(3 * time.Second)},
	}}
	if r.IntN(2) == 0 {
		p.restart = syscall.SIGKILL
	}
	r.Shuffle(len(p.faults), func(i, j int) { p.faults[i], p.faults[j] = p.faults[j], p.faults[i] })
	return p
}

// run is a promise under way.
type run struct {
	*cluster
	t        *testing.T
	writers  []*writer
	requests atomic.Int64
	failures atomic.Int64
	settled  []string
}

func clusterPromise(t *testing.T, p promise) {
	r := &run{t: t, cluster: newCluster(t, "a", "b", "c")}
	r.form()
	running, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	for _, m := range r.members {
		w := newWriter(m)
		r.writers = append(r.writers, w)
		all.Go(func() { w.run(running, t, 60*time.Millisecond) })
		all.Go(func() { r.client(running, m) })
	}
	passing(2 * time.Second)
	for _, f := range p.faults {
		r.happens(f)
		passing(f.then)
	}
	r.restart(p.restart)
	passing(3 * time.Second)
	stop()
	all.Wait()

	r.within("the end", r.same)
	acked, unsure, failed := 0, 0, 0
	for i, m := range r.members {
		l := m.log()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		entries, err := entries(ctx, l, stream.Path("1"))
		cancel()
		l.Close()
		if err != nil {
			t.Fatal(err)
		}
		checkLog(t, m, entries, r.writers)
		w := r.writers[i]
		acked, unsure, failed = acked+len(w.acked), unsure+len(w.unsure), failed+w.failed
	}
	t.Logf("%d appends acknowledged, %d unsure, %d refused; %d requests, %d failed; %s",
		acked, unsure, failed, r.requests.Load(), r.failures.Load(), strings.Join(r.settled, "; "))
	if acked == 0 || r.requests.Load() == 0 {
		t.Error("nothing happened")
	}
}

// form starts the nodes and appends the application that clients ask for.
func (r *run) form() {
	r.t.Helper()
	for _, m := range r.members {
		m.start()
	}
	for _, m := range r.members {
		eventually(r.t, m.name+" answers", time.Minute, func() bool { _, err := m.own(); return err == nil })
	}
	first := r.members[0].log()
	defer first.Close()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	at, err := first.Append(ctx, stream.Path("1"), redirectApp(r.t, "steady", "steady.example.com", "/steady"))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, m := range r.members {
		eventually(r.t, m.name+" has the first application", 30*time.Second, func() bool {
			s, err := m.own()
			return err == nil && s.Generation >= at.Version
		})
		m.ready()
	}
}

// client asks a node all the while.
func (r *run) client(ctx context.Context, m *member) {
	client := &http.Client{Timeout: 5 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	tick := time.NewTicker(15 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		asked, err := m.request(client)
		if asked {
			r.requests.Add(1)
		}
		if err != nil {
			r.failures.Add(1)
			r.t.Errorf("a client of %s: %v", m.name, err)
		}
	}
}

// passing lets faults last; nothing is waited for.
func passing(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

// happens does one fault from its beginning until it is over.
func (r *run) happens(f fault) {
	r.t.Helper()
	m := r.members[f.node]
	switch f.kind {
	case "kill":
		m.kill(syscall.SIGKILL)
		passing(f.away)
		m.start()
		m.ready()
	case "stop":
		m.setUp(false)
		m.cmd.Process.Signal(syscall.SIGSTOP)
		passing(f.away)
		m.cmd.Process.Signal(syscall.SIGCONT)
		m.ready()
	case "cut":
		r.isolate(f.node, true)
		passing(f.away)
		r.isolate(f.node, false)
	}
	r.caughtUp(fmt.Sprintf("%s %s %s", f.kind, m.name, f.away.Round(time.Millisecond)))
}

// restart ends all nodes at once and starts them again.
func (r *run) restart(signal syscall.Signal) {
	r.t.Helper()
	for _, m := range r.members {
		m.setUp(false)
	}
	for _, m := range r.members {
		m.cmd.Process.Signal(signal)
	}
	for _, m := range r.members {
		<-m.ended
		m.start()
	}
	for _, m := range r.members {
		m.ready()
	}
	r.caughtUp("restart of all, " + signal.String())
}

// caughtUp waits until the cluster is whole, and then until every node has what is
// acknowledged by then.
func (r *run) caughtUp(after string) {
	r.t.Helper()
	for _, w := range r.writers {
		w.inARow.Store(0)
	}
	took := eventually(r.t, "appends go through all nodes after "+after, 2*time.Minute, func() bool {
		for _, w := range r.writers {
			if w.inARow.Load() < whole {
				return false
			}
		}
		return true
	})
	var acked int64
	for _, w := range r.writers {
		acked = max(acked, w.last.Load())
	}
	r.within(fmt.Sprintf("%s, whole in %s", after, took.Round(10*time.Millisecond)), func() bool {
		for _, m := range r.members {
			if s, err := m.own(); err != nil || s.Generation < acked {
				return false
			}
		}
		return true
	})
}

// same says that all nodes have the same in service, by what they say themselves.
func (r *run) same() bool {
	var first admin.NodeStatus
	for i, m := range r.members {
		s, err := m.own()
		if err != nil || s.Streams[0].State != bus.Following || s.Streams[0].Lag() > 0 || s.Generation != s.Streams[0].Version {
			return false
		}
		if i == 0 {
			first = s
		}
		if s.Generation != first.Generation || s.Streams[0].Digest != first.Streams[0].Digest {
			return false
		}
	}
	return true
}

// within waits for f and notes how long that took.
func (r *run) within(after string, f func() bool) {
	r.t.Helper()
	took := eventually(r.t, "all nodes have the same after "+after, time.Minute, f).Round(10 * time.Millisecond)
	r.settled = append(r.settled, fmt.Sprintf("%s: same %s after", after, took))
	if took > sameWithin {
		r.t.Errorf("after %s it took %s until all nodes had the same, more than %s", after, took, sameWithin)
	}
}
