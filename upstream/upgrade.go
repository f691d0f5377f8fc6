package upstream

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"edgerouter/wire"
)

// upgrades are the protocols that clients of a set may switch to, in lower case;
// without a version, all versions.
type upgrades []string

// defaultUpgrades is what every browser knows and every server means. Others may
// lead past what guards an application, such as h2c.
var defaultUpgrades = upgrades{"websocket"}

// newUpgrades reads peer_set_opts.upgrades; nil stands for the default.
func newUpgrades(list []string) (upgrades, error) {
	if list == nil {
		return defaultUpgrades, nil
	}
	u := make(upgrades, 0, len(list))
	for i, name := range list {
		protocol, version, versioned := strings.Cut(name, "/")
		if !isToken(protocol) || versioned && !isToken(version) {
			return nil, fmt.Errorf("upgrades[%d]: %q is not a protocol such as websocket or name/1.0", i, name)
		}
		switch strings.ToLower(protocol) {
		case "h2c", "http", "tls":
			return nil, fmt.Errorf("upgrades[%d]: %q is HTTP itself in another form, which nothing here could look into; for peers of HTTP/2 write h2c://HOST:PORT in addrs", i, name)
		}
		u = append(u, strings.ToLower(name))
	}
	return u, nil
}

// allows reports whether a protocol may be switched to.
func (u upgrades) allows(protocol []byte) bool {
	if len(u) == 1 && wire.EqualFold(protocol, u[0]) {
		return true
	}
	name := strings.ToLower(string(protocol))
	short, _, _ := strings.Cut(name, "/")
	return slices.Contains(u, name) || slices.Contains(u, short)
}

// of returns the protocols that a client asks for and may have, nil when there is
// none: then the request is an ordinary one (RFC 9110 section 7.8).
func (u upgrades) of(h *wire.RequestHead) []byte {
	if len(h.Upgrade) == 0 {
		return nil
	}
	var kept []byte
	for i := range h.Fields {
		f := &h.Fields[i]
		if f.Kind != wire.Upgrade {
			continue
		}
		for item := range bytes.SplitSeq(f.Value, []byte{','}) {
			item = bytes.Trim(item, " \t")
			if len(item) == 0 || !u.allows(item) {
				continue
			}
			if kept != nil {
				kept = append(kept, ", "...)
			}
			kept = append(kept, item...)
		}
	}
	return kept
}
