package bench

import (
	"context"
	"fmt"
	"time"

	"edgerouter/bench/load"
	"edgerouter/bench/proc"
)

// reading is what the clocks say at one edge of a measured window.
type reading struct {
	at     time.Time
	cpu    time.Duration // of the proxy by its processes' clocks; -1 when one of them has gone
	use    proc.Usage
	loop   time.Duration // of the loop's thread
	waited time.Duration // that the loop's thread was ready and another one had its core
	core   proc.CoreTimes
	peers  []int64
	failed error
}

// read takes everything. The CPU clock is read at the inner side of the window,
// so that the reading itself, during which nothing is sent, is outside.
func (b *bed) read(pids []int, opening bool) reading {
	var r reading
	clocks := func() {
		var err error
		r.at = time.Now()
		if r.cpu, err = proc.CPUTime(pids); err != nil {
			r.cpu = -1
		}
		r.loop, r.failed = proc.ThreadTime(b.loop.ThreadID())
	}
	if !opening {
		clocks()
	}
	var err error
	if r.use, err = proc.Read(b.process.PID); err != nil && r.failed == nil {
		r.failed = err
	}
	if b.opts.ProxyCPU >= 0 {
		r.core, _ = proc.Core(b.opts.ProxyCPU)
	}
	r.waited = proc.ThreadWait(b.loop.ThreadID())
	r.peers = b.origin.Requests()
	if opening {
		clocks()
	}
	return r
}

// tally adds up the windows of one proxy in one round.
type tally struct {
	wall, cpu, loop, waited, busy, steal time.Duration
	use                                  proc.Usage
	peers                                []int64
	res                                  load.Result
	mem                                  proc.Memory
	repeats                              int
}

func newTally() *tally { return &tally{res: load.Result{Latency: load.NewHistogram()}} }

// window measures one run of the load and returns it as a tally of its own.
func (b *bed) window(cfg load.Config, run func(load.Config) (*load.Result, error)) (*tally, error) {
	pids := proc.Tree(b.process.PID)
	t := newTally()
	var from, to reading
	cfg.OnStart = func() { from = b.read(pids, true) }
	cfg.OnEnd = func() {
		to = b.read(pids, false)
		t.mem, _ = proc.ReadMemory(b.process.PID)
	}
	res, err := run(cfg)
	if err != nil {
		return nil, err
	}
	for _, r := range []reading{from, to} {
		if r.failed != nil {
			return nil, fmt.Errorf("measure %s: %w", b.proxy.Name(), r.failed)
		}
	}
	t.wall = to.at.Sub(from.at)
	t.use = to.use.Sub(from.use)
	if t.cpu = to.cpu - from.cpu; to.cpu < 0 || from.cpu < 0 {
		t.cpu = t.use.CPU // a reload has replaced a process: what it used is counted in steps of 10 ms
	}
	t.loop, t.waited = to.loop-from.loop, to.waited-from.waited
	t.busy, t.steal = to.core.Busy-from.core.Busy, to.core.Steal-from.core.Steal
	for i := range to.peers {
		t.peers = append(t.peers, to.peers[i]-from.peers[i])
	}
	t.res = *res
	return t, nil
}

// runLoad is a window of the generator's.
func (b *bed) runLoad(ctx context.Context, cfg load.Config) (*tally, error) {
	return b.window(cfg, func(cfg load.Config) (*load.Result, error) { return load.Run(ctx, b.loop, cfg) })
}

// add takes another window in. Memory is that of the last one.
func (t *tally) add(o *tally) {
	t.wall += o.wall
	t.cpu += o.cpu
	t.loop += o.loop
	t.waited += o.waited
	t.busy += o.busy
	t.steal += o.steal
	t.use.User += o.use.User
	t.use.System += o.use.System
	t.use.Voluntary += o.use.Voluntary
	t.use.Involuntary += o.use.Involuntary
	for i, n := range o.peers {
		if i == len(t.peers) {
			t.peers = append(t.peers, 0)
		}
		t.peers[i] += n
	}
	t.mem = o.mem
	t.res.Add(&o.res)
}

// foreign is how much of the proxy's core others used, in percent. The core's
// times come in steps of 10 ms.
func (t *tally) foreign() float64 { return max(0, percent(t.busy-t.cpu, t.wall)) }

// noise is how far the window was disturbed: the part of a core, in percent, that
// others took from the proxy or from the load.
func (t *tally) noise(pinned bool) float64 {
	n := percent(t.waited, t.wall)
	if pinned {
		n = max(n, t.foreign()+percent(t.steal, t.wall))
	}
	return n
}

// values turns a tally into figures.
func (b *bed) values(t *tally) map[string]float64 {
	res := &t.res
	v := map[string]float64{
		"requests":    float64(res.Requests),
		"rps":         res.Rate(),
		"mb_s":        float64(res.Bytes) / 1e6 / res.Duration.Seconds(),
		"p50_us":      micro(res.Quantile(50)),
		"p99_us":      micro(res.Quantile(99)),
		"p999_us":     micro(res.Quantile(99.9)),
		"max_us":      micro(res.Quantile(100)),
		"proxy_core":  percent(t.cpu, t.wall),
		"load_core":   percent(t.loop, t.wall),
		"load_waited": percent(t.waited, t.wall),
		"noise":       t.noise(b.opts.ProxyCPU >= 0),
		"repeats":     float64(t.repeats),
		"start_ms":    b.startMS,
		"errors":      float64(res.Errors.Total()),
		"rss_mb":      float64(t.mem.RSS) / 1e6,
		"pss_mb":      float64(t.mem.PSS) / 1e6,
	}
	if b.opts.ProxyCPU >= 0 {
		v["foreign"], v["steal"] = t.foreign(), percent(t.steal, t.wall)
	}
	if used := t.use.User + t.use.System; used > 0 {
		v["system"] = percent(t.use.System, used)
	}
	if res.Requests > 0 {
		v["cpu_us"] = micro(t.cpu) / float64(res.Requests)
		v["switches"] = float64(t.use.Voluntary+t.use.Involuntary) / float64(res.Requests)
	}
	if res.Bytes > 0 {
		v["cpu_ms_gb"] = float64(t.cpu.Microseconds()) / 1000 / (float64(res.Bytes) / 1e9)
	}
	// Both peers must have answered; how evenly is the proxy's policy.
	for i, n := range t.peers {
		v[fmt.Sprintf("peer%d", i+1)] = float64(n)
	}
	return v
}

func micro(d time.Duration) float64             { return float64(d.Nanoseconds()) / 1000 }
func percent(part, whole time.Duration) float64 { return 100 * float64(part) / float64(whole) }
