package router

import (
	"bytes"
	"net/netip"
	"strings"
)

// trimHost removes the port and one trailing dot from the value of a Host
// field. Brackets of an IPv6 address stay.
func trimHost(host []byte) []byte {
	i := len(host)
	for i > 0 && host[i-1]-'0' <= 9 {
		i--
	}
	if i > 0 && host[i-1] == ':' {
		host = host[:i-1]
	}
	if n := len(host); n > 0 && host[n-1] == '.' {
		host = host[:n-1]
	}
	return host
}

func hasUpper(host []byte) bool {
	for _, c := range host {
		if c-'A' < 26 {
			return true
		}
	}
	return false
}

// appendLower appends host in ASCII lower case. Other bytes stay as they are:
// folding beyond ASCII would make different hosts equal.
func appendLower(dst, host []byte) []byte {
	for _, c := range host {
		if c-'A' < 26 {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// canonicalHost is the form in which hosts are compared, for text from the
// configuration, where a bare IPv6 address may stand without brackets.
func canonicalHost(host string) string {
	if strings.Count(host, ":") > 1 && host[0] != '[' {
		if addr, err := netip.ParseAddr(host); err == nil && addr.Is6() {
			host = "[" + host + "]"
		}
	}
	b := trimHost([]byte(host))
	if len(b) == len(host) && !hasUpper(b) {
		return host
	}
	return string(appendLower(nil, b))
}

// canonicalWildcard takes "*.Example.com." and returns "example.com".
func canonicalWildcard(host string) string {
	return canonicalHost(strings.TrimPrefix(host, "*."))
}

// parentDomain is what follows the first label, empty when there is no label
// before a dot: the key under which a host's wildcard is found.
func parentDomain(host []byte) []byte {
	i := bytes.IndexByte(host, '.')
	if i <= 0 {
		return nil
	}
	return host[i+1:]
}
