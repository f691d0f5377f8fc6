package app

import (
	"fmt"
	"strings"
	"time"
)

// The defaults of PassiveHealth that validation compares with.
const (
	defaultEject    = 5 * time.Second
	defaultMaxEject = 5 * time.Minute
)

// authorized is the field for the protected backend of an auth kind, and
// whether the options have such a field.
func authorized(v0 *AuthV0Opts, sso *AuthSSOOpts, forward *AuthForwardOpts, oidc *AuthOIDCOpts) (name string, inner *Backend, ok bool) {
	switch {
	case v0 != nil:
		return "auth_v0_opts", v0.AuthorizedBackend, true
	case sso != nil:
		return "auth_sso_opts", sso.AuthorizedBackend, true
	case forward != nil:
		return "auth_forward_opts", forward.AuthorizedBackend, true
	case oidc != nil:
		return "auth_oidc_opts", oidc.AuthorizedBackend, true
	}
	return "", nil, false
}

func (c *checker) backend(x *Backend, a *at) {
	name, inner, ok := authorized(x.AuthV0, x.AuthSSO, x.AuthForward, x.AuthOIDC)
	if ok && inner == nil && strings.HasPrefix(string(x.Kind), "auth_") {
		c.add(a.field(name).field("authorized_backend"), "", missing, "it is the backend that answers who may enter")
	}
}

func (c *checker) lambda(x *AWSLambdaOpts, a *at) {
	if x.FunctionName != "" && !allBytes(x.FunctionName, "-_:.$/") {
		c.add(a.field("function_name"), x.FunctionName, "not the name or ARN of a function", "")
	}
	c.region(a.field("region_id"), x.RegionID)
	if x.Qualifier != "" && (len(x.Qualifier) > 128 || !allBytes(x.Qualifier, "$-_")) {
		c.add(a.field("qualifier"), x.Qualifier, "not a version or alias of a function", `write "$LATEST", a number or an alias`)
	}
	if x.ALBMultiValue && x.PayloadFormatVersion != "alb" {
		c.useless(a.field("alb_multi_value"), `is for payload_format_version "alb"`)
	}
}

func (c *checker) region(a *at, s string) {
	if s != "" && !allLower(s, "-") {
		c.add(a, s, "not the id of a region", `it looks like "eu-central-1"`)
	}
}

// allBytes says whether s is made of ASCII letters, digits and the bytes of more.
func allBytes(s, more string) bool {
	for i := 0; i < len(s); i++ {
		if !isAlphanumeric(s[i]) && strings.IndexByte(more, s[i]) < 0 {
			return false
		}
	}
	return true
}

func allLower(s, more string) bool { return allBytes(s, more) && s == strings.ToLower(s) }

func (c *checker) s3(x *S3StaticWebsiteOpts, a *at) {
	c.immutable(x.Immutable, a)
	if b := x.BucketName; b != "" && (len(b) < 3 || len(b) > 63 || !allLower(b, ".-") || !isAlphanumeric(b[0]) || !isAlphanumeric(b[len(b)-1])) {
		c.add(a.field("bucket_name"), b, `not the name of a bucket: 3 to 63 small letters, digits, "." and "-"`, "")
	}
	c.region(a.field("region_id"), x.RegionID)
	if v := x.DeployedVersion; v != "" && (v == "." || v == ".." || strings.ContainsAny(v, "/\\?#%")) {
		c.add(a.field("deployed_version"), v, `not the name of a version: it is part of a path, without "/", "?", "#" and "%"`, "")
	}
	c.documents(a, x.NotFoundPage, "404_page", x.SPAFallback, x.IndexDocument)
}

// documents checks the file names of a static site. A page for unknown paths and
// one that stands in for them exclude each other.
func (c *checker) documents(a *at, notFound, notFoundName, fallback, index string) {
	for _, d := range [...]struct{ name, value string }{{notFoundName, notFound}, {"spa_fallback", fallback}, {"index_document", index}} {
		if _, bad := controlIn(d.value); d.value != "" && !bad {
			c.fault(a.field(d.name), d.value, checkDocument(d.value))
		}
	}
	if notFound != "" && fallback != "" {
		c.add(a.field("spa_fallback"), fallback, fmt.Sprintf("answers every unknown path, so that %s is never used", notFoundName), "remove one of them")
	}
}

// immutable checks patterns of files.
func (c *checker) immutable(patterns []string, a *at) {
	for i, p := range patterns {
		if p == "" || strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			c.add(a.field("immutable").item(i), p, "not a pattern of files", "write a path such as /assets/**, or a name such as *.woff2")
		}
	}
}

func (c *checker) turbocharger(x *TurbochargerOpts, a *at) {
	c.immutable(x.Immutable, a)
	if x.Manifest != "" {
		c.fault(a.field("manifest"), x.Manifest, checkContentID(x.Manifest))
	}
	seen := map[string]bool{x.Manifest: true}
	for i, m := range x.PreviousManifests {
		if m == "" {
			continue
		}
		place := a.field("previous_manifests").item(i)
		if f := checkContentID(m); f != nil {
			c.fault(place, m, f)
		} else if seen[m] {
			c.add(place, m, "stands twice, or is the manifest itself", "remove it")
		}
		seen[m] = true
	}
	c.documents(a, x.NotFoundPage, "not_found_page", x.SPAFallback, "")
}

