package labels

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"edgerouter/app"
)

// ruleV1 is a rule of Traefik v1, read: "Host:a.com,b.com;PathPrefixStrip:/x".
type ruleV1 struct {
	all      []app.Rule // what a request has to be, in the order of the parts
	patterns []string   // HostRegexp, as written
	only     bool       // nothing but patterns has been asked for
	strips   []strip    // one of these as well, and its prefix is removed
	removes  []string   // regexps of what is removed from the path
	rewrites []app.Middleware
}

// strip is an alternative of PathStrip or PathPrefixStrip.
type strip struct {
	rule   app.Rule
	prefix string
}

// matcherV1 is one word of the notation.
type matcherV1 struct {
	name string
	// split says whether the value is a list.
	split bool
	read  func(r *ruleV1, values []string) error
}

var matchersV1 = []matcherV1{
	{"Host", true, (*ruleV1).host},
	{"HostRegexp", true, (*ruleV1).hostRegexp},
	{"Path", true, func(r *ruleV1, v []string) error { return r.paths(v, false) }},
	{"PathPrefix", true, func(r *ruleV1, v []string) error { return r.paths(v, true) }},
	{"PathStrip", true, func(r *ruleV1, v []string) error { return r.stripped(v, false) }},
	{"PathPrefixStrip", true, func(r *ruleV1, v []string) error { return r.stripped(v, true) }},
	{"PathStripRegex", true, func(r *ruleV1, v []string) error { return r.removed(v, false) }},
	{"PathPrefixStripRegex", true, func(r *ruleV1, v []string) error { return r.removed(v, true) }},
	{"Method", true, (*ruleV1).methods},
	{"Headers", true, (*ruleV1).headers},
	{"HeadersRegexp", true, (*ruleV1).headersRegexp},
	{"Query", true, (*ruleV1).queries},
	{"AddPrefix", false, func(r *ruleV1, v []string) error {
		r.rewrites = append(r.rewrites, app.Middleware{Kind: app.MiddlewareAddPrefix, AddPrefix: &app.AddPrefixOpts{Prefix: v[0]}})
		return nil
	}},
	{"ReplacePath", false, func(r *ruleV1, v []string) error {
		r.rewrites = append(r.rewrites, app.Middleware{Kind: app.MiddlewareReplacePath, ReplacePath: &app.ReplacePathOpts{Path: v[0]}})
		return nil
	}},
	{"ReplacePathRegex", false, (*ruleV1).replacePath},
}

// parseV1 reads a rule. The error says at which column something is wrong.
func parseV1(text string) (*ruleV1, error) {
	if len(text) > 4*maxRule {
		return nil, fmt.Errorf("longer than %d characters", 4*maxRule)
	}
	if !utf8.ValidString(text) {
		return nil, errors.New("not UTF-8")
	}
	r := &ruleV1{only: true}
	offset := 0
	for _, part := range splitOutside(text, ';') {
		if err := r.part(part); err != nil {
			at := offset + len(part) - len(strings.TrimLeft(part, " \t"))
			return nil, fmt.Errorf("column %d: %w", utf8.RuneCountInString(text[:at])+1, err)
		}
		offset += len(part) + 1
	}
	if len(r.all)+len(r.strips) == 0 {
		return nil, errors.New("says nothing of which requests it takes: write one such as Host:example.com")
	}
	return r, nil
}

// maxRule is how long a rule expression may be; maxStrips is how many prefixes a
// rule may strip, each of which makes a frontend with the whole rule in it.
const (
	maxRule   = 4096
	maxStrips = 64
)

