package gateway

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"edgerouter/app"
	"edgerouter/router"
)

// ruleFrontend is a frontend of kind rule, compiled.
type ruleFrontend struct {
	matcher router.Matcher
	// hosts are the only ones that the rule can take, in comparable form;
	// bounded false: it may be any host.
	hosts   []string
	bounded bool
	length  int        // of its text, which is its priority
	plain   *plainRule // nil: it is more than hosts and a prefix
}

// newRule compiles a rule expression. Errors are problems of the field.
func newRule(text string) (*ruleFrontend, app.Rule, error) {
	parsed, err := app.ParseRule(text)
	if err != nil {
		return nil, nil, err
	}
	matcher, err := compile(parsed)
	if err != nil {
		return nil, nil, err
	}
	r := &ruleFrontend{matcher: matcher, length: len(text)}
	r.hosts, r.bounded = boundHosts(parsed)
	return r, parsed, nil
}

// compile translates a rule into the router's matchers.
func compile(r app.Rule) (router.Matcher, error) {
	switch r := r.(type) {
	case app.RuleAnd:
		parts, err := compileAll(r.Rules)
		return router.And(parts...), err
	case app.RuleOr:
		parts, err := compileAll(r.Rules)
		return router.Or(parts...), err
	case app.RuleNot:
		part, err := compile(r.Rule)
		return router.Not(part), err
	case app.RuleMatcher:
		return compileMatcher(r)
	}
	return nil, fmt.Errorf("a rule of type %T is not known", r)
}

func compileAll(rules []app.Rule) ([]router.Matcher, error) {
	out := make([]router.Matcher, len(rules))
	for i, r := range rules {
		var err error
		if out[i], err = compile(r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func compileMatcher(m app.RuleMatcher) (router.Matcher, error) {
	value := func(i int) string {
		if i < len(m.Values) {
			return m.Values[i]
		}
		return ""
	}
	first, last := value(0), value(len(m.Values)-1)
	switch m.Name {
	case app.MatcherHost:
		if strings.HasPrefix(first, "*") {
			return router.HostWildcard(first), nil
		}
		return router.Host(first), nil
	case app.MatcherPath:
		return router.Path(first), nil
	case app.MatcherPathPrefix:
		return router.PathPrefix(first), nil
	case app.MatcherMethod:
		return router.Method(first), nil
	case app.MatcherHeader:
		return router.Header(first, last), nil
	case app.MatcherQuery:
		return router.Query(first, value(1)), nil
	case app.MatcherClientIP:
		network, err := parseNetwork(first)
		if err != nil {
			return nil, fmt.Errorf("rule: column %d: %w", m.Column, err)
		}
		return router.ClientIP(network), nil
	}

	if m.Name == app.MatcherQueryRegexp && len(m.Values) == 1 {
		return router.Query(first, ""), nil // as in Traefik
	}
	re, err := regexp.Compile(last)
	if err != nil {
		return nil, fmt.Errorf("rule: column %d: %s: %w", m.Column, m.Name, err)
	}
	switch m.Name {
	case app.MatcherHostRegexp:
		return router.HostRegexp(re), nil
	case app.MatcherPathRegexp:
		return router.PathRegexp(re), nil
	case app.MatcherHeaderRegexp:
		return router.HeaderRegexp(first, re), nil
	case app.MatcherQueryRegexp:
		return router.QueryRegexp(first, re), nil
	}
	return nil, fmt.Errorf("rule: column %d: matcher %s is not known", m.Column, m.Name)
}

func parseNetwork(s string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	return netip.ParsePrefix(s)
}

// boundHosts finds the only hosts that a rule can take; false: any host.
func boundHosts(r app.Rule) ([]string, bool) {
	switch r := r.(type) {
	case app.RuleMatcher:
		if r.Name == app.MatcherHost && len(r.Values) > 0 && !strings.HasPrefix(r.Values[0], "*") {
			return []string{sameHost(r.Values[0])}, true
		}
	case app.RuleAnd:
		for _, part := range r.Rules {
			if hosts, ok := boundHosts(part); ok {
				return hosts, true
			}
		}
	case app.RuleOr:
		var all []string
		for _, part := range r.Rules {
			hosts, ok := boundHosts(part)
			if !ok {
				return nil, false
			}
			all = append(all, hosts...)
		}
		return all, len(all) > 0
	}
	return nil, false
}

// wildcardHosts are the parents of the hosts "*.example.com" that a rule takes.
func wildcardHosts(r app.Rule) (parents []string) {
	switch r := r.(type) {
	case app.RuleMatcher:
		if parent, ok := strings.CutPrefix(r.Values[0], "*."); ok && r.Name == app.MatcherHost {
			return []string{sameHost(parent)}
		}
	case app.RuleAnd:
		for _, part := range r.Rules {
			parents = append(parents, wildcardHosts(part)...)
		}
	case app.RuleOr:
		for _, part := range r.Rules {
			parents = append(parents, wildcardHosts(part)...)
		}
	}
	return parents
}

// sameHost is the form in which host names are compared.
func sameHost(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }
