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
	case strings.HasSuffix(l.key, ".users") && l.key != labelUsers, strings.HasSuffix(l.key, "auth.basic"):
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
	}
	return value
}
