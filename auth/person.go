package auth

import (
	"encoding/json"
	"slices"
	"strings"

	"edgerouter/app"
)

// person is what a provider says of a user, in an id_token or at its userinfo
// endpoint.
type person struct {
	Subject  string `json:"sub"`
	Email    string `json:"email"`
	Verified *truth `json:"email_verified"` // nil: nothing is said of it
	Groups   names  `json:"groups"`         // nil: so too
}

// truth is a Boolean that some providers write as a string.
type truth bool

// UnmarshalJSON takes true, "true" and their opposites; what else there is, is
// false.
func (t *truth) UnmarshalJSON(b []byte) error {
	*t = truth(strings.EqualFold(strings.Trim(string(b), `"`), "true"))
	return nil
}

// names are strings; some providers write a single one as such.
type names []string

// UnmarshalJSON takes a string or a list, of which what is not a string is left
// out. Anything else is an error: it would be read as nobody's group.
func (n *names) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		if *n = (names{one}); one == "" {
			*n = names{}
		}
		return nil
	}
	var list []any
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	*n = names{}
	for _, item := range list {
		if s, ok := item.(string); ok && s != "" {
			*n = append(*n, s)
		}
	}
	return nil
}

// verified reports whether the address is the user's.
func (p *person) verified() bool { return p.Email != "" && p.Verified != nil && bool(*p.Verified) }

// lacks reports whether something that decides is not said.
func (p *person) lacks(allowed *app.OIDCAllowed) bool {
	return p.Email == "" || p.Verified == nil || p.Groups == nil && len(allowed.Groups) > 0
}

// add takes over what the userinfo endpoint says and the id_token does not. An
// address and whether it is verified are of one source.
func (p *person) add(o *person) {
	if (p.Email == "" || p.Verified == nil) && o.Email != "" {
		p.Email, p.Verified = o.Email, o.Verified
	}
	if p.Groups == nil {
		p.Groups = o.Groups
	}
}

// name is what next gets.
func (p *person) name() string {
	if p.verified() {
		return p.Email
	}
	return p.Subject
}

// in says whether the user is one of those allowed. Only an address that the
// provider has verified counts.
func (p *person) in(allowed *app.OIDCAllowed) bool {
	if slices.Contains(allowed.Subjects, p.Subject) {
		return true
	}
	if slices.ContainsFunc(allowed.Groups, func(group string) bool { return slices.Contains(p.Groups, group) }) {
		return true
	}
	if !p.verified() {
		return false
	}
	equal := func(s string) func(string) bool {
		return func(of string) bool { return strings.EqualFold(of, s) }
	}
	_, domain, _ := strings.Cut(p.Email, "@")
	return slices.ContainsFunc(allowed.Emails, equal(p.Email)) ||
		domain != "" && !strings.Contains(domain, "@") && slices.ContainsFunc(allowed.Domains, equal(domain))
}
