package router

import (
	"cmp"
	"slices"
	"strings"
)

// referenceMatch is Match as the package comment tells it, with no regard to
// speed: it removes conflicts pair by pair, sorts everything and takes the first
// entry that fits. Paths have no encoded separators here. It shares nothing with
// the table but the rules' own matchers.
func referenceMatch(entries []*Entry, host, path string, a Attributes) *Entry {
	host = referenceHost(host)
	var live []*Entry
	for _, e := range entries {
		if referenceServable(e) && !slices.ContainsFunc(entries, func(other *Entry) bool {
			return other != e && referenceServable(other) && referenceClaim(other) == referenceClaim(e) && referenceEarlier(other, e)
		}) {
			live = append(live, e)
		}
	}
	slices.SortStableFunc(live, referenceOrder)
	for _, e := range live {
		if referenceTakes(e, host, path, a) && !referenceHeldBack(live, e, host, path) {
			return e
		}
	}
	return nil
}

// referenceHeldBack is what specs/tenants.md says of ranks.
func referenceHeldBack(live []*Entry, e *Entry, host, path string) bool {
	if !referenceBroad(e) {
		return false
	}
	return e.Rank >= RankDocker && strings.HasPrefix(path, "/.well-known/acme-challenge/") ||
		slices.ContainsFunc(live, func(o *Entry) bool { return o.Rank < e.Rank && referenceNames(o, host) })
}

func referenceBroad(e *Entry) bool {
	switch referenceKind(e) {
	case Exact:
		return false
	case Regexp:
		return e.HostRegexp.String() != "a.b"
	case Rule:
		return referenceRuleHosts(e) == nil
	}
	return true
}

// referenceRuleHosts are the hosts of the rules of the tests that list them.
func referenceRuleHosts(e *Entry) []string {
	return map[string][]string{
		text(fuzzRules[0]): {"a.b"}, text(fuzzRules[1]): {"a.b", "a.example.com"}, text(fuzzRules[5]): {"a.b", "a.c"},
	}[text(e.Rule)]
}

func referenceNames(e *Entry, host string) bool {
	switch referenceKind(e) {
	case AnyHost:
		return false
	case Regexp:
		return e.HostRegexp.String() != "{.+}" && referencePatterns[e.HostRegexp.String()](host)
	case Rule:
		if text(e.Rule) == text(fuzzRules[4]) {
			return strings.HasPrefix(host, "a.")
		}
		return slices.Contains(referenceRuleHosts(e), host)
	}
	whole := *e
	whole.PathPrefix = ""
	return referenceTakes(&whole, host, "/", nil)
}

func referenceServable(e *Entry) bool {
	switch e.Kind {
	case Exact:
		return referenceHost(e.Host) != ""
	case Wildcard:
		return strings.HasPrefix(e.Host, "*.") && referenceHost(e.Host[2:]) != ""
	case Regexp:
		return e.HostRegexp != nil
	case Rule:
		return e.Rule != nil
	}
	return e.Kind == AnyHost
}

func referenceHost(host string) string {
	if i := strings.LastIndex(host, ":"); i >= 0 && strings.Trim(host[i+1:], "0123456789") == "" {
		host = host[:i]
	}
	host = strings.TrimSuffix(host, ".")
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r - 'A' + 'a'
		}
		return r
	}, host)
}

func referencePrefix(e *Entry) string {
	if e.StringPrefix && e.PathPrefix != "/" {
		return e.PathPrefix
	}
	return strings.TrimSuffix(e.PathPrefix, "/")
}

func referenceTextual(e *Entry) int {
	if e.StringPrefix && referencePrefix(e) != "" {
		return 1
	}
	return 0
}

func referenceKind(e *Entry) Kind {
	if e.Kind == Exact && strings.HasPrefix(e.Host, "*.") {
		return Wildcard
	}
	return e.Kind
}

type referenceClaimed struct {
	kind        Kind
	what, where string
	textual     int
	explicit    bool
	priority    int
	number      int
	rank        Rank
}

