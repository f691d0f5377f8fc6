package app

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

func (c *checker) middleware(x *Middleware, a *at) {
	name, inner, ok := authorized(x.AuthV0, x.AuthSSO, x.AuthForward, x.AuthOIDC)
	if !ok && x.ForwardAuth != nil {
		name, inner, ok = "forward_auth_opts", x.ForwardAuth.AuthorizedBackend, true
	}
	if ok && inner != nil {
		c.add(a.field(name).field("authorized_backend"), "", "does not belong in a middleware, which protects what follows it", "move it to the application's backend")
	}
}

// middlewareOpts checks the options that only middlewares have.
func (c *checker) middlewareOpts(x any, a *at) {
	switch x := x.(type) {
	case *HeadersOpts:
		if len(x.Request)+len(x.Response) == 0 {
			c.add(a, "", "is empty", "name request or response headers")
		}
		c.headerMap(a.field("request"), x.Request)
		c.headerMap(a.field("response"), x.Response)
	case *StripPrefixOpts:
		c.stripPrefixOpts(x, a)
	case *AddPrefixOpts:
		if x.Prefix != "" {
			c.fault(a.field("prefix"), x.Prefix, checkPath(x.Prefix))
		}
	case *ReplacePathOpts:
		c.replacePath(x, a)
	case *RedirectRegexOpts:
		c.replacement(a, x.Regexp, x.Replacement)
	case *BasicAuthOpts:
		c.basicAuth(x, a)
	case *AllowedIPsOpts:
		for i, s := range x.Ranges {
			if s != "" {
				c.fault(a.field("ranges").item(i), s, checkNetwork(s, false))
			}
		}
	case *RateLimitOpts:
		c.per(a.field("per"), x.Per)
	case *InFlightOpts:
		c.per(a.field("per"), x.Per)
	case *CompressOpts:
		c.compress(x, a)
	}
}

func (c *checker) per(a *at, s string) {
	if s != "" {
		c.fault(a, s, checkSelector(s, "client_ip", "application", "header:"))
	}
}

func (c *checker) stripPrefixOpts(x *StripPrefixOpts, a *at) {
	if len(x.Prefixes)+len(x.Regexps) == 0 {
		c.add(a, "", "is empty", "name prefixes or regexps")
	}
	for i, s := range x.Prefixes {
		if s != "" {
			c.fault(a.field("prefixes").item(i), s, checkPrefix(s))
		}
	}
	for i, s := range x.Regexps {
		if s != "" {
			c.fault(a.field("regexps").item(i), s, checkRegexp(s))
		}
	}
}

func (c *checker) replacePath(x *ReplacePathOpts, a *at) {
	switch {
	case x.Path == "" && x.Regexp == "":
		c.add(a, "", "has neither path nor regexp", "write the new path, or a regexp and its replacement")
	case x.Path != "" && x.Regexp != "":
		c.add(a.field("regexp"), x.Regexp, "is given beside path, which replaces everything", "remove one of them")
	case x.Path != "":
		c.fault(a.field("path"), x.Path, checkPath(x.Path))
		if x.Replacement != "" {
			c.useless(a.field("replacement"), "is for regexp, which is not set")
		}
	default:
		c.replacement(a, x.Regexp, x.Replacement)
	}
}

// replacement checks a regexp and the groups that its replacement names. A group
// that is not there would silently be replaced by nothing.
func (c *checker) replacement(a *at, expr, with string) {
	if expr == "" {
		return
	}
	if f := checkRegexp(expr); f != nil {
		c.fault(a.field("regexp"), expr, f)
		return
	}
	re := regexp.MustCompile(expr)
	for rest := with; ; {
		_, after, ok := strings.Cut(rest, "$")
		if !ok {
			return
		}
		if strings.HasPrefix(after, "$") {
			rest = after[1:]
			continue
		}
		name, next, ok := groupName(after)
		if !ok {
			c.add(a.field("replacement"), with, "a dollar sign names no group", "write $$ for the sign itself")
			return
		}
		if !hasGroup(re, name) {
			suggestion := didYouMean(name, groups(re))
			if digits := leadingDigits(name); digits != "" && digits != name && hasGroup(re, digits) {
				suggestion = fmt.Sprintf("write ${%s}%s", digits, name[len(digits):])
			}
			c.add(a.field("replacement"), with, fmt.Sprintf("the regexp has no group %q", shorten(name)), suggestion)
			return
		}
		rest = next
	}
}

