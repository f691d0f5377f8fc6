package app

import (
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// checkHostname says what is wrong with a hostname or IP address (IPv6 with or
// without brackets). With wildcard the first label may be "*". Underscores are
// taken, which container names have; case and a trailing dot do not matter.
func checkHostname(s string, wildcard bool) *fault {
	if _, rest, ok := strings.Cut(s, "://"); ok {
		host, _, _ := strings.Cut(rest, "/")
		return faultf("a hostname has no scheme").suggest("write %q", host)
	}
	if host, path, ok := strings.Cut(s, "/"); ok {
		return faultf("a hostname has no path").suggest("write %q and put \"/%s\" into path_prefix", host, path)
	}
	if isIPv6(s) {
		return nil
	}
	if host, port, ok := strings.Cut(s, ":"); ok {
		if digitsOnly(port) {
			return faultf("a hostname has no port; it is served on every port that listens").suggest("write %q", host)
		}
		return faultf("a hostname has no colon, and this is not an IPv6 address")
	}
	if s == "*" {
		return faultf("a star stands for one label").suggest(`for every host use kind path_prefix; for one level of names write "*.example.com"`)
	}
	rest, isWildcard := strings.CutPrefix(s, "*.")
	switch {
	case isWildcard && !wildcard:
		return faultf("a wildcard is not possible here")
	case strings.Contains(rest, "*"):
		return faultf("a star stands only for the whole first label").suggest(`write "*.example.com", or use kind hostname_regexp`)
	case strings.ContainsAny(rest, patternBytes):
		return faultf("a hostname is not a pattern").suggest("use kind hostname_regexp with parts in braces")
	}
	if !isASCII(rest) {
		return internationalFault(s, rest)
	}
	return checkLabels(s, rest)
}

// patternBytes are what regexps have and hostnames do not.
const patternBytes = "{}()[]^$|+\\"

// internationalFault suggests the xn-- form (A-labels, RFC 5890) that browsers
// send for an international name.
func internationalFault(s, rest string) *fault {
	f := faultf("an international name is written in its xn-- form, as browsers send it")
	if ascii, ok := asciiHost(rest); ok {
		f.suggest("write %q", s[:len(s)-len(rest)]+ascii)
	}
	return f
}

func asciiHost(s string) (string, bool) {
	ascii, err := idna.Lookup.ToASCII(strings.TrimSuffix(s, "."))
	return ascii, err == nil
}

// checkLabels looks at the labels of an ASCII name (RFC 1123 section 2.1); rest
// is s without the wildcard label.
func checkLabels(s, rest string) *fault {
	name := strings.TrimSuffix(rest, ".")
	if len(s) > 253 {
		return faultf("a hostname has at most 253 characters, this has %d", len(s))
	}
	if suffix, ok := strings.CutPrefix(name, "."); ok && suffix != "" {
		return faultf("a hostname does not begin with a dot").suggest("write %q for its subdomains", "*."+suffix)
	}
	last := ""
	for label := range strings.SplitSeq(name, ".") {
		last = label
		if f := checkLabel(label); f != nil {
			return f
		}
	}
	if digitsOnly(last) {
		if _, err := netip.ParseAddr(name); err != nil {
			return faultf("looks like an IPv4 address and is none")
		}
	}
	return nil
}

func checkLabel(label string) *fault {
	switch {
	case label == "":
		return faultf("a hostname has no empty parts between its dots")
	case len(label) > 63:
		return faultf("a part of a hostname has at most 63 characters, %q has %d", shorten(label), len(label))
	case label[0] == '-' || label[len(label)-1] == '-':
		return faultf("a part of a hostname neither begins nor ends with a hyphen: %q", label)
	}
	for _, r := range label {
		if r >= 0x80 || !isAlphanumeric(byte(r)) && r != '-' && r != '_' {
			return faultf("a hostname has no %q in it", r)
		}
	}
	if len(label) > 4 && strings.EqualFold(label[:4], "xn--") {
		if _, err := idna.Punycode.ToUnicode(label); err != nil {
			return faultf("%q does not stand for any international name", label)
		}
	}
	return nil
}

func isIPv6(s string) bool {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		if s, ok = strings.CutSuffix(inner, "]"); !ok {
			return false
		}
	}
	ip, err := netip.ParseAddr(s)
	return err == nil && ip.Is6() && ip.Zone() == ""
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func digitsOnly(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// sameHost is the form in which two hostnames are compared.
func sameHost(s string) string {
	return strings.ToLower(strings.TrimSuffix(s, "."))
}
