package labels

import (
	"encoding/json"
	"slices"

	"edgerouter/app"
)

// Guards are what keeps people out of an application, each in a form that is equal
// for those that do the same.
func Guards(d app.Application) []string {
	var keys []string
	for _, m := range d.Middlewares {
		if !guarding(m.Kind) {
			continue
		}
		if m.AuthSSO != nil { // whose audience is the application's own
			sso := *m.AuthSSO
			sso.Audience = ""
			m.AuthSSO = &sso
		}
		text, err := json.Marshal(m)
		if err != nil {
			text = []byte(m.Kind)
		}
		keys = append(keys, string(text))
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Contested reports whether two frontends take the same requests and neither goes
// before the other.
func Contested(a, b *app.Frontend) bool {
	if a.Kind != b.Kind || a.OnlyInsecureHTTP && !b.AllowInsecureHTTP || b.OnlyInsecureHTTP && !a.AllowInsecureHTTP {
		return false
	}
	number := func(f *app.Frontend) int {
		if f.RulePriority != nil {
			return *f.RulePriority
		}
		return len(f.Rule)
	}
	return sameRule(a.Rule) == sameRule(b.Rule) && a.HostnameRegexp == b.HostnameRegexp && number(a) == number(b)
}

// sameRule is a rule in the form in which rules are compared.
func sameRule(text string) string {
	if rule, err := app.ParseRule(text); err == nil {
		return rule.String()
	}
	return text
}
