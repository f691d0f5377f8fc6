package bench

import (
	"fmt"

	"edgerouter/bench/load"
	"edgerouter/bench/peer"
)

// oneApp is the label of edgerouter with a single application, against which the
// one with thousands is set.
const oneApp = "edgerouter-1-app"

// busyHosts is how many of the hosts get requests. All of them would measure
// pools: each application keeps connections of its own to its peers.
const busyHosts = 500

func manyApps() *scenario {
	return &scenario{
		name: "apps", title: "Many applications",
		about: "As small keep-alive, with many hosts (10,000 unless --apps says otherwise) of three path prefixes each; " +
			"requests go to 500 of them spread over the whole, in turn. nginx and HAProxy have maps of them.",
		columns: []string{"cpu_us", "rps", "p50_us", "p99_us", "rss_mb", "start_ms", "proxy_core", "load_core", "errors"},
		ratios:  []string{"cpu_us", "rps", "p50_us", "p99_us", "rss_mb", "start_ms"},
		takes: func(proxy string) bool {
			return proxy != "caddy" && proxy != "httputil" && proxy != "fasthttp"
		},
		variants: func(p peer.Proxy) []peer.Proxy {
			e, ok := p.(peer.Edgerouter)
			if !ok {
				return []peer.Proxy{p}
			}
			one := e
			one.Label = oneApp
			return []peer.Proxy{e, one}
		},
		job: func(o *Options, proxy string, j *peer.Job) {
			j.Apps = o.Apps
			if proxy == oneApp {
				j.Apps = 1
			}
		},
		load: func(b *bed) load.Config {
			cfg := b.config(128)
			cfg.Requests = spread(b.job.Apps)
			return cfg
		},
	}
}

// spread is requests to hosts evenly spread over apps of them, each prefix in turn.
func spread(apps int) []load.Request {
	var requests []load.Request
	hosts := min(apps, busyHosts)
	for i := range hosts {
		host := peer.AppHost(i * apps / hosts)
		for _, prefix := range peer.Prefixes {
			requests = append(requests, load.NewRequest("GET", host, fmt.Sprintf("%sb/128", prefix), 0))
		}
	}
	return requests
}
