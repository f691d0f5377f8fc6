package app

import (
	"fmt"
	"strconv"
	"strings"
)

func (c *checker) peerSet(x *PeerSetOpts, a *at) {
	c.addrs(x.Addrs, a.field("addrs"))
	c.weights(x, a.field("weights"))
	if x.TLSConfig != nil && len(x.Addrs) > 0 && !anyHasScheme(x.Addrs, "https") {
		c.add(a.field("tls_config"), "", "is for https addresses, and there is none", "remove it, or write https:// in addrs")
	}
	if x.HashOn != "" {
		if x.Policy != PolicyHash {
			c.add(a.field("hash_on"), x.HashOn, "is for policy hash only", `write "policy": "hash", or remove it`)
		} else {
			c.fault(a.field("hash_on"), x.HashOn, checkSelector(x.HashOn, "client_ip", "path", "header:", "cookie:"))
		}
	}
	if x.IndexDocument != "" {
		c.fault(a.field("index_document"), x.IndexDocument, checkDocument(x.IndexDocument))
	}
	c.headerMap(a.field("headers_to_origin"), x.HeadersToOrigin)
	if x.MaxPending > 0 && x.MaxConnections == 0 && x.MaxRequests == 0 {
		c.useless(a.field("max_pending"), "is for max_connections or max_requests, and neither is set")
	}
	if x.PendingTimeout > 0 && x.MaxPending == 0 {
		c.useless(a.field("pending_timeout"), "is for max_pending, which is not set")
	}
}

func (c *checker) addrs(addrs []string, a *at) {
	seen := make(map[string]int, len(addrs))
	for i, addr := range addrs {
		if _, bad := controlIn(addr); bad || addr == "" {
			continue
		}
		same, f := checkAddr(addr)
		if f != nil {
			c.fault(a.item(i), withoutCredentials(addr), f)
			continue
		}
		if first, again := seen[same]; again {
			c.add(a.item(i), addr, fmt.Sprintf("the same address as addrs[%d]", first), "remove it; weights make one peer count more")
			continue
		}
		seen[same] = i
	}
}

func (c *checker) weights(x *PeerSetOpts, a *at) {
	if len(x.Weights) == 0 {
		return
	}
	known := map[string]bool{}
	allZero := true
	shown := make([]string, len(x.Addrs))
	for i, addr := range x.Addrs {
		known[addr], shown[i] = true, withoutCredentials(addr)
		if w, ok := x.Weights[addr]; !ok || w != 0 {
			allZero = false
		}
	}
	for _, addr := range sortedKeys(x.Weights) {
		if !known[addr] {
			c.add(a.entry(addr), "", "is not one of addrs", didYouMean(addr, shown))
		}
	}
	if allZero && len(x.Addrs) > 0 {
		c.add(a, "", "every address has the weight 0, so that none gets requests", "give one of them a weight")
	}
}

func anyHasScheme(addrs []string, scheme string) bool {
	for _, addr := range addrs {
		if s, _, ok := strings.Cut(addr, "://"); ok && strings.EqualFold(s, scheme) {
			return true
		}
	}
	return false
}

// checkSelector says what is wrong with a choice of what is hashed or counted.
// A choice that ends with a colon takes a name after it.
func checkSelector(s string, choices ...string) *fault {
	for _, choice := range choices {
		if s == choice && !strings.HasSuffix(choice, ":") {
			return nil
		}
		if name, ok := strings.CutPrefix(s, choice); ok && strings.HasSuffix(choice, ":") {
			if name == "" {
				return faultf("names no %s", strings.TrimSuffix(choice, ":")).suggest("write %sNAME", choice)
			}
			if !isToken(name) {
				return faultf("%q is not a name of a %s", shorten(name), strings.TrimSuffix(choice, ":"))
			}
			return nil
		}
	}
	shown := make([]string, len(choices))
	for i, choice := range choices {
		if shown[i] = choice; strings.HasSuffix(choice, ":") {
			shown[i] += "NAME"
		}
	}
	return faultf("unknown value").suggest("%s", didYouMean(s, shown))
}

