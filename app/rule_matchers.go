package app

import (
	"fmt"
	"strings"
)

// matcherDef is what the parser knows of a matcher.
type matcherDef struct {
	name   string
	least  int      // how many of values must be there
	values []string // what the values are, for usage and checking
}

var matcherDefs = [...]matcherDef{
	{MatcherHost, 1, []string{"host"}},
	{MatcherHostRegexp, 1, []string{"regexp"}},
	{MatcherPath, 1, []string{"path"}},
	{MatcherPathPrefix, 1, []string{"prefix"}},
	{MatcherPathRegexp, 1, []string{"regexp"}},
	{MatcherMethod, 1, []string{"method"}},
	{MatcherClientIP, 1, []string{"network"}},
	{MatcherHeader, 2, []string{"name", "value"}},
	{MatcherHeaderRegexp, 2, []string{"name", "regexp"}},
	{MatcherQuery, 1, []string{"key", "value"}},
	{MatcherQueryRegexp, 1, []string{"key", "regexp"}},
}

func findMatcher(name string) *matcherDef {
	for i := range matcherDefs {
		if strings.EqualFold(matcherDefs[i].name, name) {
			return &matcherDefs[i]
		}
	}
	return nil
}

func canonicalMatcher(name string) string {
	if def := findMatcher(name); def != nil {
		return def.name
	}
	return MatcherHost
}

// matcherSuggestion knows the names of Traefik's older versions.
func matcherSuggestion(name string) string {
	switch lower := strings.ToLower(name); {
	case lower == "headers":
		return "since Traefik v3 it is Header"
	case lower == "headersregexp":
		return "since Traefik v3 it is HeaderRegexp"
	case lower == "hostheader" || lower == "hostsni":
		return "did you mean \"Host\"?"
	case strings.HasPrefix(lower, "path") && strings.Contains(lower, "strip"):
		return "use PathPrefix, and strip_path_prefix of the frontend"
	}
	names := make([]string, len(matcherDefs))
	for i := range matcherDefs {
		names[i] = matcherDefs[i].name
	}
	return didYouMean(name, names)
}

// usage shows the values that a matcher takes.
func (d *matcherDef) usage() string {
	quoted := make([]string, len(d.values))
	for i, v := range d.values {
		quoted[i] = "`" + v + "`"
	}
	return strings.Join(quoted, ", ")
}

func (d *matcherDef) arity() string {
	switch {
	case d.least < len(d.values):
		return fmt.Sprintf("%d or %d values", d.least, len(d.values))
	case d.least == 1:
		return "1 value"
	}
	return fmt.Sprintf("%d values", d.least)
}

// templatePart finds the {name} or {name:regexp} notation, which rules had until
// Traefik v2; "" when there is none. A regexp's {2,3} begins with a digit.
func templatePart(v string) string {
	for i := range len(v) {
		if v[i] != '{' {
			continue
		}
		end := strings.IndexByte(v[i:], '}')
		if end < 0 {
			return ""
		}
		part := v[i : i+end+1]
		name, _, _ := strings.Cut(part[1:end], ":")
		if name != "" && allBytes(name, "_") && (name[0] < '0' || name[0] > '9') {
			return part
		}
	}
	return ""
}

// check says what is wrong with the value at index i.
func (d *matcherDef) check(i int, v string) *fault {
	kind := d.values[i]
	if kind != "value" && v == "" {
		return faultf("is empty")
	}
	if control, ok := controlIn(v); ok {
		return faultf("has the control character %q", control)
	}
	switch kind {
	case "host":
		return checkRuleHost(v)
	case "regexp":
		if part := templatePart(v); part != "" {
			return faultf("%s is the notation of Traefik v2", shorten(part)).suggest("write a plain regexp in parentheses: ^([a-z]+)\\.example\\.com$")
		}
		return checkRegexp(v)
	case "path", "prefix":
		if part := templatePart(v); part != "" {
			return faultf("%s is the notation of Traefik v2", shorten(part)).suggest("use PathRegexp")
		}
		return checkPath(v)
	case "method":
		if !isToken(v) {
			return faultf("not a method").suggest("write one such as GET")
		}
	case "network":
		return checkNetwork(v, true)
	case "name":
		if !isToken(v) {
			return faultf("not the name of a header")
		}
	}
	return nil
}

func checkRuleHost(v string) *fault {
	if v == "*" {
		return nil
	}
	if suffix, ok := strings.CutPrefix(v, "*."); ok && checkHostname(suffix, false) == nil {
		return nil
	}
	if strings.Contains(v, "*") {
		return faultf("a star stands for the whole first label, or for every host").suggest("write Host(`*.example.com`) or Host(`*`), or use HostRegexp")
	}
	if host, path, ok := strings.Cut(v, "/"); ok && !strings.Contains(v, "://") {
		return faultf("a hostname has no path").suggest("write Host(`%s`) && PathPrefix(`/%s`)", host, path)
	}
	if strings.ContainsAny(v, patternBytes) && !isIPv6(v) {
		return faultf("a hostname is not a pattern").suggest("use HostRegexp")
	}
	return checkHostname(v, false)
}
