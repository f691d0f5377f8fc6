package wire

// Applications behind CGI, FastCGI, WSGI and the like get field names as names
// of variables, in which every byte but letters and digits may have become an
// underscore (RFC 3875 section 4.1.18): PHP cannot tell X-Real-Ip from X_Real_Ip,
// nor lighttpd X.Real.Ip. A field that this proxy owns is therefore one with all
// names that are the same once such bytes are one.

// spelling is the byte that a byte of a field name is compared as.
var spelling = func() (t [256]byte) {
	for i := range t {
		c := lower(byte(i))
		if c < '0' || c > '9' && c < 'a' || c > 'z' {
			c = '-'
		}
		t[i] = c
	}
	return t
}()

// SameName reports whether two field names are one for some application: equal
// without regard to case and to which punctuation there is between the words.
func SameName[A, B []byte | string](a A, b B) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if spelling[a[i]] != spelling[b[i]] {
			return false
		}
	}
	return true
}

// AnyName reports whether name is one of names, in any spelling.
func AnyName[A []byte | string](names []string, name A) bool {
	for _, n := range names {
		if SameName(name, n) {
			return true
		}
	}
	return false
}

// hasPrefix reports whether a name is longer than prefix and begins with it, in
// any spelling.
func hasPrefix(name []byte, prefix string) bool {
	return len(name) > len(prefix) && SameName(name[:len(prefix)], prefix)
}
