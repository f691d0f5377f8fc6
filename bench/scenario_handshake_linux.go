package bench

import (
	"context"
	"crypto/tls"

	"edgerouter/bench/load"
	"edgerouter/bench/peer"
)

func handshakeFull() *scenario {
	return handshakeScenario("handshake", "TLS handshakes, full",
		"A new TLS 1.3 connection (X25519, ECDSA P-256) with one request of 128 bytes; 32 at the same time.", false)
}

func handshakeResumed() *scenario {
	return handshakeScenario("handshake-resumed", "TLS handshakes, resumed",
		"As full handshakes, but each resumes the session of the connection before it.", true)
}

func handshakeScenario(name, title, about string, resume bool) *scenario {
	return &scenario{
		name: name, title: title,
		about:   about + " The client's half costs as much as the server's, so the load core may be the limit: read the CPU time.",
		columns: []string{"cpu_us", "rps", "p50_us", "p99_us", "rss_mb", "proxy_core", "system", "errors"},
		ratios:  []string{"cpu_us", "rps", "p50_us", "p99_us", "rss_mb"},
		tls:     true, open: true,
		load: func(b *bed) load.Config {
			cfg := b.config(128)
			cfg.Target, cfg.TLS = b.job.HTTPS, b.tlsConfig()
			cfg.Connections = min(cfg.Connections, 32)
			cfg.Requests = []load.Request{load.NewRequest("GET", peer.Host, "/b/128", 0, "Connection: close")}
			// Checking the chain is the client's cost alone.
			cfg.TLS.InsecureSkipVerify = true
			cfg.TLS.MinVersion = tls.VersionTLS13
			return cfg
		},
		drive: func(ctx context.Context, _ *bed, cfg load.Config) (*load.Result, error) {
			return load.RunHandshakes(ctx, cfg, resume)
		},
	}
}
