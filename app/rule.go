package app

import (
	"fmt"
	"strconv"
	"strings"
)

// Rule is a parsed Traefik v3 rule expression: a RuleMatcher, or a RuleNot,
// RuleAnd or RuleOr of rules. It is immutable by convention.
type Rule interface {
	// String writes the rule in the syntax that ParseRule reads.
	String() string

	isRule()
}

// RuleAnd matches when all of its rules do. It has at least two, none of them
// a RuleAnd.
type RuleAnd struct{ Rules []Rule }

// RuleOr matches when one of its rules does. It has at least two, none of them
// a RuleOr.
type RuleOr struct{ Rules []Rule }

// RuleNot matches when its rule does not.
type RuleNot struct{ Rule Rule }

// RuleMatcher looks at one property of a request. Its values have been checked:
// their number, and what they are (hosts, paths, networks, regexps).
type RuleMatcher struct {
	// Name is one of the Matcher constants.
	Name string
	// Values are as written, without their quotes.
	Values []string
	// Column is where Name begins in the expression, from 1, in characters.
	Column int
}

// The matchers. Names are read in any case.
//
// Regexps are Go's, not anchored. Hosts are compared without case, port and
// trailing dot, and a HostRegexp sees the host in that form. Host(`*.example.com`)
// takes one label in place of the star, Host(`*`) every host. PathPrefix is a plain
// string prefix: `/products` takes /products-for-sale as well.
const (
	MatcherHost         = "Host"         // host
	MatcherHostRegexp   = "HostRegexp"   // regexp
	MatcherPath         = "Path"         // path
	MatcherPathPrefix   = "PathPrefix"   // prefix
	MatcherPathRegexp   = "PathRegexp"   // regexp
	MatcherMethod       = "Method"       // method
	MatcherClientIP     = "ClientIP"     // address or network
	MatcherHeader       = "Header"       // name, value
	MatcherHeaderRegexp = "HeaderRegexp" // name, regexp
	MatcherQuery        = "Query"        // name, or name and value
	MatcherQueryRegexp  = "QueryRegexp"  // name, or name and regexp
)

func (RuleAnd) isRule()     {}
func (RuleOr) isRule()      {}
func (RuleNot) isRule()     {}
func (RuleMatcher) isRule() {}

func (r RuleAnd) String() string { return joinRules(r.Rules, " && ") }

func (r RuleOr) String() string { return joinRules(r.Rules, " || ") }

// String of a negation puts what is composed in parentheses.
func (r RuleNot) String() string {
	if m, ok := r.Rule.(RuleMatcher); ok {
		return "!" + m.String()
	}
	return "!(" + r.Rule.String() + ")"
}

func (r RuleMatcher) String() string {
	values := make([]string, len(r.Values))
	for i, v := range r.Values {
		if values[i] = "`" + v + "`"; strings.ContainsAny(v, "`\r") {
			values[i] = strconv.Quote(v)
		}
	}
	return r.Name + "(" + strings.Join(values, ", ") + ")"
}

func joinRules(rules []Rule, operator string) string {
	parts := make([]string, len(rules))
	for i, r := range rules {
		parts[i] = r.String()
		switch r.(type) {
		case RuleAnd, RuleOr:
			parts[i] = "(" + parts[i] + ")"
		}
	}
	return strings.Join(parts, operator)
}

// RuleError says what is wrong with a rule expression, and where.
type RuleError struct {
	// Column counts characters from 1.
	Column int
	// Message says what is wrong.
	Message string
	// Suggestion says what to write instead; may be empty.
	Suggestion string
}

// Error tells it in one line.
func (e *RuleError) Error() string {
	text := fmt.Sprintf("rule: column %d: %s", e.Column, e.Message)
	if e.Suggestion != "" {
		text += ": " + e.Suggestion
	}
	return text
}

// PlainHosts tells apart a rule that says no more than one or more hosts and at
// most one path prefix, such as (Host(`a`) || Host(`b`)) && PathPrefix(`/x`),
// which needs no rule to be evaluated for each request. Hosts are as written, none
// twice; prefix is "" when the rule has none. It is compared as text, as in every
// rule, which means something else than the path_prefix of a frontend: /products
// also takes /products-for-sale, and /products/ does not take /products.
func PlainHosts(r Rule) (hosts []string, prefix string, ok bool) {
	and, isAnd := r.(RuleAnd)
	if !isAnd {
		hosts = onlyHosts(r)
		return hosts, "", hosts != nil
	}
	for _, part := range and.Rules {
		if m, isMatcher := part.(RuleMatcher); isMatcher && m.Name == MatcherPathPrefix {
			if prefix != "" {
				return nil, "", false
			}
			prefix = m.Values[0]
			continue
		}
		some := onlyHosts(part)
		if some == nil || hosts != nil {
			return nil, "", false
		}
		hosts = some
	}
	return hosts, prefix, hosts != nil
}

// onlyHosts are the hosts of a rule that is a Host or several in a RuleOr, else nil.
func onlyHosts(r Rule) []string {
	alternatives := []Rule{r}
	if or, ok := r.(RuleOr); ok {
		alternatives = or.Rules
	}
	var hosts []string
	seen := map[string]bool{}
	for _, alternative := range alternatives {
		m, ok := alternative.(RuleMatcher)
		if !ok || m.Name != MatcherHost || strings.HasPrefix(m.Values[0], "*") {
			return nil
		}
		if same := sameHost(m.Values[0]); !seen[same] {
			seen[same] = true
			hosts = append(hosts, m.Values[0])
		}
	}
	return hosts
}
