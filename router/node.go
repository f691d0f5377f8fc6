package router

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// node is an entry in the form in which it is compared and matched.
type node struct {
	entry  *Entry
	kind   Kind
	host   string // canonical; of a wildcard what follows "*."
	prefix string // canonical
	// text is what a regexp or a rule claims: its expression without what
	// makes no difference. A rule without any text has "".
	text string
	// natural is the priority of a regexp or a rule that has no explicit one:
	// the length of the text as it was written.
	natural int
	rank    int // place within a ranked, lower first
	// broad: it may take hosts that it does not list. Such an entry has no part in
	// hosts that one of a lower Rank names.
	broad bool
}

// newNode brings an entry into canonical form. An error says what is wrong with
// it, in words for Conflict.Reason.
func newNode(e *Entry) (node, error) {
	n := node{entry: e, kind: e.Kind}
	var err error
	if e.StringPrefix {
		if n.prefix = normalLiteral(e.PathPrefix); n.prefix == "/" {
			n.prefix = ""
		}
	} else if n.prefix, err = CanonicalPrefix(e.PathPrefix); err != nil {
		return n, fmt.Errorf("path_prefix %q cannot be matched: %w", e.PathPrefix, err)
	}
	switch e.Kind {
	case Exact, Wildcard:
		// A star says what is meant even when the kind does not.
		if strings.HasPrefix(e.Host, "*.") {
			n.kind, n.host = Wildcard, canonicalWildcard(e.Host)
		} else if n.host = canonicalHost(e.Host); e.Kind == Wildcard {
			return n, fmt.Errorf("hostname %q is not a wildcard, *. and a domain", e.Host)
		}
		if n.host == "" {
			return n, fmt.Errorf("hostname %q has no host in it", e.Host)
		}
	case Regexp:
		if e.HostRegexp == nil {
			return n, errors.New("hostname_regexp is missing")
		}
		n.text = e.HostRegexp.canonical
		n.natural = len(e.HostRegexp.text) + len(n.prefix)
	case Rule:
		if e.Rule == nil {
			return n, errors.New("rule is missing")
		}
		n.text = cmp.Or(text(e.Rule), e.Text)
		n.natural = len(cmp.Or(e.Text, n.text)) + len(n.prefix)
	case AnyHost:
	default:
		return n, fmt.Errorf("kind %d is unknown", e.Kind)
	}
	if e.HasRulePriority && n.naturalStage() == stageByPriority {
		n.natural = e.RulePriority
	}
	n.broad = n.isBroad()
	return n, nil
}

// underPrefix says whether the prefix takes a path.
func (n *node) underPrefix(path []byte) bool {
	return (&mount{prefix: n.prefix, entry: n.entry}).takes(path)
}

// claim is what may be claimed once.
type claim struct {
	kind     Kind
	host     string // or host expression, or rule
	prefix   string
	text     bool // prefix is compared as text
	explicit bool
	priority int
	number   int // RulePriority; 0 without one
}

// claim returns false for a rule that has no text: it conflicts with nothing.
func (n *node) claim() (claim, bool) {
	c := claim{kind: n.kind, host: n.host, prefix: n.prefix, text: n.textual() == 1, explicit: n.entry.HasPriority}
	if c.explicit {
		c.priority = n.entry.Priority
	}
	if n.kind == Regexp || n.kind == Rule {
		c.host = n.text
		if n.entry.HasRulePriority {
			c.number = n.entry.RulePriority
		}
	}
	return c, n.kind != Rule || n.text != ""
}

// describe says for people what the node claims: "example.com/api".
func (n *node) describe() string {
	var s string
	switch n.kind {
	case Exact:
		s = n.host
	case Wildcard:
		s = "*." + n.host
	case Regexp:
		if n.entry.HostRegexp != nil {
			s = n.entry.HostRegexp.text + " "
		}
	case AnyHost:
		s = "any host "
	case Rule:
		s = cmp.Or(n.entry.Text, n.text, "rule")
		if n.prefix != "" {
			s += " "
		}
	}
	switch {
	case n.textual() == 1:
		s += n.prefix + "*"
	case n.prefix != "":
		s += n.prefix
	case n.kind != Rule:
		s += "/"
	}
	switch e := n.entry; {
	case e.HasPriority:
		s += " (priority " + strconv.Itoa(e.Priority) + ")"
	case e.HasRulePriority && e.RulePriority != len(e.Text):
		s += " (rule priority " + strconv.Itoa(e.RulePriority) + ")"
	}
	return s
}

// The stages of a search, in the order of the package comment.
const (
	stageExplicit = iota
	stageAnyHost
	stageExact
	stageWildcard
	stageByPriority
)

func (n *node) stage() int {
	if n.entry.HasPriority {
		return stageExplicit
	}
	return n.naturalStage()
}

// naturalStage is the stage without regard to an explicit priority.
func (n *node) naturalStage() int {
	switch n.kind {
	case AnyHost:
		return stageAnyHost
	case Exact:
		return stageExact
	case Wildcard:
		return stageWildcard
	}
	return stageByPriority
}

// compareNodes is the order in which nodes are tried. It is total up to entries
// that nothing tells apart.
func compareNodes(a, b *node) int {
	return cmp.Or(cmp.Compare(a.entry.Rank, b.entry.Rank), compareInRank(a, b))
}

// compareInRank is the order among the entries of one rank.
func compareInRank(a, b *node) int {
	if c := cmp.Compare(a.stage(), b.stage()); c != 0 {
		return c
	}
	if a.entry.HasPriority && a.entry.Priority != b.entry.Priority {
		return cmp.Compare(b.entry.Priority, a.entry.Priority)
	}
	if c := cmp.Or(
		cmp.Compare(a.naturalStage(), b.naturalStage()),
		cmp.Compare(b.natural, a.natural),
		cmp.Compare(len(b.prefix), len(a.prefix)),
		cmp.Compare(a.kind, b.kind),
		cmp.Compare(a.textual(), b.textual()),
	); c != 0 {
		return c
	}
	return compareSources(a, b)
}

// textual is 1 for a prefix that is compared as text, and so takes more than the
// same one by segments.
func (n *node) textual() int {
	if n.prefix != "" && n.entry.StringPrefix {
		return 1
	}
	return 0
}

// compareSources is who wins among equals.
func compareSources(a, b *node) int {
	if c := compareEntries(a.entry, b.entry); c != 0 {
		return c
	}
	return strings.Compare(a.describe(), b.describe())
}

// compareEntries is source order.
func compareEntries(a, b *Entry) int {
	if c := cmp.Compare(a.Order, b.Order); c != 0 {
		return c
	}
	if c := strings.Compare(a.App, b.App); c != 0 {
		return c
	}
	return cmp.Compare(a.Frontend, b.Frontend)
}
