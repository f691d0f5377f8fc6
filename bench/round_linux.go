package bench

import (
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"time"

	"edgerouter/bench/load"
	"edgerouter/bench/peer"
	"edgerouter/bench/report"
)

// sliceWarmup goes before every slice but a proxy's first: its connections are
// new, everything else is warm.
const sliceWarmup = 100 * time.Millisecond

// attempts is how often a slice is measured at most when others disturb it.
const attempts = 3

// outcome is a proxy's part in a round.
type outcome struct {
	sample report.Sample
	err    error
}

// round measures the proxies once. A proxy that fails has an error as its outcome
// and does not hold back the others.
func (st *stage) round(ctx context.Context, s *scenario, proxies []peer.Proxy, round int) iter.Seq2[peer.Proxy, outcome] {
	return func(yield func(peer.Proxy, outcome) bool) {
		if s.run != nil {
			for _, p := range proxies {
				sample, err := st.alone(ctx, s, p, round)
				if !yield(p, outcome{sample, err}) {
					return
				}
			}
			return
		}
		for p, o := range st.sliced(ctx, s, proxies, round) {
			if !yield(p, o) {
				return
			}
		}
	}
}

// alone starts a proxy, measures it in the scenario's own way and stops it.
func (st *stage) alone(ctx context.Context, s *scenario, proxy peer.Proxy, round int) (report.Sample, error) {
	b, err := st.start(ctx, s, proxy, round)
	if err != nil {
		return report.Sample{}, err
	}
	defer b.clean()
	sample, err := s.run(ctx, b)
	if err != nil {
		return sample, fmt.Errorf("%s in scenario %s: %w", proxy.Name(), s.name, err)
	}
	sample.Scenario, sample.Proxy, sample.Round = s.name, proxy.Name(), round
	return sample, nil
}

// entrant is a proxy in a sliced round.
type entrant struct {
	bed *bed
	sum *tally
	err error
}

// sliced starts all proxies, lets short slices of them take turns until each has
// had its time, and stops them. A machine that is slow for a second is slow for
// all of them that way, which is what the ratios need.
func (st *stage) sliced(ctx context.Context, s *scenario, proxies []peer.Proxy, round int) iter.Seq2[peer.Proxy, outcome] {
	entrants := make([]entrant, len(proxies))
	defer func() {
		for _, e := range entrants {
			if e.bed != nil {
				e.bed.clean()
			}
		}
	}()
	for i, p := range proxies {
		e := &entrants[i]
		if e.bed, e.err = st.start(ctx, s, p, round); e.err == nil {
			e.sum = newTally()
			e.bed.keepForwarded(ctx)
		}
	}
	for slice := range st.opts.Slices {
		for i := range entrants {
			if e := &entrants[i]; e.err == nil {
				e.err = e.measure(ctx, s, slice == 0)
			}
		}
	}
	outcomes := make([]outcome, len(proxies))
	for i, e := range entrants {
		if e.err != nil {
			outcomes[i].err = e.err
			continue
		}
		sample := sampleOf(e.sum, e.bed.values(e.sum))
		sample.Scenario, sample.Proxy, sample.Round = s.name, proxies[i].Name(), round
		outcomes[i].sample = sample
	}
	return func(yield func(peer.Proxy, outcome) bool) {
		for i, p := range proxies {
			if !yield(p, outcomes[i]) {
				return
			}
		}
	}
}

// measure makes one slice, again when others took too much of the cores, which
// says nothing of the proxy. The third one counts whatever it is.
func (e *entrant) measure(ctx context.Context, s *scenario, first bool) error {
	b := e.bed
	cfg := s.load(b)
	cfg.Duration = b.opts.Duration / time.Duration(b.opts.Slices)
	if !first {
		cfg.Warmup = min(cfg.Warmup, sliceWarmup)
	}
	run := func(cfg load.Config) (*load.Result, error) { return load.Run(ctx, b.loop, cfg) }
	if s.drive != nil {
		run = func(cfg load.Config) (*load.Result, error) { return s.drive(ctx, b, cfg) }
	}
	for attempt := 1; ; attempt++ {
		t, err := b.window(cfg, run)
		if err != nil {
			return fmt.Errorf("%s in scenario %s: %w", b.proxy.Name(), s.name, err)
		}
		noisy := b.opts.MaxNoise > 0 && t.noise(b.opts.ProxyCPU >= 0) > b.opts.MaxNoise
		// Failed requests are a finding whatever the noise.
		if !noisy || attempt == attempts || t.res.Errors.Total() > 0 {
			e.sum.repeats += attempt - 1
			e.sum.add(t)
			return nil
		}
		cfg.Warmup = min(cfg.Warmup, sliceWarmup)
	}
}

// keepForwarded writes down what a peer gets through the proxy, which shows that
// the job is the same one for all.
func (b *bed) keepForwarded(ctx context.Context) {
	path := filepath.Join(b.opts.Out, "forwarded-"+b.proxy.Name()+".txt")
	if echo, err := b.get(ctx, false, b.host(0), "/echo"); err == nil {
		_ = os.WriteFile(path, echo, 0o644)
	}
}
