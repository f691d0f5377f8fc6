package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"edgerouter/bench/load"
	"edgerouter/bench/peer"
	"edgerouter/bench/proc"
	"edgerouter/bench/report"
)

func stream() *scenario {
	return &scenario{
		name: "stream", title: "Streaming",
		about: "One response and then one request with a body of 10 GB (--stream-size) through the proxy. " +
			"The rise is the highest resident memory seen meanwhile (every 20 ms) above what the proxy held after a warm-up.",
		columns: []string{"mb_s", "cpu_ms_gb", "rise_mb", "up_mb_s", "up_cpu_ms_gb", "up_rise_mb", "base_mb", "errors"},
		ratios:  []string{"cpu_ms_gb", "up_cpu_ms_gb"},
		open:    true, optional: true,
		// The bare loop holds whole bodies in memory.
		takes: func(proxy string) bool { return proxy != "fasthttp" },
		job:   func(_ *Options, _ string, j *peer.Job) { j.Large = true },
		run:   runStream,
	}
}

func runStream(ctx context.Context, b *bed) (report.Sample, error) {
	warm := b.config(16 << 10)
	warm.Warmup = 0
	warm.Duration = b.opts.Warmup + time.Millisecond
	if _, err := load.Run(ctx, b.loop, warm); err != nil {
		return report.Sample{}, err
	}
	size := b.opts.StreamSize
	down, base, rise, err := b.streamed(ctx, load.NewRequest("GET", peer.Host, fmt.Sprintf("/b/%d", size), 0), size)
	if err != nil {
		return report.Sample{}, err
	}
	received := b.origin.Received()
	up, _, upRise, err := b.streamed(ctx, load.NewRequest("POST", peer.Host, "/upload", size), -1)
	if err != nil {
		return report.Sample{}, err
	}
	if got := b.origin.Received() - received; got != size && up.res.Errors.Total() == 0 {
		return report.Sample{}, fmt.Errorf("the peer received %d bytes of an upload of %d", got, size)
	}
	v := b.values(down)
	v["base_mb"], v["rise_mb"], v["up_rise_mb"] = base, rise, upRise
	v["up_mb_s"] = float64(size) / 1e6 / up.res.Duration.Seconds()
	v["up_cpu_ms_gb"] = float64(up.cpu.Microseconds()) / 1000 / (float64(size) / 1e9)
	v["errors"] += float64(up.res.Errors.Total())
	down.add(up)
	return sampleOf(down, v), nil
}

// streamed makes one request and watches the memory meanwhile: what it was before,
// and how far it rose, in MB.
func (b *bed) streamed(ctx context.Context, r load.Request, length int64) (t *tally, baseMB, riseMB float64, err error) {
	pids := proc.Tree(b.process.PID)
	base := proc.RSS(pids)
	highest := base
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		sample := time.NewTicker(20 * time.Millisecond)
		defer sample.Stop()
		for {
			select {
			case <-done:
				return
			case <-sample.C:
				highest = max(highest, proc.RSS(pids))
			}
		}
	})
	t, err = b.runLoad(ctx, load.Config{
		Target: b.job.HTTP, Requests: []load.Request{r}, Length: length, Connections: 1, MaxRequests: 1,
		Duration: 30 * time.Minute, Timeout: 30 * time.Minute,
	})
	close(done)
	wg.Wait()
	if err != nil {
		return nil, 0, 0, err
	}
	if t.res.Requests != 1 && t.res.Errors.Total() == 0 {
		return nil, 0, 0, fmt.Errorf("%.20q was not answered within 30 minutes", r.Head)
	}
	return t, float64(base) / 1e6, float64(highest-base) / 1e6, nil
}
