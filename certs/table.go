package certs

import (
	"cmp"
	"crypto/tls"
	"slices"
	"strings"
	"time"
)

// maxName is the longest DNS name in text form (RFC 1035 section 2.3.4).
const maxName = 253

// Table finds the certificate of a server name. It is immutable; the zero Table
// has no certificate.
type Table struct {
	exact     map[string][]*tls.Certificate
	wildcards map[string][]*tls.Certificate // "example.com" for *.example.com
	fallback  []*tls.Certificate            // for clients without a server name
}

// NewTable makes a table of the certificates of each source, sources in the
// order in which they win. now decides which of them have expired.
func NewTable(sources [][]*Certificate, now time.Time) *Table {
	var ranked []rankedCertificate
	for order, certs := range sources {
		for _, c := range certs {
			ranked = append(ranked, rankedCertificate{c, order, c.Expired(now), keyRank(c)})
		}
	}
	slices.SortStableFunc(ranked, better)

	t := &Table{exact: map[string][]*tls.Certificate{}, wildcards: map[string][]*tls.Certificate{}}
	for _, r := range ranked {
		if r.Default {
			t.fallback = addKind(t.fallback, r.TLS)
		}
		for _, name := range r.Names {
			if parent, ok := strings.CutPrefix(name, "*."); ok {
				t.wildcards[parent] = addKind(t.wildcards[parent], r.TLS)
			} else {
				t.exact[name] = addKind(t.exact[name], r.TLS)
			}
		}
	}
	return t
}

type rankedCertificate struct {
	*Certificate
	order   int
	expired bool
	key     int
}

// better orders the candidates of a name. Keys come before the time left, so
// that the cheaper handshake is offered first to a client that can do both.
func better(a, b rankedCertificate) int {
	if a.expired != b.expired {
		if a.expired {
			return 1
		}
		return -1
	}
	return cmp.Or(
		cmp.Compare(a.order, b.order),
		cmp.Compare(a.key, b.key),
		b.TLS.Leaf.NotAfter.Compare(a.TLS.Leaf.NotAfter),
	)
}

// keyRank is 0 for keys that sign fast (ECDSA, Ed25519) and 1 for RSA, which
// every client can do.
func keyRank(c *Certificate) int {
	if strings.HasPrefix(c.KeyType(), "ECDSA P-256") {
		return 0
	}
	if strings.HasPrefix(c.KeyType(), "RSA") {
		return 2
	}
	return 1
}

// addKind keeps the best certificate of each kind of key. The candidates come
// best first.
func addKind(have []*tls.Certificate, c *tls.Certificate) []*tls.Certificate {
	for _, h := range have {
		if h.Leaf.PublicKeyAlgorithm == c.Leaf.PublicKeyAlgorithm {
			return have
		}
	}
	return append(have, c)
}

// Lookup finds the certificate for a server name: exact, then the wildcard of
// one label. hello chooses among several and may be nil, which takes the first.
// nil: nobody has the name. 0 allocations but for what tls's own choice among
// several takes.
func (t *Table) Lookup(name string, hello *tls.ClientHelloInfo) *tls.Certificate {
	if len(name) > 0 && name[len(name)-1] == '.' {
		name = name[:len(name)-1]
	}
	if name == "" || len(name) > maxName {
		return nil
	}
	var buf [maxName]byte
	lower := buf[:len(name)]
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	if found := t.exact[string(lower)]; found != nil {
		return choose(found, hello)
	}
	for i, c := range lower {
		if c == '.' {
			if i == 0 {
				return nil
			}
			return choose(t.wildcards[string(lower[i+1:])], hello)
		}
	}
	return nil
}

// Default is the certificate for clients that send no server name; nil: none is set.
func (t *Table) Default(hello *tls.ClientHelloInfo) *tls.Certificate {
	return choose(t.fallback, hello)
}

func choose(candidates []*tls.Certificate, hello *tls.ClientHelloInfo) *tls.Certificate {
	if len(candidates) == 0 {
		return nil
	}
	if len(candidates) > 1 && hello != nil {
		for _, c := range candidates {
			if hello.SupportsCertificate(c) == nil {
				return c
			}
		}
	}
	return candidates[0]
}
