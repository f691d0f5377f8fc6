package bench

import (
	"edgerouter/bench/load"
	"edgerouter/bench/peer"
)

// openLabel is edgerouter without a guard, against which the guarded one is set.
const openLabel = "edgerouter-open"

// authorization is the field that a guarded job wants; others pass it on.
const authorization = "Authorization: Bearer " + peer.BearerToken

func guarded() *scenario {
	return &scenario{
		name: "auth", title: "Guarded",
		about: "As small keep-alive; edgerouter asks for a token (auth_v0) and looks each client up among 10,001 IP rules. " +
			"edgerouter-open does neither; its requests carry the token too.",
		columns:  usual,
		ratios:   usualRatios,
		optional: true,
		takes:    func(proxy string) bool { return proxy == "edgerouter" },
		variants: func(p peer.Proxy) []peer.Proxy {
			e, ok := p.(peer.Edgerouter)
			if !ok {
				return nil
			}
			open := e
			open.Label = openLabel
			return []peer.Proxy{e, open}
		},
		job: func(_ *Options, proxy string, j *peer.Job) { j.Guarded = proxy != openLabel },
		load: func(b *bed) load.Config {
			cfg := b.config(128)
			cfg.Requests = []load.Request{load.NewRequest("GET", peer.Host, "/b/128", 0, authorization)}
			return cfg
		},
	}
}