func (r *ruleV1) part(part string) error {
	if strings.TrimSpace(part) == "" {
		return nil // a semicolon at the end
	}
	name, rest, ok := strings.Cut(part, ":")
	name = strings.TrimSpace(name)
	if !ok {
		if strings.ContainsAny(name, "`(") {
			return errors.New("this is the notation of Traefik v2 and v3: write Host:example.com here, or use a label traefik.http.routers.NAME.rule")
		}
		return fmt.Errorf("%q has no colon: write Host:example.com", short(name))
	}
	for _, m := range matchersV1 {
		if !strings.EqualFold(m.name, name) {
			continue
		}
		values := []string{strings.TrimSpace(rest)}
		if m.split {
			values = values[:0]
			for _, v := range splitOutside(rest, ',') {
				if v = strings.TrimSpace(v); v != "" {
					values = append(values, v)
				}
			}
		}
		if len(values) == 0 || values[0] == "" {
			return fmt.Errorf("%s has no value", m.name)
		}
		if len(values) > maxItems {
			return fmt.Errorf("%s has more than %d values", m.name, maxItems)
		}
		return m.read(r, values)
	}
	names := make([]string, len(matchersV1))
	for i, m := range matchersV1 {
		names[i] = m.name
	}
	text := fmt.Sprintf("unknown matcher %q", short(name))
	if hint := nearest(name, names); hint != "" {
		text += ": " + hint
	}
	return errors.New(text)
}

// splitOutside splits at a separator that stands outside of braces, so that
// {[a-z]{2,3}} stays whole.
func splitOutside(s string, separator byte) []string {
	var parts []string
	depth, start := 0, 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '{':
			depth++
		case '}':
			depth = max(depth-1, 0)
		case separator:
			if depth == 0 {
				parts = append(parts, s[start:i])
				start = i + 1
			}
		}
	}
	return append(parts, s[start:])
}

func matcher(name string, values ...string) app.Rule {
	return app.RuleMatcher{Name: name, Values: values}
}

func anyOf(rules []app.Rule) app.Rule {
	if len(rules) == 1 {
		return rules[0]
	}
	var flat []app.Rule
	for _, r := range rules {
		if or, ok := r.(app.RuleOr); ok {
			flat = append(flat, or.Rules...)
			continue
		}
		flat = append(flat, r)
	}
	return app.RuleOr{Rules: flat}
}

func allOf(rules []app.Rule) app.Rule {
	if len(rules) == 1 {
		return rules[0]
	}
	return app.RuleAnd{Rules: rules}
}

// need adds a condition other than a pattern of hosts.
func (r *ruleV1) need(rules ...app.Rule) {
	r.all = append(r.all, rules...)
	r.only = false
}

// frontends are those of the rule, each one's own priority and access to be
// filled in.
func (r *ruleV1) frontends() []app.Frontend {
	switch {
	case r.only:
		var out []app.Frontend
		for _, p := range r.patterns {
			out = append(out, app.Frontend{Kind: app.FrontendHostnameRegexp, HostnameRegexp: p})
		}
		return out
	case len(r.strips) == 0:
		return []app.Frontend{{Kind: app.FrontendRule, Rule: allOf(r.all).String()}}
	}
	var out []app.Frontend
	for _, s := range r.strips {
		rule := allOf(append(r.all[:len(r.all):len(r.all)], s.rule))
		out = append(out, app.Frontend{Kind: app.FrontendRule, Rule: rule.String(), StripPathPrefix: s.prefix})
	}
	return out
}

// frontends puts those of the rule into an application, and returns what is to
// be done to paths, which comes after everything else.
func (f *v1Frontend) frontends(d *draft, plain bool) (rewrites []app.Middleware) {
	label := f.labels["rule"]
	if f.rule == "" {
		d.notes.fail(cmpLabel(label, "traefik.frontend.rule"), "", "is missing", "")
		return nil
	}
	r, err := parseV1(f.rule)
	if err != nil {
		d.notes.fail(label, f.rule, err.Error(), "")
		return nil
	}
	for _, one := range r.frontends() {
		one.AllowInsecureHTTP = plain
		one.OnlyInsecureHTTP = plain && !f.entries.secure
		one.RulePriority = f.priority
		if one.RulePriority == nil {
			// What the rule became has another length.
			length := len(f.rule)
			one.RulePriority = &length
		}
		d.frontend(one, label)
	}
	if len(r.removes) > 0 {
		rewrites = append(rewrites, app.Middleware{Kind: app.MiddlewareStripPrefix, StripPrefix: &app.StripPrefixOpts{Regexps: r.removes}})
	}
	return append(rewrites, r.rewrites...)
}
