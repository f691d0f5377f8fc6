package app

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
)

func (c *checker) application(x *Application, a *at) {
	c.fault(a.field("id"), x.ID, withoutMissing(checkID(x.ID)))
	seen := make(map[string]int, len(x.Frontends))
	for i := range x.Frontends {
		claim := x.Frontends[i].claim()
		if claim == "" {
			continue
		}
		if first, again := seen[claim]; again {
			c.add(a.field("frontends").item(i), "", fmt.Sprintf("takes the same requests as frontends[%d]", first), "remove one of them")
			continue
		}
		seen[claim] = i
	}
}

// withoutMissing leaves absence to the check by tags, which tells it.
func withoutMissing(f *fault) *fault {
	if f != nil && f.message == missing {
		return nil
	}
	return f
}

// claim is what a frontend takes in comparable form; "" when it is incomplete.
func (x *Frontend) claim() string {
	prefix := " " + samePrefix(x.PathPrefix)
	switch {
	case x.Kind == FrontendHostname && x.Hostname != "":
		return "h " + sameHost(x.Hostname) + prefix
	case x.Kind == FrontendHostnameRegexp && x.HostnameRegexp != "":
		return "r " + x.HostnameRegexp + prefix
	case x.Kind == FrontendPathPrefix && x.PathPrefix != "":
		return "p" + prefix
	case x.Kind == FrontendRule && x.Rule != "":
		return "e " + x.Rule
	}
	return ""
}

// matchField is a field that says what one kind of frontend is matched by.
type matchField struct {
	kind  FrontendKind
	name  string
	value string
	check func(string) *fault
}

func checkFrontendHost(s string) *fault { return checkHostname(s, true) }

func (c *checker) frontend(x *Frontend, a *at) {
	own := [...]matchField{
		{FrontendHostname, "hostname", x.Hostname, checkFrontendHost},
		{FrontendHostnameRegexp, "hostname_regexp", x.HostnameRegexp, checkHostPattern},
		{FrontendPathPrefix, "path_prefix", x.PathPrefix, checkPrefix},
		{FrontendRule, "rule", x.Rule, checkRule},
	}
	known := slices.ContainsFunc(own[:], func(o matchField) bool { return o.kind == x.Kind })
	for _, o := range own {
		switch place := a.field(o.name); {
		case o.value == "":
			if o.kind == x.Kind {
				c.add(place, "", missing, fmt.Sprintf("kind %s needs it", x.Kind))
			}
		case known && o.kind != x.Kind && (o.kind != FrontendPathPrefix || x.Kind == FrontendRule):
			suggestion := fmt.Sprintf("remove it, or write \"kind\": %q", string(o.kind))
			if o.kind == FrontendPathPrefix {
				suggestion = fmt.Sprintf("write && PathPrefix(`%s`) in the rule", o.value)
			}
			c.add(place, o.value, fmt.Sprintf("does not belong to kind %s", x.Kind), suggestion)
		default:
			checked := o.value
			if o.kind == FrontendRule {
				checked = spaced(checked)
			}
			if _, bad := controlIn(checked); !bad {
				c.fault(place, o.value, o.check(o.value))
			}
		}
	}
	ranked := x.Kind == FrontendRule || x.Kind == FrontendHostnameRegexp
	if x.RulePriority != nil && (!ranked || x.Priority != nil) {
		c.add(a.field("rule_priority"), strconv.Itoa(*x.RulePriority), "is for kinds rule and hostname_regexp without a priority", "write priority, which goes before everything")
	}
	if x.OnlyInsecureHTTP && (!ranked || !x.AllowInsecureHTTP) {
		c.add(a.field("only_insecure_http"), "true", "is for kinds rule and hostname_regexp with allow_insecure_http", "")
	}
	if x.StripPathPrefix != "" {
		c.stripPrefix(x, a.field("strip_path_prefix"))
	}
}

// stripPrefix refuses a prefix that no request of the frontend begins with.
func (c *checker) stripPrefix(x *Frontend, a *at) {
	strip := x.StripPathPrefix
	if f := checkPrefix(strip); f != nil {
		c.fault(a, strip, f)
		return
	}
	if x.Kind != FrontendRule && !segmentPrefix(x.PathPrefix, strip) && !segmentPrefix(strip, x.PathPrefix) {
		c.add(a, strip, fmt.Sprintf("no path of this frontend begins with it: path_prefix is %q", x.PathPrefix), "write true to remove path_prefix")
	}
}

func checkRule(s string) *fault {
	_, err := ParseRule(s)
	if e, ok := err.(*RuleError); ok {
		return &fault{message: "column " + strconv.Itoa(e.Column) + ": " + e.Message, suggestion: e.Suggestion}
	}
	return nil
}

// sortedKeys makes the order of problems the same each time.
func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
