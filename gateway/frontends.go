package gateway

import (
	"errors"
	"fmt"
	"strings"

	"edgerouter/app"
	"edgerouter/router"
)

// frontend is one frontend as it is served.
type frontend struct {
	entry *router.Entry
	rule  *ruleFrontend // kind rule only
}

// sameEntry says whether a table made with a is good for b.
func sameEntry(a, b frontend) bool { return a.entry == b.entry }

// entries appends the entries of the frontend to a table's.
func (f *frontend) entries(to []*router.Entry, plain *plainRules) []*router.Entry {
	if f.rule != nil && plain.allow(f.rule) {
		return append(to, f.rule.plain.entries...)
	}
	return append(to, f.entry)
}

// assembleFrontends makes the router entries, or takes those of the previous
// service where nothing of one changed.
func (g *Gateway) assembleFrontends(a *app.Application, s *service, before service) ([]frontend, []app.Problem) {
	limits := a.LimitsBody()
	sameEntry := before.slot == s.slot && before.order == s.order && before.rank == s.rank && before.definition.LimitsBody() == limits
	frontends := make([]frontend, len(a.Frontends))
	var problems []app.Problem
	var observer router.Observer
	for i := range a.Frontends {
		if sameEntry && i < len(before.frontends) && app.Equal(before.definition.Frontends[i], a.Frontends[i]) {
			frontends[i] = before.frontends[i]
			continue
		}
		if observer == nil {
			observer = g.opts.Metrics.App(a.ID)
		}
		f, err := newFrontend(&a.Frontends[i], router.Entry{
			App: a.ID, Frontend: i, Order: s.order, Rank: s.rank,
			Handler: s.slot.serve, Direct: s.direct, Observer: observer, LimitsBody: limits,
		})
		if err != nil {
			problems = append(problems, asProblem(a.ID, fmt.Sprintf("frontends[%d]", i), err))
			continue
		}
		frontends[i] = f
	}
	return frontends, problems
}

// newFrontend makes the entry of a frontend; e has what it shares with the
// application's others.
func newFrontend(d *app.Frontend, e router.Entry) (frontend, error) {
	e.PathPrefix = d.PathPrefix
	e.AllowPlain = d.AllowInsecureHTTP
	e.StripPrefix = d.StripPathPrefix
	if d.Priority != nil {
		e.HasPriority, e.Priority = true, *d.Priority
	}
	if d.RulePriority != nil {
		e.HasRulePriority, e.RulePriority = true, *d.RulePriority
	}
	f := frontend{entry: &e}
	switch d.Kind {
	case app.FrontendHostname:
		e.Kind, e.Host = router.Exact, d.Hostname
		if strings.HasPrefix(d.Hostname, "*.") {
			e.Kind = router.Wildcard
		}
	case app.FrontendHostnameRegexp:
		pattern, err := router.CompileHostPattern(d.HostnameRegexp)
		if err != nil {
			return f, err
		}
		e.Kind, e.HostRegexp = router.Regexp, pattern
		if d.OnlyInsecureHTTP {
			e.Kind, e.HostRegexp = router.Rule, nil
			e.Rule, e.Text = router.And(router.HostMatches(pattern), router.PlainHTTP()), d.HostnameRegexp
		}
	case app.FrontendPathPrefix:
		e.Kind = router.AnyHost
	case app.FrontendRule:
		rule, parsed, err := newRule(d.Rule)
		if err != nil {
			return f, err
		}
		if d.RulePriority != nil {
			rule.length = *d.RulePriority
		}
		if d.OnlyInsecureHTTP {
			rule.matcher = router.And(rule.matcher, router.PlainHTTP())
		}
		e.Kind, e.Rule, e.Text = router.Rule, rule.matcher, d.Rule
		if !d.OnlyInsecureHTTP {
			rule.plain = newPlainRule(parsed, rule.matcher, e)
		}
		f.rule = rule
	default:
		return f, errors.New("frontend kind " + string(d.Kind) + " is not known")
	}
	return f, nil
}
