package gateway

import "edgerouter/app"

// Refresh builds those applications again whose definition names files or
// environment variables (certificates of a tls_config, secrets such as
// file:PATH), since what these hold may have changed; for SIGHUP. Others are left
// alone. One that fails keeps what it had.
func (g *Gateway) Refresh() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return
	}
	for i := range g.sets {
		for _, r := range g.sets[i].apps {
			if refersOutside(&r.declared) {
				r.refresh = true
				g.sets[i].unsettled++ // at least: the sets are looked through as a whole
			}
		}
	}
	g.apply(g.last)
}

// refersOutside says whether a definition depends on more than itself.
func refersOutside(a *app.Application) bool {
	for i := range a.Middlewares {
		if middlewareRefersOutside(&a.Middlewares[i]) {
			return true
		}
	}
	return backendRefersOutside(&a.Backend)
}

func backendRefersOutside(b *app.Backend) bool {
	if p := b.PeerSet; p != nil {
		return tlsRefersOutside(p.TLSConfig)
	}
	outer, inside := split(*b)
	return guardRefersOutside(guardOpts{outer.AuthV0, outer.AuthSSO, outer.AuthForward, outer.AuthOIDC}) ||
		inside != nil && backendRefersOutside(inside)
}

func tlsRefersOutside(c *app.TLSConfig) bool {
	return c != nil && (c.CAFile != "" || c.ClientCertFile != "" || c.ClientKeyFile != "")
}
