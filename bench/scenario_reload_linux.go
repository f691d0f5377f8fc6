package bench

import (
	"context"
	"time"

	"edgerouter/bench/load"
	"edgerouter/bench/peer"
	"edgerouter/bench/report"
)

var reloadColumns = []string{"quiet_p50_us", "p50_us", "quiet_p99_us", "p99_us", "p99_moved", "changes", "applied_p50_ms", "applied_max_ms", "cpu_us", "quiet_cpu_us", "errors", "retryable"}

func reload() *scenario {
	return reloadScenario("reload", "Reload during load",
		"One application under load and another whose peer changes ten times a second; nginx is told to reload as often. ", 0,
		func(proxy string) bool { return proxy == "edgerouter" || proxy == "nginx" })
}

func reloadMany() *scenario {
	return reloadScenario("reload-apps", "Reload during load, many applications",
		"As reload, with 10,000 more applications (--apps), edgerouter alone. ", -1,
		func(proxy string) bool { return proxy == "edgerouter" })
}

// reloadScenario compares a window with changes to one without. apps -1 means as
// many as --apps says.
func reloadScenario(name, title, about string, apps int, takes func(string) bool) *scenario {
	return &scenario{
		name: name, title: title,
		about: about + "Small requests at a constant rate (--rate) through both windows; a change is in service when a request " +
			"to the changed application is answered by its new peer. The application's file is replaced by a rename; " +
			"it is one of its own beside the others unless --reload-one-file is given. Without changes the same file is written as often where no proxy looks. p50 and p99 are medians over the slices, " +
			"and moved is the median of the ratios of a slice with changes to the one before it without.",
		columns: reloadColumns, ratios: []string{"p99_us", "p99_moved", "applied_p50_ms"},
		open: true,
		// nginx closes kept connections when it reloads, sometimes under a request:
		// that is what this scenario is there to show.
		mayFail: func(proxy string) bool { return proxy == "nginx" },
		takes:   takes,
		job: func(o *Options, _ string, j *peer.Job) {
			j.Probe, j.SplitApps = 0, !o.ReloadOneFile
			if j.Apps = apps; apps < 0 {
				j.Apps = o.Apps
			}
		},
		run: runReload,
	}
}

func runReload(ctx context.Context, b *bed) (report.Sample, error) {
	cfg := b.config(128)
	cfg.Rate = b.opts.Rate
	if b.job.Apps > 0 {
		cfg.Requests = spread(b.job.Apps)
	}
	cfg.Duration = b.opts.Duration / time.Duration(b.opts.Slices)
	c, err := newReloader(b)
	if err != nil {
		return report.Sample{}, err
	}
	without, with, pairs, err := c.slices(ctx, cfg, nil)
	if err != nil {
		return report.Sample{}, err
	}
	return pairedSample(b, c, without, with, pairs), nil
}

// slices measures slices without and with changes in turns: the machine's moods
// fall on both. before is called before each pair; nil: nothing.
func (c *changer) slices(ctx context.Context, cfg load.Config, before func() error) (without, with *tally, pairs *reloadPairs, err error) {
	b := c.bed
	window := func() (*tally, error) { return b.runLoad(ctx, cfg) }
	without, with, pairs = newTally(), newTally(), &reloadPairs{}
	for range b.opts.Slices {
		for attempt := 1; ; attempt++ {
			if before != nil {
				if err := before(); err != nil {
					return nil, nil, nil, err
				}
			}
			quiet, err := c.during(ctx, false, window)
			if err != nil {
				return nil, nil, nil, err
			}
			cfg.Warmup = min(cfg.Warmup, sliceWarmup)
			changed, err := c.during(ctx, true, window)
			if err != nil {
				return nil, nil, nil, err
			}
			// Where a reload replaces processes, these would count as others.
			pinned := b.opts.ProxyCPU >= 0 && b.proxy.Name() != "nginx"
			noisy := b.opts.MaxNoise > 0 && max(quiet.noise(pinned), changed.noise(pinned)) > b.opts.MaxNoise
			if noisy && attempt < attempts && quiet.res.Errors.Total()+changed.res.Errors.Total() == 0 {
				with.repeats++
				continue
			}
			pairs.add(quiet, changed)
			without.add(quiet)
			with.add(changed)
			break
		}
	}
	return without, with, pairs, nil
}

// pairedSample is the sample of slices with changes beside those without.
func pairedSample(b *bed, c *changer, without, with *tally, pairs *reloadPairs) report.Sample {
	v, quiet := b.values(with), b.values(without)
	pairs.values(v)
	v["quiet_cpu_us"] = quiet["cpu_us"]
	v["changes"] = float64(c.applied.TotalCount())
	v["applied_p50_ms"] = float64(c.applied.ValueAtPercentile(50)) / 1e6
	v["applied_max_ms"] = float64(c.applied.Max()) / 1e6
	v["noise"] = max(v["load_waited"], quiet["load_waited"])
	v["retryable"] = float64(with.res.Errors[load.ErrStale])
	v["errors"] += quiet["errors"]
	with.add(without)
	return sampleOf(with, v)
}

// reloadPairs are the latencies of slices without and with changes, one after the
// other. Their medians count: one stall of the machine would be the whole p99 of
// all slices together.
type reloadPairs struct {
	p50, p99, quiet50, quiet99, moved50, moved99 []float64
}

func (p *reloadPairs) add(quiet, changed *tally) {
	q50, q99 := micro(quiet.res.Quantile(50)), micro(quiet.res.Quantile(99))
	c50, c99 := micro(changed.res.Quantile(50)), micro(changed.res.Quantile(99))
	p.quiet50, p.quiet99 = append(p.quiet50, q50), append(p.quiet99, q99)
	p.p50, p.p99 = append(p.p50, c50), append(p.p99, c99)
	if q50 > 0 && q99 > 0 {
		p.moved50, p.moved99 = append(p.moved50, c50/q50), append(p.moved99, c99/q99)
	}
}

func (p *reloadPairs) values(v map[string]float64) {
	for key, figures := range map[string][]float64{
		"p50_us": p.p50, "p99_us": p.p99, "quiet_p50_us": p.quiet50, "quiet_p99_us": p.quiet99, "p50_moved": p.moved50, "p99_moved": p.moved99,
	} {
		if spread := report.SpreadOf(figures); spread.N > 0 {
			v[key] = spread.Median
		}
	}
}
