package middleware

import "edgerouter/wire"

// coding is a content coding.
type coding uint8

const (
	identity coding = iota
	gzipCoding
	brotliCoding
	zstdCoding
	codings
)

var codingNames = [codings]string{identity: "identity", gzipCoding: "gzip", brotliCoding: "br", zstdCoding: "zstd"}

func (c coding) String() string { return codingNames[c] }

// accepted says how much a client wants each coding: thousandths, 0 for not at
// all, unsaid where it says nothing.
type accepted struct {
	weights [codings]int16
	others  int16 // "*"
}

const unsaid = -1

func newAccepted() accepted {
	a := accepted{others: unsaid}
	for i := range a.weights {
		a.weights[i] = unsaid
	}
	return a
}

// add reads one Accept-Encoding field (RFC 9110 section 12.5.3). Elements that are
// malformed are left out, as if they had not been sent. Of two for one coding the
// last counts.
func (a *accepted) add(field []byte) {
	for len(field) > 0 {
		var element []byte
		element, field = cutByte(field, ',')
		name, params := cutByte(element, ';')
		name = trimSpace(name)
		q, ok := weight(params)
		if !ok {
			continue
		}
		switch {
		case wire.EqualFold(name, "gzip"), wire.EqualFold(name, "x-gzip"):
			a.weights[gzipCoding] = q
		case wire.EqualFold(name, "br"):
			a.weights[brotliCoding] = q
		case wire.EqualFold(name, "zstd"):
			a.weights[zstdCoding] = q
		case wire.EqualFold(name, "identity"):
			a.weights[identity] = q
		case len(name) == 1 && name[0] == '*':
			a.others = q
		}
	}
}

// best is the one of offered, in order of preference, that the client wants most;
// identity when it wants none of them, or wants that more.
func (a *accepted) best(offered []coding) coding {
	found, most := identity, int16(0)
	for _, c := range offered {
		q := a.weights[c]
		if q == unsaid {
			q = a.others
		}
		if q > most {
			found, most = c, q
		}
	}
	if a.weights[identity] > most {
		return identity
	}
	return found
}

// weight reads the parameters of an element: 1000 without any, else what q says.
func weight(params []byte) (int16, bool) {
	q := int16(1000)
	for len(params) > 0 {
		var p []byte
		p, params = cutByte(params, ';')
		name, value := cutByte(p, '=')
		if name = trimSpace(name); len(name) != 1 || name[0]|0x20 != 'q' {
			continue
		}
		var ok bool
		if q, ok = qvalue(trimSpace(value)); !ok {
			return 0, false
		}
	}
	return q, true
}

// qvalue reads a qvalue (RFC 9110 section 12.4.2) in thousandths: 0 or 1 and up to
// three decimals.
func qvalue(b []byte) (int16, bool) {
	if len(b) == 0 || len(b) > 5 || b[0] != '0' && b[0] != '1' || len(b) > 1 && b[1] != '.' {
		return 0, false
	}
	q := int16(b[0]-'0') * 1000
	unit := int16(100)
	for i := 2; i < len(b); i++ {
		if b[i] < '0' || b[i] > '9' {
			return 0, false
		}
		q += int16(b[i]-'0') * unit
		unit /= 10
	}
	return q, q <= 1000
}

// cutByte is bytes.Cut with one byte, without telling whether it was there.
func cutByte(b []byte, sep byte) (before, after []byte) {
	for i, c := range b {
		if c == sep {
			return b[:i], b[i+1:]
		}
	}
	return b, nil
}

// trimSpace takes optional white space off both ends (RFC 9110 section 5.6.3).
func trimSpace(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// hasListToken tells whether a comma list has an element, without parameters and
// in any case.
func hasListToken(list []byte, lower string) bool {
	for len(list) > 0 {
		var t []byte
		t, list = cutByte(list, ',')
		if wire.EqualFold(trimSpace(t), lower) {
			return true
		}
	}
	return false
}
