package traefikdiff

import (
	"regexp"
	"strings"
)

// A class is a kind of difference that is wanted, and why. Each is told in
// docs/migration.md, "Rules, compared with Traefik".
type class struct {
	name string
	why  string
}

// Differences in which rules are taken.
var (
	lineBreak  = class{"line break", "here a line may end anywhere between matchers, there only after && and ||"}
	emptyValue = class{"empty value", "an empty second value of Header, Query and their regexps is taken here: the field or parameter is there and empty"}
	hostPort   = class{"host with a port", "never true there, an error here"}
	template   = class{"{name:regexp}", "the notation of v2 is a regexp that is never true there, an error here unless ruleSyntax is v2"}
	pathQuery  = class{"path with ? or #", "never true there, an error here"}
)

// Differences in who answers.
var (
	twoReadings = class{"path that is read in two ways", "encoded slashes and backslashes, parameters (;x), empty and dot segments: a request whose path servers read differently is taken only where each reading leads to the same application"}
	repeated    = class{"repeated field", "Header and HeaderRegexp see the first value of a field that comes several times, there each of them"}
	hostDot     = class{"host with a final dot", "HostRegexp sees the host without it here, as Host does in both"}
	normalForm  = class{"path in normal form", "escapes of characters that need none are decoded here: %40 is @"}
)

// ruleClass is the class of a rule that one of the two does not take; "" for none.
func ruleClass(r route, theirs, ours error) string {
	switch {
	case theirs != nil && strings.Contains(theirs.Error(), "empty args"):
		return emptyValue.name
	case theirs != nil && strings.Contains(r.rule, "\n"):
		return lineBreak.name
	case ours != nil && strings.Contains(ours.Error(), "a hostname has no port"):
		return hostPort.name
	case ours != nil && strings.Contains(ours.Error(), "the notation of Traefik v2"):
		return template.name
	case ours != nil && strings.Contains(ours.Error(), "a path has no '?'"):
		return pathQuery.name
	}
	return ""
}

var (
	odd      = regexp.MustCompile(`(?i)%2f|%5c|;|//|/\.|/%2e|%00`)
	finalDot = regexp.MustCompile(`\r\nHost: [^\r]*\.(:[0-9]+)?\r\n`)
	escapes  = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
)

// requestClass is the class of a request that the two give to different
// applications; "" for none.
func requestClass(request string) string {
	target := strings.Fields(request)[1]
	path, _, _ := strings.Cut(target, "?")
	switch {
	case odd.MatchString(path):
		return twoReadings.name
	case finalDot.MatchString(request):
		return hostDot.name
	case repeatedField(request):
		return repeated.name
	case escapes.MatchString(path):
		return normalForm.name
	}
	return ""
}

// repeatedField reports whether a field that rules ask for comes twice.
func repeatedField(request string) bool {
	seen := map[string]bool{}
	for line := range strings.Lines(request) {
		name, _, ok := strings.Cut(line, ":")
		if name = strings.ToLower(name); ok && seen[name] {
			return true
		}
		seen[name] = true
	}
	return false
}
