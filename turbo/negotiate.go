package turbo

import (
	"edgerouter/turbo/cache"
	"edgerouter/wire"
)

// preference is what a client takes, the best first.
type preference struct {
	order [cache.Encodings]cache.Encoding
	q     [cache.Encodings]int // weights of order
	n     int
	// dcb and dcz: encodings with a dictionary are taken as well.
	dcb, dcz bool
}

// ranked are the encodings in the order in which they are made; of those that are
// there the smallest is sent.
var ranked = [cache.Encodings]cache.Encoding{cache.Brotli, cache.Zstd, cache.Gzip, cache.Identity}

// parseAccept reads Accept-Encoding (RFC 9110 section 12.5.3). Of equal q-values
// the order is br, zstd, gzip, identity. Identity stands at the end even if it is
// refused: there is nothing else to send before an encoding was made.
func parseAccept(field []byte) (p preference) {
	const unset = -1
	q := [cache.Encodings]int{unset, unset, unset, unset}
	any := unset
	for len(field) > 0 {
		var item []byte
		item, field = cut(field, ',')
		name, params := cut(item, ';')
		name = trim(name)
		weight := qvalue(params)
		switch {
		case wire.EqualFold(name, "gzip"), wire.EqualFold(name, "x-gzip"):
			q[cache.Gzip] = weight
		case wire.EqualFold(name, "br"):
			q[cache.Brotli] = weight
		case wire.EqualFold(name, "zstd"):
			q[cache.Zstd] = weight
		case wire.EqualFold(name, "identity"):
			q[cache.Identity] = weight
		case wire.EqualFold(name, "dcb"):
			p.dcb = weight > 0
		case wire.EqualFold(name, "dcz"):
			p.dcz = weight > 0
		case len(name) == 1 && name[0] == '*':
			any = weight
		}
	}
	for e := range q {
		switch {
		case q[e] != unset:
		case any != unset:
			q[e] = any
		case cache.Encoding(e) == cache.Identity:
			q[e] = 1 // not named: after everything that is
		default:
			q[e] = 0
		}
	}
	for _, e := range ranked {
		if q[e] == 0 && e != cache.Identity {
			continue
		}
		at := p.n
		for at > 0 && q[p.order[at-1]] < q[e] {
			p.order[at], p.q[at] = p.order[at-1], p.q[at-1]
			at--
		}
		p.order[at], p.q[at] = e, q[e]
		p.n++
	}
	return p
}

// takes says whether an encoding is among those that the client takes.
func (p *preference) takes(e cache.Encoding) bool {
	for _, have := range p.order[:p.n] {
		if have == e {
			return true
		}
	}
	return false
}

// qvalue reads the weight among parameters in thousandths; 1000 when there is none,
// 0 when it is malformed.
func qvalue(params []byte) int {
	for len(params) > 0 {
		var p []byte
		p, params = cut(params, ';')
		p = trim(p)
		if len(p) < 2 || p[0]|0x20 != 'q' || p[1] != '=' {
			continue
		}
		p = p[2:]
		if len(p) == 0 || len(p) > 5 || p[0] != '0' && p[0] != '1' || len(p) > 1 && p[1] != '.' {
			return 0
		}
		weight, unit := int(p[0]-'0')*1000, 100
		for _, c := range p[min(2, len(p)):] {
			if c < '0' || c > '9' {
				return 0
			}
			weight += int(c-'0') * unit
			unit /= 10
		}
		return min(weight, 1000)
	}
	return 1000
}

// cut splits at the first sep.
func cut(b []byte, sep byte) (before, after []byte) {
	for i, c := range b {
		if c == sep {
			return b[:i], b[i+1:]
		}
	}
	return b, nil
}

func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}
