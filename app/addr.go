package app

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// checkAddr says what is wrong with a peer's address: http, https or h2c, a host
// or IP, an optional port and path. same is the form in which addresses are
// compared: without case, the scheme's own port and a slash at the end.
func checkAddr(s string) (same string, f *fault) {
	scheme, rest, ok := strings.Cut(withoutCredentials(s), "://")
	if !ok {
		return "", faultf("has no scheme").suggest("write %q", "http://"+strings.TrimPrefix(scheme, "//"))
	}
	switch strings.ToLower(scheme) {
	case "http", "https", "h2c":
	case "h2", "grpcs":
		return "", faultf("unknown scheme %q", scheme).suggest("https speaks HTTP/2 when the peer does: write %q", "https://"+rest)
	case "grpc":
		return "", faultf("unknown scheme %q", scheme).suggest("write %q", "h2c://"+rest)
	default:
		return "", faultf("unknown scheme %q", shorten(scheme)).suggest("%s", didYouMean(scheme, []string{"http", "https", "h2c"}))
	}
	u, f := parseURL(s)
	if f != nil {
		return "", f
	}
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		return "", faultf("an address has no query and no fragment").suggest("write %q", s[:i])
	}
	path := u.EscapedPath()
	if path != "" {
		if f := checkPath(path); f != nil {
			f.message = "the path: " + f.message
			return "", f
		}
	}
	port := u.Port()
	if port == "" {
		port = "80"
		if strings.EqualFold(scheme, "https") {
			port = "443"
		}
	}
	return strings.ToLower(u.Scheme+"://"+u.Hostname()+"|"+port) + strings.TrimRight(path, "/"), nil
}

// checkURL says what is wrong with an absolute http or https URL.
func checkURL(s string) *fault {
	scheme, _, ok := strings.Cut(withoutCredentials(s), "://")
	if !ok {
		return faultf("want a URL with its scheme").suggest("write %q", "https://"+strings.TrimPrefix(scheme, "//"))
	}
	if scheme = strings.ToLower(scheme); scheme != "http" && scheme != "https" {
		return faultf("unknown scheme %q", shorten(scheme)).suggest("%s", didYouMean(scheme, []string{"http", "https"}))
	}
	_, f := parseURL(s)
	return f
}

// parseURL reads a URL whose scheme has been looked at, and checks host, port
// and that there are no credentials in it, which would end up in logs.
func parseURL(s string) (*url.URL, *fault) {
	if strings.Contains(s, " ") {
		return nil, faultf("has a space in it").suggest("in a path it is written %%20")
	}
	u, err := url.Parse(s)
	switch {
	case withoutCredentials(s) != s && (err != nil || u.User != nil):
		return nil, faultf("has a user name or password in it").suggest("send credentials in a header")
	case err != nil:
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err
		}
		return nil, faultf("not a URL: %v", err)
	}
	host, port := u.Hostname(), u.Port()
	switch {
	case host == "":
		return nil, faultf("has no host")
	case strings.HasSuffix(u.Host, ":"):
		return nil, faultf("has a colon and no port after it")
	case port != "":
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, faultf("the port %s is not between 1 and 65535", shorten(port))
		}
	}
	if strings.Contains(u.Host, "[") || strings.Contains(host, ":") {
		if ip, err := netip.ParseAddr(host); err != nil || !ip.Is6() {
			return nil, faultf("%q is not an IPv6 address", shorten(host))
		}
		return u, nil
	}
	if !isASCII(host) {
		f := faultf("an international hostname is written in its xn-- form")
		if ascii, ok := asciiHost(host); ok {
			f.suggest("write %q", strings.Replace(s, host, ascii, 1))
		}
		return nil, f
	}
	if f := checkHostname(host, false); f != nil {
		f.message = "the host: " + f.message
		return nil, f
	}
	return u, nil
}

// withoutCredentials is an address as it may be shown: "***" stands for what may
// be a user name and a password.
func withoutCredentials(s string) string {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		scheme, rest = "", s
	}
	i := strings.LastIndexByte(rest, '@')
	if i < 0 {
		return s
	}
	if ok {
		scheme += "://"
	}
	return scheme + "***" + rest[i:]
}

// checkNetwork says what is wrong with a network in CIDR form or an address.
// Host bits in a network are refused unless loose.
func checkNetwork(s string, loose bool) *fault {
	if !strings.Contains(s, "/") {
		if _, err := netip.ParseAddr(s); err != nil {
			return faultf("not an IP address or a network").suggest(`write "192.0.2.7", "192.0.2.0/24" or "2001:db8::/32"`)
		}
		return nil
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return faultf("not a network").suggest(`write it as "192.0.2.0/24" or "2001:db8::/32"`)
	}
	if masked := prefix.Masked(); !loose && masked.Addr() != prefix.Addr() {
		return faultf("the address has bits set beyond its /%d", prefix.Bits()).suggest("write %q, or the address alone", masked.String())
	}
	return nil
}

// LocalAddress reports whether an address leads to this machine or to what only
// answers on its link, such as a cloud's metadata: loopback, link-local and
// unspecified addresses, also those of IPv4 within IPv6.
func LocalAddress(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if a.Is4() && a.As4()[0] == 0 { // "this network" (RFC 1122), which systems take for the machine
		return true
	}
	if embedded, ok := embeddedIPv4(a); ok && LocalAddress(embedded) {
		return true
	}
	return !a.IsValid() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast() || a.IsInterfaceLocalMulticast() || a.IsUnspecified()
}

// embeddedIPv4 is the IPv4 address within an IPv6 one: of NAT64 (RFC 6052), 6to4
// (RFC 3056), or the deprecated form ::a.b.c.d (RFC 4291).
func embeddedIPv4(a netip.Addr) (netip.Addr, bool) {
	if !a.Is6() {
		return netip.Addr{}, false
	}
	b := a.As16()
	switch {
	case netip.MustParsePrefix("64:ff9b::/96").Contains(a), netip.MustParsePrefix("::/96").Contains(a):
		return netip.AddrFrom4([4]byte(b[12:])), true
	case b[0] == 0x20 && b[1] == 0x02:
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return netip.Addr{}, false
}
