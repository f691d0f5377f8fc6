package bench

import (
	"slices"

	"edgerouter/bench/load"
	"edgerouter/bench/peer"
)

// withBus is the label of edgerouter with the embedded event bus, against which the
// one without a bus, as in every other scenario, is set.
const withBus = "edgerouter-bus"

func idleBus() *scenario {
	return &scenario{
		name: "bus", title: "Idle event bus", optional: true,
		about: "As small keep-alive, by edgerouter with --bus off, as everywhere else here, and with the embedded event bus, " +
			"which has nothing to do.",
		columns: []string{"cpu_us", "rps", "p50_us", "p99_us", "rss_mb", "start_ms", "proxy_core", "load_core", "errors"},
		ratios:  []string{"cpu_us", "rps", "p50_us", "p99_us", "rss_mb"},
		takes:   func(proxy string) bool { return proxy == "edgerouter" },
		variants: func(p peer.Proxy) []peer.Proxy {
			e, ok := p.(peer.Edgerouter)
			if !ok {
				return []peer.Proxy{p}
			}
			bus := e
			bus.Label, bus.Args = withBus, append(slices.Clone(e.Args), "--bus", "embedded", "--node", "bench")
			return []peer.Proxy{e, bus}
		},
		load: func(b *bed) load.Config { return b.config(128) },
	}
}
