package certs

import (
	"crypto/tls"
	"fmt"
	"strings"
)

// curves are the key exchanges that can be chosen, the preferred ones first; the
// first is hybrid and post-quantum. crypto/tls decides on the order.
var curves = []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}

// curveName is what the setting calls a key exchange.
func curveName(c tls.CurveID) string {
	switch c {
	case tls.CurveP256:
		return "P-256"
	case tls.CurveP384:
		return "P-384"
	case tls.CurveP521:
		return "P-521"
	}
	return c.String()
}

// CurveNames are the names of the key exchanges that can be chosen.
func CurveNames() (names []string) {
	for _, c := range curves {
		names = append(names, curveName(c))
	}
	return names
}

// ParseCurves reads names of key exchanges, in any case. None at all are nil,
// which is crypto/tls's own choice: all of them.
func ParseCurves(names []string) (out []tls.CurveID, err error) {
next:
	for _, name := range names {
		for _, c := range curves {
			if strings.EqualFold(strings.TrimSpace(name), curveName(c)) {
				out = append(out, c)
				continue next
			}
		}
		return nil, fmt.Errorf("%q is none of %s", name, strings.Join(CurveNames(), ", "))
	}
	return out, nil
}
