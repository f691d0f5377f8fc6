package gateway

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"edgerouter/app"
	"edgerouter/router"
)

// plainRule is what a rule says that is no more than hosts and a path prefix.
type plainRule struct {
	hosts  []string // in comparable form, none twice
	prefix string   // compared as text
	claim  string   // what the router compares rules by: two with the same are a conflict
	// entries of exact hosts that take the same requests as the rule.
	entries []*router.Entry
}

// newPlainRule is nil for a rule that says more. An explicit priority orders
// rules among themselves as well, so such a rule stays one.
func newPlainRule(parsed app.Rule, matcher router.Matcher, e router.Entry) *plainRule {
	hosts, prefix, ok := app.PlainHosts(parsed)
	if !ok || e.HasPriority {
		return nil
	}
	if normal, err := router.NormalizePath(nil, []byte(prefix)); err == nil && prefix != "" {
		prefix = string(normal)
	}
	if prefix == "/" {
		prefix = ""
	}
	p := &plainRule{prefix: prefix, claim: fmt.Sprint(matcher, e.HasRulePriority, e.RulePriority)}
	for _, host := range hosts {
		plain := e
		plain.Kind, plain.Host, plain.Rule, plain.Text, plain.HasRulePriority = router.Exact, host, nil, "", false
		plain.PathPrefix, plain.StringPrefix = prefix, true
		p.hosts, p.entries = append(p.hosts, sameHost(host)), append(p.entries, &plain)
	}
	return p
}

// before is source order, as the router has it.
func (p *plainRule) before(o *plainRule) bool {
	a, b := p.entries[0], o.entries[0]
	return cmp.Or(cmp.Compare(a.Order, b.Order), strings.Compare(a.App, b.App), cmp.Compare(a.Frontend, b.Frontend)) < 0
}

// rulesOfHost are the rules that can only take requests for one host, or for few.
type rulesOfHost struct {
	plain []*ruleFrontend
	stays int // the longest text of those that stay rules
}

// plainRules says which plain rules may become exact hosts in a table. Exact
// hosts go before every rule, and the longest prefix before the others, while
// rules are tried by the length of their text. So it has to be seen to that all
// rules that can take the same request come in the same order both ways:
// Host(`a`) must not go before Host(`a`) && Method(`GET`). A plain rule for which
// that does not hold stays a rule.
type plainRules struct {
	hosts map[string]*rulesOfHost
	any   int // the longest text of a rule for any host
	stay  map[*ruleFrontend]bool
	// claims are the plain rules by what they claim: of several only the first in
	// source order is looked at, and the others share its fate. So they conflict with
	// it whatever it becomes.
	claims map[string]*ruleFrontend
}

// plainRulesOf looks through the rules of a source.
func plainRulesOf(c *change, set runningSet) *plainRules {
	p := &plainRules{hosts: map[string]*rulesOfHost{}, stay: map[*ruleFrontend]bool{}, claims: map[string]*ruleFrontend{}}
	for _, r := range set.apps {
		c.pace.Step()
		for i := range r.served.frontends {
			f := &r.served.frontends[i]
			switch e := f.entry; {
			case e.HasPriority:
			case f.rule != nil:
				p.add(f.rule)
			case e.HasRulePriority: // a regexp among rules, any host for what is known here
				p.any = max(p.any, e.RulePriority)
			}
		}
	}
	for _, r := range p.claims {
		c.pace.Step()
		for _, host := range r.plain.hosts {
			h := p.host(host)
			h.plain = append(h.plain, r)
		}
	}
	var queue []string
	for host := range p.hosts {
		queue = append(queue, host)
	}
	for len(queue) > 0 {
		c.pace.Step()
		host := queue[len(queue)-1]
		queue = append(queue[:len(queue)-1], p.check(p.hosts[host])...)
	}
	return p
}

// allow says whether the rule may become exact hosts.
func (p *plainRules) allow(r *ruleFrontend) bool {
	return r.plain != nil && !p.stay[p.claims[r.plain.claim]]
}

func (p *plainRules) add(r *ruleFrontend) {
	switch {
	case r.plain != nil:
		if first := p.claims[r.plain.claim]; first == nil || r.plain.before(first.plain) {
			p.claims[r.plain.claim] = r
		}
	case !r.bounded:
		p.any = max(p.any, r.length)
	default:
		for _, host := range r.hosts {
			h := p.host(host)
			h.stays = max(h.stays, r.length)
		}
	}
}

func (p *plainRules) host(name string) *rulesOfHost {
	h := p.hosts[name]
	if h == nil {
		h = &rulesOfHost{}
		p.hosts[name] = h
	}
	return h
}

// check finds the plain rules of a host that have to stay rules, and returns the
// hosts where that may keep others from becoming exact ones, which includes this.
func (p *plainRules) check(h *rulesOfHost) (again []string) {
	h.plain = slices.DeleteFunc(h.plain, func(r *ruleFrontend) bool { return p.stay[r] })
	slices.SortFunc(h.plain, func(a, b *ruleFrontend) int {
		if c := strings.Compare(a.plain.prefix, b.plain.prefix); c != 0 {
			return c
		}
		return b.length - a.length
	})
	var around []*ruleFrontend // whose prefixes the one at hand begins with, the shortest first
	for _, r := range h.plain {
		for len(around) > 0 && !strings.HasPrefix(r.plain.prefix, around[len(around)-1].plain.prefix) {
			around = around[:len(around)-1]
		}
		fits := r.length > max(p.any, h.stays)
		if n := len(around); n > 0 {
			// One with the same prefix and a text of the same length conflicts with it
			// either way.
			o := around[n-1]
			same := r.plain.prefix == o.plain.prefix
			fits = fits && (r.length > o.length && !same || r.length == o.length && same)
		}
		if fits {
			around = append(around, r)
			continue
		}
		p.stay[r] = true
		for _, host := range r.plain.hosts {
			at := p.hosts[host]
			at.stays = max(at.stays, r.length)
		}
		again = append(again, r.plain.hosts...)
	}
	return again
}
