package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"edgerouter/bench/load"
	"edgerouter/bench/peer"
	"edgerouter/bench/report"
)

// scenario is one question put to every proxy. A new one is a file with a
// function that returns a scenario, and its line in scenarios().
type scenario struct {
	name, title, about string
	columns, ratios    []string
	tls                bool // the TLS listener is needed
	// optional is left out of "all": it takes long.
	optional bool
	// mayFail tells for which proxies failed requests are a finding and not a
	// fault of the run; nil: for none.
	mayFail func(proxy string) bool
	// open says that the proxy need not be the limit: a constant rate, or a load
	// that costs the client as much as the proxy.
	open bool
	// variants are what is measured for a proxy; nil: the proxy itself.
	variants func(p peer.Proxy) []peer.Proxy
	// takes tells whether a proxy takes part; nil: all do.
	takes func(proxy string) bool
	// prepare starts what the scenario needs beside origin and proxies; stop ends
	// it. nil: nothing.
	prepare func(o *Options) (stop func(), err error)
	// job changes the job of one proxy; nil: the plain job.
	job func(o *Options, proxy string, j *peer.Job)
	// ready is called once a proxy answers, before its first slice; nil: nothing.
	ready func(ctx context.Context, b *bed) error
	// load is the load of an ordinary scenario, which is measured in slices that
	// take turns with those of the other proxies.
	load func(b *bed) load.Config
	// drive makes that load; nil: load.Run.
	drive func(ctx context.Context, b *bed, cfg load.Config) (*load.Result, error)
	// run is for scenarios that are more than one load; it has the machine to itself.
	run func(ctx context.Context, b *bed) (report.Sample, error)
}

// usual are the columns of a scenario of small requests.
var (
	usual       = []string{"cpu_us", "rps", "p50_us", "p99_us", "p999_us", "rss_mb", "proxy_core", "load_core", "system", "errors"}
	usualRatios = []string{"cpu_us", "rps", "p50_us", "p99_us", "p999_us", "rss_mb"}
)

func scenarios() []*scenario {
	return append([]*scenario{
		small(), constantRate(), medium(), large(), churn(), tlsKeepAlive(), handshakeFull(), handshakeResumed(),
		manyApps(), idle(), reload(), reloadMany(), stream(), lambdaInvoke(), idleBus(), guarded(), staticSwitch(),
	}, statics()...)
}

// chooseScenarios reads --scenario: names, or all.
func chooseScenarios(names []string) ([]*scenario, error) {
	known := scenarios()
	var chosen []*scenario
	for _, name := range names {
		if name == "all" {
			for _, s := range known {
				if !s.optional {
					chosen = append(chosen, s)
				}
			}
			continue
		}
		i := slices.IndexFunc(known, func(s *scenario) bool { return s.name == name })
		if i < 0 {
			var all []string
			for _, s := range known {
				all = append(all, s.name)
			}
			return nil, fmt.Errorf("%w: --scenario %s: known are %s, and all", ErrUsage, name, strings.Join(all, ", "))
		}
		chosen = append(chosen, known[i])
	}
	return chosen, nil
}

// sampleOf is the sample of a tally with the figures v.
func sampleOf(t *tally, v map[string]float64) report.Sample {
	return report.Sample{Values: v, Errors: t.res.Errors.Map(), First: t.res.FirstError}
}

// config is the load that scenarios begin with.
func (b *bed) config(size int64) load.Config {
	return load.Config{
		Target:      b.job.HTTP,
		Requests:    []load.Request{load.NewRequest("GET", b.host(0), fmt.Sprintf("/b/%d", size), 0)},
		Length:      size,
		Connections: b.opts.Connections,
		Warmup:      b.opts.Warmup,
		Duration:    b.opts.Duration,
	}
}
