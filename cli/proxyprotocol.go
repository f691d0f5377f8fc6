package cli

import (
	"strings"

	"edgerouter/server"
)

// proxyModes are the values of --proxy-protocol.
var proxyModes = map[string]server.ProxyMode{
	"off": server.ProxyOff, "optional": server.ProxyOptional, "required": server.ProxyRequired,
}

// parseProxyProtocol reads a mode for both listeners, or http=MODE,https=MODE, in
// which a listener that is left out is off.
func parseProxyProtocol(text string) (plain, secure server.ProxyMode, err error) {
	bad := func() error {
		return usagef("--proxy-protocol %q: want off, optional or required, or one of them for each listener: http=MODE,https=MODE", text)
	}
	if mode, ok := proxyModes[text]; ok {
		return mode, mode, nil
	}
	for one := range strings.SplitSeq(text, ",") {
		listener, value, _ := strings.Cut(one, "=")
		mode, ok := proxyModes[value]
		switch {
		case ok && listener == "http":
			plain = mode
		case ok && listener == "https":
			secure = mode
		default:
			return 0, 0, bad()
		}
	}
	return plain, secure, nil
}
