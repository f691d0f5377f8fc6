package labels

import (
	"strings"

	"edgerouter/app"
)

// Shown are the labels in our namespaces as they can be shown: secrets redacted.
func Shown(labels map[string]string) map[string]string {
	out := map[string]string{}
	for _, l := range scan(labels) {
		out[l.name] = l.shown()
	}
	return out
}

// shown is the value as it can be shown.
func (l *label) shown() string {
	value := short(l.value)
	switch {
	case l.key == labelToken:
		return app.Secret(l.value).Redacted()
	case strings.HasSuffix(l.key, ".users") && l.key != labelUsers, strings.HasSuffix(l.key, "auth.basic"), l.likeUsers():
		var users []string
		for user := range strings.SplitSeq(l.value, ",") {
			name, hash, _ := strings.Cut(strings.TrimSpace(user), ":")
			users = append(users, short(name)+":"+app.Secret(hash).Redacted())
			if len(users) == 8 {
				users = append(users, "...")
				break
			}
		}
		return strings.Join(users, ",")
	case strings.Contains(l.key, ".customrequestheaders.") || strings.Contains(l.key, ".customresponseheaders."):
		if name := l.key[strings.LastIndexByte(l.key, '.')+1:]; app.SecretHeader(name) {
			return app.Secret(l.value).Redacted()
		}
	case strings.HasSuffix(l.key, ".customrequestheaders") || strings.HasSuffix(l.key, ".customresponseheaders"):
		parts := strings.Split(value, "||")
		for i, part := range parts {
			if name, secret, _ := strings.Cut(part, ":"); app.SecretHeader(strings.TrimSpace(name)) {
				parts[i] = name + ":" + app.Secret(strings.TrimSpace(secret)).Redacted()
			}
		}
		return strings.Join(parts, "||")
	case l.likeSecret():
		return app.Secret(l.value).Redacted()
	}
	// A password has no place before a host; it is told as a problem.
	if scheme, rest, ok := strings.Cut(value, "://"); ok {
		host, path, _ := strings.Cut(rest, "/")
		if i := strings.LastIndexByte(host, '@'); i >= 0 {
			return strings.TrimSuffix(scheme+"://***"+host[i:]+"/"+path, "/")
		}
	}
	return value
}

// likeUsers says whether a label may be one with users whose name is misspelt.
func (l *label) likeUsers() bool {
	i := strings.LastIndex(l.key, "auth.")
	if i < 0 || !strings.HasSuffix(l.key[:i], "basic") && !strings.HasSuffix(l.key[:i], "digest") {
		return false
	}
	switch option := l.key[i+len("auth."):]; option {
	case "realm", "removeheader", "headerfield", "usersfile":
		return false
	}
	return true
}

// likeSecret says whether the name of a label is one of a secret, as far as names
// go: it may be misspelt.
func (l *label) likeSecret() bool {
	name := l.key[strings.LastIndexByte(l.key, '.')+1:]
	return strings.Contains(name, "token") || strings.Contains(name, "secret") || strings.Contains(name, "passw")
}
