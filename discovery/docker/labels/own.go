package labels

import (
	"fmt"
	"strings"

	"edgerouter/app"
)

// auth is what the edgerouter.auth labels say.
type auth struct {
	kind   string // public, bearer_token, sso
	label  string
	token  string
	tenant string
	users  []string
}

const (
	labelAuth   = "edgerouter.auth"
	labelToken  = "edgerouter.auth_bearer_token"
	labelTenant = "edgerouter.auth_sso.tenant"
	labelUsers  = "edgerouter.auth_sso.users"
)

var ownNames = []string{labelAuth, labelToken, labelTenant, labelUsers}

// ownOptions are the labels of edgerouter itself.
var ownOptions = options[auth]{
	"auth":            setString(func(a *auth) *string { return &a.kind }),
	"auth_sso.tenant": setString(func(a *auth) *string { return &a.tenant }),
	"auth_sso.users":  setList(func(a *auth) *[]string { return &a.users }),
	"auth_bearer_token": {secret: true, set: func(a *auth, v string) error {
		a.token = v
		return nil
	}},
}

// own reads edgerouter's labels. Who may enter has to be said.
func (c *compiler) own() {
	a := &c.auth
	given := map[string]bool{}
	for _, l := range c.labels {
		if key, ok := strings.CutPrefix(l.key, "edgerouter."); ok && !l.used {
			if _, known := ownOptions[key]; known {
				given[l.key] = true
				ownOptions.read(a, &c.all, l, key)
			}
		}
	}
	a.label = labelAuth
	if !given[labelAuth] {
		if c.opts.DefaultAuth == "" {
			c.all.fail(labelAuth, "", "is missing: it says who may enter",
				"write public, bearer_token or sso; --docker-default-auth public is for all that do not say")
			return
		}
		a.kind = c.opts.DefaultAuth
	}
	switch a.kind {
	case "public":
	case "bearer_token":
		if a.token == "" {
			c.all.fail(labelToken, "", "is missing: "+labelAuth+"=bearer_token needs it", "")
		}
		a.label = labelToken
	case "sso":
		if a.tenant == "" {
			c.all.fail(labelTenant, "", "is missing: "+labelAuth+"=sso needs it", "")
		}
		if len(a.users) == 0 {
			c.all.fail(labelUsers, "", "names nobody: "+labelAuth+"=sso needs it", "write the ids of users with commas between them")
		}
	default:
		c.all.fail(labelAuth, a.kind, "unknown value", "write public, bearer_token or sso")
		return
	}
	for _, only := range [...]struct{ label, kind string }{{labelToken, "bearer_token"}, {labelTenant, "sso"}, {labelUsers, "sso"}} {
		if given[only.label] && a.kind != only.kind {
			c.first.warn(only.label, "", fmt.Sprintf("has no effect with %s=%s", labelAuth, a.kind), "")
		}
	}
}

// middleware is the outermost one of an application; nil for public.
func (a *auth) middleware(id string) *app.Middleware {
	switch a.kind {
	case "bearer_token":
		return &app.Middleware{Kind: app.MiddlewareAuthV0, AuthV0: &app.AuthV0Opts{BearerToken: app.Secret(a.token)}}
	case "sso":
		return &app.Middleware{Kind: app.MiddlewareAuthSSO, AuthSSO: &app.AuthSSOOpts{
			AllowedUserIDs: a.users, Audience: a.tenant + "/" + id,
		}}
	}
	return nil
}

// peerTLS is what the labels traefik.backend.tls say, which are ours and stand
// beside both dialects.
type peerTLS struct {
	skip       bool
	skipLabel  string
	serverName string
	nameLabel  string
}

// readTLS takes the label if it is one of them.
func (c *compiler) readTLS(l *label) bool {
	switch l.key {
	case "traefik.backend.tls.insecureskipverify":
		l.used = true
		c.tls.skipLabel = l.name
		if l.value != "true" {
			c.all.fail(l.name, l.value, "takes only the value true", "remove the label to have certificates verified")
			return true
		}
		c.tls.skip = true
	case "traefik.backend.tls.servername":
		l.used = true
		c.tls.nameLabel, c.tls.serverName = l.name, l.value
	default:
		return false
	}
	return true
}

func (t *peerTLS) apply(p *app.PeerSetOpts, scheme string, n *notes) {
	if t.skipLabel == "" && t.nameLabel == "" {
		return
	}
	if scheme != "https" {
		for _, l := range []string{t.skipLabel, t.nameLabel} {
			if l != "" {
				n.fail(l, "", "is for peers that speak https, and these speak "+scheme, "write traefik.protocol=https, or the service's server.scheme=https")
			}
		}
		return
	}
	p.TLSConfig = &app.TLSConfig{InsecureSkipVerify: t.skip, ServerName: t.serverName}
}