// groupName reads the name after a dollar sign as regexp.Expand does: the
// longest run of letters, digits and underscores, or what is in braces.
func groupName(s string) (name, rest string, ok bool) {
	if inner, braced := strings.CutPrefix(s, "{"); braced {
		name, rest, ok = strings.Cut(inner, "}")
		return name, rest, ok && name != "" && allBytes(name, "_")
	}
	end := 0
	for end < len(s) && (isAlphanumeric(s[end]) || s[end] == '_') {
		end++
	}
	return s[:end], s[end:], end > 0
}

// groups are the names that a replacement may use.
func groups(re *regexp.Regexp) []string {
	var names []string
	for i, name := range re.SubexpNames() {
		if name == "" {
			name = strconv.Itoa(i)
		}
		names = append(names, name)
	}
	return names
}

func leadingDigits(s string) string {
	end := 0
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	return s[:end]
}

func hasGroup(re *regexp.Regexp, name string) bool {
	if digitsOnly(name) {
		// Group numbers have few digits; a long one is no group anyway.
		n := 0
		for i := 0; i < len(name) && n <= re.NumSubexp(); i++ {
			n = n*10 + int(name[i]-'0')
		}
		return n <= re.NumSubexp()
	}
	return re.SubexpIndex(name) >= 0
}

func (c *checker) basicAuth(x *BasicAuthOpts, a *at) {
	if len(x.Users) == 0 && x.UsersFile == "" {
		c.add(a, "", "has neither users nor users_file, so that nobody may enter", "name one of them")
	}
	for i, user := range x.Users {
		if user != "" && !user.IsReference() && !user.isRedacted() {
			c.fault(a.field("users").item(i), user.Redacted(), checkHtpasswd(string(user)))
		}
		c.reference(a.field("users").item(i), user)
	}
	if strings.ContainsAny(x.Realm, `"\`) {
		c.add(a.field("realm"), x.Realm, "a realm has no quote and no backslash", "")
	}
	if x.HeaderField != "" {
		c.fault(a.field("header_field"), x.HeaderField, checkHeaderName(x.HeaderField))
	}
}

// checkHtpasswd says what is wrong with a line "user:hash", without telling
// anything of the hash.
func checkHtpasswd(line string) *fault {
	user, hash, ok := strings.Cut(line, ":")
	if !ok || user == "" || hash == "" {
		return faultf(`want a line "user:hash"`).suggest("htpasswd -nB USER prints one")
	}
	for _, prefix := range [...]string{"$2a$", "$2b$", "$2y$", "$apr1$", "{SHA}"} {
		if strings.HasPrefix(hash, prefix) {
			return nil
		}
	}
	if strings.HasPrefix(hash, "$$") {
		return faultf("the hash begins with two dollar signs").suggest("doubled dollar signs are for compose files; write one")
	}
	return faultf("the password is not hashed with bcrypt, apr1 or SHA").suggest("htpasswd -nB USER prints a line with a hash")
}

func (c *checker) compress(x *CompressOpts, a *at) {
	c.unique(a.field("encodings"), x.Encodings)
	if len(x.IncludedTypes) > 0 && len(x.ExcludedTypes) > 0 {
		c.add(a.field("excluded_types"), "", "is given beside included_types, which already says what is compressed", "remove one of them")
	}
	for _, list := range [...]struct {
		name  string
		types []string
	}{{"excluded_types", x.ExcludedTypes}, {"included_types", x.IncludedTypes}} {
		for i, t := range list.types {
			main, sub, ok := strings.Cut(t, "/")
			if t != "" && (!ok || !isToken(main) || !isToken(sub)) {
				c.add(a.field(list.name).item(i), t, "not a media type", `it looks like "text/html", without parameters`)
			}
		}
	}
}