func (c *checker) tlsConfig(x *TLSConfig, a *at) {
	if x.ServerName != "" {
		c.fault(a.field("server_name"), x.ServerName, checkHostname(x.ServerName, false))
	}
	if x.ClientCertFile != "" && x.ClientKeyFile == "" {
		c.add(a.field("client_key_file"), "", missing, "client_cert_file needs its key")
	}
	if x.ClientKeyFile != "" && x.ClientCertFile == "" {
		c.add(a.field("client_cert_file"), "", missing, "client_key_file needs its certificate")
	}
	if x.CAFile != "" && x.InsecureSkipVerify {
		c.useless(a.field("ca_file"), "has no use while insecure_skip_verify accepts any certificate")
	}
}

func (c *checker) stickyCookie(x *StickyCookie, a *at) {
	if x.Name != "" && !isToken(x.Name) {
		c.add(a.field("name"), x.Name, "not the name of a cookie: letters, digits, hyphens and underscores", "")
	}
}

func (c *checker) healthCheck(x *HealthCheck, a *at) {
	if x.Path != "" {
		target, _, _ := strings.Cut(x.Path, "?")
		switch {
		case target == "":
			c.add(a.field("path"), x.Path, "a path begins with a slash", fmt.Sprintf("write %q", "/"+x.Path))
		case strings.Contains(x.Path, " "):
			c.add(a.field("path"), x.Path, "has a space in it", "write %20")
		default:
			c.fault(a.field("path"), x.Path, checkPath(target))
		}
	}
	if x.Status != "" {
		c.fault(a.field("status"), x.Status, checkStatus(x.Status))
	}
	if x.Host != "" {
		c.fault(a.field("host"), x.Host, checkHostPort(x.Host))
	}
}

// checkHostPort is checkHostname for a Host header, which may have a port.
func checkHostPort(s string) *fault {
	if i := strings.LastIndexByte(s, ':'); i >= 0 && digitsOnly(s[i+1:]) && !isIPv6(s) {
		if n, err := strconv.ParseUint(s[i+1:], 10, 16); err != nil || n == 0 {
			return faultf("the port %s is not between 1 and 65535", shorten(s[i+1:]))
		}
		s = s[:i]
	}
	if s == "" {
		return faultf("has no host")
	}
	return checkHostname(s, false)
}

// checkStatus says what is wrong with a list of status codes and ranges.
func checkStatus(s string) *fault {
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		low, high := statusCode(from), statusCode(to)
		switch {
		case low == 0 || high == 0:
			return faultf("%q is neither a status from 100 to 599 nor a range of them", shorten(part)).suggest(`write "200", "200-399" or "200,301-308"`)
		case low > high:
			return faultf("the range %s ends before it begins", part).suggest("write %d-%d", high, low)
		}
	}
	return nil
}

// statusCode reads three digits from 100 to 599; 0 for anything else.
func statusCode(s string) int {
	s = strings.TrimSpace(s)
	if len(s) != 3 || !digitsOnly(s) || s[0] < '1' || s[0] > '5' {
		return 0
	}
	n, _ := strconv.Atoi(s)
	return n
}

func (c *checker) passiveHealth(x *PassiveHealth, a *at) {
	eject, longest := x.Eject.Or(defaultEject), x.MaxEject.Or(defaultMaxEject)
	if eject > longest && x.Eject >= 0 && x.MaxEject >= 0 {
		c.add(a.field("max_eject"), Duration(longest).String(), fmt.Sprintf("shorter than eject, which is %s", Duration(eject)), "")
	}
}

func (c *checker) responseHeaders(x *ResponseHeaders, a *at) {
	c.headerMap(a.field("set"), x.Set)
	c.headerNames(a.field("remove"), x.Remove)
}
