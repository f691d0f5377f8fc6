package bench

import (
	"fmt"

	"edgerouter/bench/load"
	"edgerouter/bench/peer"
)

func small() *scenario {
	return &scenario{
		name: "small", title: "Small keep-alive",
		about:   "64 kept connections, each asking for 128 bytes again as soon as it is answered; two peers.",
		columns: usual, ratios: usualRatios,
		load: func(b *bed) load.Config { return b.config(128) },
	}
}

func medium() *scenario {
	return &scenario{
		name: "16k", title: "16 KB",
		about:   "As small keep-alive, with 16,384 bytes.",
		columns: usual, ratios: usualRatios,
		load: func(b *bed) load.Config { return b.config(16 << 10) },
	}
}

func large() *scenario {
	return &scenario{
		name: "1m", title: "1 MB",
		about:   "16 kept connections, each asking for 1,048,576 bytes.",
		columns: []string{"cpu_us", "mb_s", "rps", "p50_us", "p99_us", "rss_mb", "proxy_core", "load_core", "errors"},
		ratios:  []string{"cpu_us", "mb_s", "p50_us", "p99_us", "rss_mb"},
		job:     func(_ *Options, _ string, j *peer.Job) { j.Large = true },
		load: func(b *bed) load.Config {
			cfg := b.config(1 << 20)
			cfg.Connections = min(cfg.Connections, 16)
			return cfg
		},
	}
}

func churn() *scenario {
	return &scenario{
		name: "churn", title: "Churn",
		about:   "A new connection for each request of 128 bytes (Connection: close), 64 at the same time; connections to the peers are kept. Latency begins with the connect.",
		columns: usual, ratios: usualRatios,
		load: func(b *bed) load.Config {
			cfg := b.config(128)
			cfg.Churn = true
			cfg.Requests = []load.Request{load.NewRequest("GET", peer.Host, fmt.Sprintf("/b/%d", 128), 0, "Connection: close")}
			return cfg
		},
	}
}

func tlsKeepAlive() *scenario {
	return &scenario{
		name: "tls", title: "TLS keep-alive",
		about:   "As small keep-alive, through TLS 1.3 (ECDSA P-256 certificate, AES-128-GCM).",
		columns: usual, ratios: usualRatios, tls: true,
		load: func(b *bed) load.Config {
			cfg := b.config(128)
			cfg.Target, cfg.TLS = b.job.HTTPS, b.tlsConfig()
			return cfg
		},
	}
}