// checkContentID says what is wrong with the id of an object of the store: the
// SHA-256 of its bytes in base64url without padding.
func checkContentID(s string) *fault {
	if len(s) != 43 || !allBytes(s, "-_") {
		return faultf("not the id of a manifest: 43 letters, digits, \"-\" and \"_\"").
			suggest("turbocharger tar-deploy-to-store prints it")
	}
	return nil
}

func (c *checker) redirect(x *RedirectOpts, a *at) {
	if x.To != "" {
		c.fault(a.field("to"), withoutCredentials(x.To), checkRedirectTo(x.To))
	}
}

// checkRedirectTo says what is wrong with a redirect's target: an absolute URL
// or a path, with {path} and {query} anywhere after the host.
func checkRedirectTo(s string) *fault {
	filled := s
	for {
		before, rest, ok := strings.Cut(filled, "{")
		if !ok {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return faultf("a brace is not closed").suggest("{path} and {query} are filled in")
		}
		if name != "path" && name != "query" {
			return faultf("nothing is filled in for {%s}", shorten(name)).suggest("%s", didYouMean("{"+name+"}", []string{"{path}", "{query}"}))
		}
		// The path that is filled in begins with its own slash.
		if name == "path" && !strings.HasSuffix(before, "/") {
			before += "/"
		}
		filled = before + after
	}
	if strings.Contains(filled, "}") {
		return faultf("a closing brace has no opening one")
	}
	switch {
	case strings.HasPrefix(filled, "//"):
		return faultf("begins with two slashes, which browsers take for a host").suggest("write the URL with its scheme, or a path with one slash")
	case strings.HasPrefix(filled, "/"):
		if strings.ContainsAny(filled, " \\") {
			return faultf("has a space or a backslash in it")
		}
		return nil
	case strings.HasPrefix(filled, "?"):
		return faultf("want an absolute URL or a path").suggest("write %q", "/"+s)
	}
	return checkURL(filled)
}

func (c *checker) sso(x *AuthSSOOpts, a *at) {
	if x.IDServerURL != "" {
		c.fault(a.field("id_server_url"), withoutCredentials(x.IDServerURL), checkURL(x.IDServerURL))
	}
	c.unique(a.field("allowed_user_ids"), x.AllowedUserIDs)
}

// unique reports elements that stand twice in a list.
func (c *checker) unique(a *at, values []string) {
	seen := map[string]int{}
	for i, v := range values {
		if first, again := seen[v]; again && v != "" {
			c.add(a.item(i), v, fmt.Sprintf("stands in the list already, at [%d]", first), "remove it")
			continue
		}
		seen[v] = i
	}
}

func (c *checker) forward(x *AuthForwardOpts, a *at) {
	if x.Address != "" {
		c.fault(a.field("address"), withoutCredentials(x.Address), checkURL(x.Address))
	}
	c.headerNames(a.field("auth_response_headers"), x.AuthResponseHeaders)
	if x.AuthResponseHeadersRegex != "" {
		c.fault(a.field("auth_response_headers_regex"), x.AuthResponseHeadersRegex, checkRegexp(x.AuthResponseHeadersRegex))
	}
	for i, name := range x.AddAuthCookiesToResponse {
		if name != "" && !isToken(name) {
			c.add(a.field("add_auth_cookies_to_response").item(i), name, "not the name of a cookie", "")
		}
	}
	if x.TLSConfig != nil && x.Address != "" && !anyHasScheme([]string{x.Address}, "https") {
		c.add(a.field("tls_config"), "", "is for an https address", "remove it, or write https:// in address")
	}
}

func (c *checker) oidc(x *AuthOIDCOpts, a *at) {
	if x.Issuer != "" {
		if f := checkURL(x.Issuer); f != nil {
			c.fault(a.field("issuer"), withoutCredentials(x.Issuer), f)
		} else if strings.ContainsAny(x.Issuer, "?#") {
			c.add(a.field("issuer"), x.Issuer, "an issuer has no query and no fragment", "")
		}
	}
	if x.ClientSecret != "" && x.ClientSecretFile != "" {
		c.add(a.field("client_secret_file"), x.ClientSecretFile, "is given beside client_secret", "keep one of them")
	}
	c.secret(a.field("client_secret"), x.ClientSecret)
	for i, scope := range x.Scopes {
		if strings.ContainsAny(scope, " \"\\") {
			c.add(a.field("scopes").item(i), scope, "a scope has no space, quote or backslash", "give each scope an element of its own")
		}
	}
}

func (c *checker) oidcAllowed(x *OIDCAllowed, a *at) {
	if len(x.Emails)+len(x.Domains)+len(x.Groups)+len(x.Subjects) == 0 {
		c.add(a, "", "is empty, so that nobody may enter", "name emails, domains, groups or subjects")
	}
	for i, email := range x.Emails {
		if name, domain, ok := strings.Cut(email, "@"); email != "" && (!ok || name == "" || domain == "") {
			c.add(a.field("emails").item(i), email, "not an email address", "")
		}
	}
	for i, domain := range x.Domains {
		if domain == "" {
			continue
		}
		if bare, ok := strings.CutPrefix(domain, "@"); ok {
			c.add(a.field("domains").item(i), domain, "a domain has no @", fmt.Sprintf("write %q", bare))
			continue
		}
		c.fault(a.field("domains").item(i), domain, checkHostname(domain, false))
	}
}
