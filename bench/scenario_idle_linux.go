package bench

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"edgerouter/bench/load"
	"edgerouter/bench/peer"
	"edgerouter/bench/proc"
	"edgerouter/bench/report"
)

// idleSettle is how long connections are idle before memory is read: a garbage
// collector has time to give back what opening them took.
const idleSettle = 3 * time.Second

func idle() *scenario {
	return &scenario{
		name: "idle", title: "Idle connections",
		about: "Kept connections (10,000 unless --idle says otherwise) from several source addresses, one request on each, then silence. " +
			"Memory per connection is the rise over what the proxy held after a warm-up with 64 connections, divided by their number; the kernel's share is not in it.",
		columns: []string{"idle_kb", "idle_pss_kb", "base_mb", "rss_mb", "dropped", "errors"},
		ratios:  []string{"idle_kb", "rss_mb"},
		open:    true,
		job:     func(o *Options, _ string, j *peer.Job) { j.Conns = o.Idle },
		run:     runIdle,
	}
}

func runIdle(ctx context.Context, b *bed) (report.Sample, error) {
	warm := b.config(128)
	warm.Warmup = 0
	warm.Duration = b.opts.Warmup + time.Millisecond
	if _, err := load.Run(ctx, b.loop, warm); err != nil {
		return report.Sample{}, err
	}
	if err := pause(ctx, time.Second); err != nil {
		return report.Sample{}, err
	}
	before, err := proc.ReadMemory(b.process.PID)
	if err != nil {
		return report.Sample{}, err
	}
	const rate = 5000
	opening := time.Duration(float64(b.opts.Idle) / rate * float64(time.Second))
	cfg := b.config(128)
	cfg.Connections, cfg.Rate, cfg.Hold = b.opts.Idle, rate, true
	cfg.MaxRequests = int64(b.opts.Idle)
	cfg.Warmup, cfg.Duration = 0, opening+idleSettle
	for i := range 16 {
		cfg.From = append(cfg.From, netip.AddrFrom4([4]byte{127, 0, 0, byte(2 + i)}))
	}
	t, err := b.runLoad(ctx, cfg)
	if err != nil {
		return report.Sample{}, err
	}
	if t.res.Requests != int64(b.opts.Idle) && t.res.Errors.Total() == 0 {
		return report.Sample{}, fmt.Errorf("only %d of %d connections were answered", t.res.Requests, b.opts.Idle)
	}
	v := b.values(t)
	n := float64(b.opts.Idle)
	v["base_mb"] = float64(before.RSS) / 1e6
	v["idle_kb"] = (v["rss_mb"]*1e6 - float64(before.RSS)) / 1024 / n
	v["idle_pss_kb"] = (v["pss_mb"]*1e6 - float64(before.PSS)) / 1024 / n
	v["dropped"] = float64(t.res.Dropped)
	return sampleOf(t, v), nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