func referenceClaim(e *Entry) referenceClaimed {
	c := referenceClaimed{rank: e.Rank, kind: referenceKind(e), where: referencePrefix(e), textual: referenceTextual(e), explicit: e.HasPriority}
	if e.HasPriority {
		c.priority = e.Priority
	}
	if e.HasRulePriority && (e.Kind == Regexp || e.Kind == Rule) {
		c.number = e.RulePriority
	}
	switch e.Kind {
	case Exact, Wildcard:
		c.what = referenceHost(e.Host)
	case Regexp:
		c.what = e.HostRegexp.canonical
	case Rule:
		c.what = text(e.Rule)
	}
	return c
}

func referenceEarlier(a, b *Entry) bool {
	if a.Order != b.Order {
		return a.Order < b.Order
	}
	if a.App != b.App {
		return a.App < b.App
	}
	return a.Frontend < b.Frontend
}

func referenceOrder(a, b *Entry) int {
	stage := func(e *Entry) int {
		return map[Kind]int{AnyHost: 1, Exact: 2, Wildcard: 3, Regexp: 4, Rule: 4}[referenceKind(e)]
	}
	length := func(e *Entry) int {
		if e.HasRulePriority && (e.Kind == Regexp || e.Kind == Rule) {
			return e.RulePriority
		}
		switch e.Kind {
		case Regexp:
			return len(e.HostRegexp.String()) + len(referencePrefix(e))
		case Rule:
			return len(cmp.Or(e.Text, text(e.Rule))) + len(referencePrefix(e))
		}
		return 0
	}
	explicit := func(e *Entry) int {
		if e.HasPriority {
			return 0
		}
		return 1
	}
	priority := func(e *Entry) int {
		if e.HasPriority {
			return e.Priority
		}
		return 0
	}
	source := 1
	if referenceEarlier(a, b) {
		source = -1
	}
	return cmp.Or(
		int(a.Rank)-int(b.Rank),
		explicit(a)-explicit(b),
		priority(b)-priority(a),
		stage(a)-stage(b),
		length(b)-length(a),
		len(referencePrefix(b))-len(referencePrefix(a)),
		int(referenceKind(a))-int(referenceKind(b)),
		referenceTextual(a)-referenceTextual(b),
		source,
	)
}

func referenceTakes(e *Entry, host, path string, a Attributes) bool {
	prefix := strings.Split(referencePrefix(e), "/")
	segments := strings.Split(path, "/")
	if e.StringPrefix {
		if !strings.HasPrefix(path, referencePrefix(e)) {
			return false
		}
	} else if referencePrefix(e) != "" && (len(segments) < len(prefix) || !slices.Equal(prefix, segments[:len(prefix)])) {
		return false
	}
	switch referenceKind(e) {
	case Exact:
		return referenceHost(e.Host) == host
	case Wildcard:
		label, ok := strings.CutSuffix(host, "."+referenceHost(e.Host[2:]))
		return ok && label != "" && !strings.Contains(label, ".")
	case Regexp:
		return referencePatterns[e.HostRegexp.String()](host)
	case Rule:
		return e.Rule.Match([]byte(host), []byte(path), a)
	}
	return true
}

// referencePatterns says in plain words what the host regexps of the tests take.
var referencePatterns = map[string]func(host string) bool{
	"{[^.]+}.example.com": func(h string) bool {
		label, ok := strings.CutSuffix(h, ".example.com")
		return ok && label != "" && !strings.Contains(label, ".")
	},
	"{name:[^.]+}.EXAMPLE.com": func(h string) bool {
		label, ok := strings.CutSuffix(h, ".example.com")
		return ok && label != "" && !strings.Contains(label, ".")
	},
	"a{[a-z]*}.{b|c}": func(h string) bool {
		label, tail, ok := strings.Cut(h, ".")
		return ok && (tail == "b" || tail == "c") && strings.HasPrefix(label, "a") && strings.Trim(label, "abcdefghijklmnopqrstuvwxyz") == ""
	},
	"{.+}": func(h string) bool { return h != "" && !strings.Contains(h, "\n") },
	"a.b":  func(h string) bool { return h == "a.b" },
	"{[a-c]+}.b.": func(h string) bool {
		l, ok := strings.CutSuffix(h, ".b")
		return ok && l != "" && strings.Trim(l, "abc") == ""
	},
}
