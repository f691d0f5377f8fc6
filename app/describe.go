package app

import (
	"fmt"
	"strconv"
	"strings"
)

// maxListed bounds how many elements of a list a description tells.
const maxListed = 4

// Describe tells an application in one line, secrets redacted:
//
//	shop: shop.example.com/api (plain HTTP too), *.shop.example.com -> basic_auth -> peer_set http://10.0.0.1:8080
func Describe(a Application) string {
	frontends := make([]string, len(a.Frontends))
	for i := range a.Frontends {
		frontends[i] = a.Frontends[i].describe()
	}
	parts := []string{listed(frontends)}
	for i := range a.Middlewares {
		parts = append(parts, string(a.Middlewares[i].Kind))
	}
	parts = append(parts, a.Backend.Describe())
	return clean(a.ID + ": " + strings.Join(parts, " -> "))
}

func (x *Frontend) describe() string {
	prefix := x.PathPrefix
	if prefix == "" {
		prefix = "/"
	}
	var s string
	switch x.Kind {
	case FrontendHostname:
		s = x.Hostname + prefix
	case FrontendHostnameRegexp:
		s = x.HostnameRegexp + prefix
	case FrontendPathPrefix:
		s = "any host " + prefix
	case FrontendRule:
		s = x.Rule
	default:
		s = "unknown kind " + strconv.Quote(string(x.Kind))
	}
	var notes []string
	if x.StripPathPrefix != "" {
		notes = append(notes, "without "+x.StripPathPrefix)
	}
	switch {
	case x.OnlyInsecureHTTP:
		notes = append(notes, "plain HTTP only")
	case x.AllowInsecureHTTP:
		notes = append(notes, "plain HTTP too")
	}
	if x.RulePriority != nil {
		notes = append(notes, "rule priority "+strconv.Itoa(*x.RulePriority))
	}
	if x.Priority != nil {
		notes = append(notes, "priority "+strconv.Itoa(*x.Priority))
	}
	if len(notes) > 0 {
		s += " (" + strings.Join(notes, ", ") + ")"
	}
	return s
}

// Describe tells a backend in a line, secrets redacted. A backend behind an auth
// kind follows it after an arrow.
func (b Backend) Describe() string {
	text := string(b.Kind)
	var inner *Backend
	switch {
	case b.Kind == BackendPeerSet && b.PeerSet != nil:
		text += " " + b.PeerSet.describe()
	case b.Kind == BackendAWSLambda && b.AWSLambda != nil:
		text += fmt.Sprintf(" %s in %s", b.AWSLambda.FunctionName, b.AWSLambda.RegionID)
	case b.Kind == BackendS3StaticWebsite && b.S3StaticWebsite != nil:
		version := b.S3StaticWebsite.DeployedVersion
		if version == "" {
			version = "no version yet"
		}
		text += fmt.Sprintf(" %s in %s, %s", b.S3StaticWebsite.BucketName, b.S3StaticWebsite.RegionID, version)
	case b.Kind == BackendTurbocharger && b.Turbocharger != nil:
		text += " " + b.Turbocharger.Manifest
	case b.Kind == BackendRedirect && b.Redirect != nil:
		code := b.Redirect.Code
		if code == 0 {
			code = 302
		}
		text += fmt.Sprintf(" %d %s", code, b.Redirect.To)
	case b.Kind == BackendAuthV0 && b.AuthV0 != nil:
		text += " token " + b.AuthV0.BearerToken.Redacted()
		inner = b.AuthV0.AuthorizedBackend
	case b.Kind == BackendAuthSSO && b.AuthSSO != nil:
		text += fmt.Sprintf(" %s, users %s", b.AuthSSO.Audience, listed(b.AuthSSO.AllowedUserIDs))
		inner = b.AuthSSO.AuthorizedBackend
	case b.Kind == BackendAuthForward && b.AuthForward != nil:
		text += " " + withoutCredentials(b.AuthForward.Address)
		inner = b.AuthForward.AuthorizedBackend
	case b.Kind == BackendAuthOIDC && b.AuthOIDC != nil:
		text += " " + withoutCredentials(b.AuthOIDC.Issuer)
		inner = b.AuthOIDC.AuthorizedBackend
	}
	if inner != nil {
		text += " -> " + inner.Describe()
	}
	return clean(text)
}

func (x *PeerSetOpts) describe() string {
	addrs := make([]string, len(x.Addrs))
	for i, addr := range x.Addrs {
		addrs[i] = withoutCredentials(addr)
		if w, ok := x.Weights[addr]; ok {
			addrs[i] += fmt.Sprintf(" (weight %d)", w)
		}
	}
	return listed(addrs)
}

// listed joins the first few elements.
func listed(elems []string) string {
	if more := len(elems) - maxListed; more > 1 {
		return fmt.Sprintf("%s and %d more", strings.Join(elems[:maxListed], ", "), more)
	}
	return strings.Join(elems, ", ")
}
