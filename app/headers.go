package app

import "strings"

// SecretHeader says whether the values of a header field are treated as
// secrets: shown redacted, and resolved when they are file: or env: references.
// It goes by the name: the fields for credentials, and names with a word such
// as "token", "key" or "password" in them.
func SecretHeader(name string) bool {
	lower := strings.ToLower(name)
	switch lower {
	case "cookie", "set-cookie":
		return true
	}
	for _, word := range [...]string{"auth", "token", "secret", "passw", "passphrase", "pwd", "bearer", "jwt", "credential", "signature", "session"} {
		if strings.Contains(lower, word) {
			return true
		}
	}
	return strings.HasSuffix(lower, "key")
}

// isToken says whether s is a token (RFC 9110 section 5.6.2), which names of
// header fields, methods and cookies are.
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !isAlphanumeric(c) && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// checkHeaderName says what is wrong with the name of a header field that a
// definition sets or removes. The fields that frame a message (RFC 9110 section
// 7.6.1, RFC 9112 section 6) belong to the proxy.
func checkHeaderName(s string) *fault {
	if !isToken(s) {
		if name, _, ok := strings.Cut(s, ":"); ok && isToken(name) {
			return faultf("a header's name has no colon").suggest("write %q", name)
		}
		return faultf("not the name of a header: letters, digits and hyphens")
	}
	switch strings.ToLower(s) {
	case "connection", "content-length", "transfer-encoding", "keep-alive", "proxy-connection", "te", "trailer", "upgrade":
		return faultf("this header frames the message and is edgerouter's business")
	}
	return nil
}

// headerMap checks the names of a map of header fields. Control characters in
// the values have been found already.
func (c *checker) headerMap(a *at, m map[string]string) {
	if len(m) == 0 {
		return
	}
	seen := map[string]string{}
	for _, name := range sortedKeys(m) {
		c.fault(a.entry(name), "", checkHeaderName(name))
		lower := strings.ToLower(name)
		if other, ok := seen[lower]; ok {
			c.add(a.entry(name), "", "the same header as "+shownName(other)+"; case does not matter", "remove one of them")
		}
		seen[lower] = name
		value := m[name]
		if SecretHeader(name) {
			c.reference(a.entry(name), Secret(value))
		} else if strings.TrimSpace(value) != value {
			c.add(a.entry(name), value, "a header's value has no white space at its ends", "")
		}
	}
}

// headerNames checks a list of names of header fields.
func (c *checker) headerNames(a *at, names []string) {
	for i, name := range names {
		if name != "" {
			c.fault(a.item(i), name, checkHeaderName(name))
		}
	}
}

// secret checks a secret that is not empty.
func (c *checker) secret(a *at, s Secret) {
	if _, bad := controlIn(string(s)); bad || s == "" {
		return
	}
	c.reference(a, s)
	if s.IsReference() {
		return
	}
	if strings.TrimSpace(string(s)) != string(s) {
		c.add(a, s.Redacted(), "has white space at its ends", "")
	}
}

// reference checks that a file: or env: reference names something, and that a
// secret is not what is shown of one.
func (c *checker) reference(a *at, s Secret) {
	if s.isRedacted() {
		c.add(a, string(s), "is what is shown of a secret, and not the secret", "write the secret itself (discovery cat --secrets prints it), file:PATH or env:NAME")
		return
	}
	switch s {
	case fileReference:
		c.add(a, string(s), "names no file", "write file:PATH")
	case envReference:
		c.add(a, string(s), "names no environment variable", "write env:NAME")
	}
	if name, ok := strings.CutPrefix(string(s), envReference); ok && strings.ContainsAny(name, "= \t") {
		c.add(a, "", "not the name of an environment variable", "write env:NAME")
	}
}
