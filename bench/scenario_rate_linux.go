package bench

import (
	"edgerouter/bench/load"
)

// constantRate is where latencies are compared: in a closed loop they only say
// again how many requests fit into a second.
func constantRate() *scenario {
	return &scenario{
		name: "rate", title: "Small, at a constant rate",
		about: "As small keep-alive, but requests are due at even distances (see --rate) whatever the proxy does, " +
			"and latency counts from the moment at which a request was due.",
		columns: []string{"rps", "cpu_us", "p50_us", "p99_us", "p999_us", "max_us", "rss_mb", "proxy_core", "load_core", "errors"},
		ratios:  []string{"cpu_us", "p50_us", "p99_us", "p999_us", "max_us"},
		open:    true,
		load: func(b *bed) load.Config {
			cfg := b.config(128)
			cfg.Rate, cfg.Spin = b.opts.Rate, b.opts.ProxyCPU >= 0
			return cfg
		},
	}
}
