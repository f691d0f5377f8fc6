package gateway

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"edgerouter/app"
	"edgerouter/router"
)

// hostIndex are the hosts that applications are configured for. It is made when
// it is first asked for: few set-ups need it, and only at the first handshake
// for a name.
type hostIndex struct {
	once      sync.Once
	exact     map[string]bool
	wildcards map[string]bool // what follows "*."
	patterns  []*router.HostPattern
	asking    *hostIndex // of applications that want client certificates; nil: none does
}

func (s *Snapshot) index() *hostIndex {
	h := &s.hosts
	h.once.Do(func() {
		h.exact, h.wildcards = map[string]bool{}, map[string]bool{}
		for a := range s.Apps.All() {
			if a.State == StateBroken {
				continue
			}
			wants := slices.ContainsFunc(a.Definition.Middlewares, func(m app.Middleware) bool {
				return m.Kind == app.MiddlewareClientCertificate
			})
			if wants && h.asking == nil {
				h.asking = &hostIndex{exact: map[string]bool{}, wildcards: map[string]bool{}}
			}
			for i := range a.Definition.Frontends {
				h.add(&a.Definition.Frontends[i])
				if wants {
					h.asking.add(&a.Definition.Frontends[i])
				}
			}
		}
	})
	return h
}

func (h *hostIndex) add(f *app.Frontend) {
	switch f.Kind {
	case app.FrontendHostname:
		if parent, ok := strings.CutPrefix(f.Hostname, "*."); ok {
			h.wildcards[sameHost(parent)] = true
		} else {
			h.exact[sameHost(f.Hostname)] = true
		}
	case app.FrontendHostnameRegexp:
		if p, err := router.CompileHostPattern(f.HostnameRegexp); err == nil {
			h.patterns = append(h.patterns, p)
		}
	case app.FrontendRule:
		if rule, err := app.ParseRule(f.Rule); err == nil {
			hosts, _ := boundHosts(rule)
			for _, host := range hosts {
				h.exact[host] = true
			}
			for _, parent := range wildcardHosts(rule) {
				h.wildcards[parent] = true
			}
		}
	}
}

// HostsForCerts lists the exact host names that applications are configured
// for, sorted: those that a certificate can be obtained for ahead of a request.
func (s *Snapshot) HostsForCerts() []string {
	return slices.Sorted(maps.Keys(s.index().exact))
}

// CoversHost says whether an application is configured for a host name: by its
// exact name, a wildcard, a regexp or the hosts of a rule. A frontend for any
// host covers none.
func (s *Snapshot) CoversHost(name string) bool {
	return s.index().covers(sameHost(name))
}

// AsksForCertificate says whether an application of a host wants client
// certificates. One for any host, or for the hosts of a rule that cannot be
// listed, is not asked for by this: its clients cannot be told apart in a handshake.
func (s *Snapshot) AsksForCertificate(name string) bool {
	asking := s.index().asking
	return asking != nil && asking.covers(sameHost(name))
}

func (h *hostIndex) covers(name string) bool {
	if h.exact[name] {
		return true
	}
	if _, parent, ok := strings.Cut(name, "."); ok && h.wildcards[parent] {
		return true
	}
	return slices.ContainsFunc(h.patterns, func(p *router.HostPattern) bool { return p.MatchHost([]byte(name)) })
}

// HostsForCerts is Snapshot.HostsForCerts of the running set.
func (g *Gateway) HostsForCerts() []string { return g.Snapshot().HostsForCerts() }

// CoversHost is Snapshot.CoversHost of the running set.
func (g *Gateway) CoversHost(name string) bool { return g.Snapshot().CoversHost(name) }

// AsksForCertificate is Snapshot.AsksForCertificate of the running set.
func (g *Gateway) AsksForCertificate(name string) bool { return g.Snapshot().AsksForCertificate(name) }
