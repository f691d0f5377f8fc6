package wire

// FieldKind says what a proxy has to know of a field, so that names are compared
// once, when the head is parsed.
type FieldKind uint8

// The kinds. Those up to Hop are not forwarded as they came.
const (
	Ordinary FieldKind = iota
	Host
	ContentLength
	TransferEncoding
	Connection
	Upgrade
	TE
	Expect
	Forwarding // X-Forwarded-*, X-Real-Ip, X-Request-Id, Forwarded: believed of trusted proxies only; X-Client-Cert-*: of nobody
	Hop        // named by Connection, Keep-Alive, Proxy-*: never forwarded
	Trailer
	Date
	Server
	Cookie
	ContentType
)

// Field is one field line; name and value point into the head.
type Field struct {
	Name, Value []byte
	Kind        FieldKind
}

// KindOf reports the kind of a field name. A name that some application could
// take for one that belongs to the connection, the framing or the proxies before
// it (see SameName) is of a kind that is not forwarded: Transfer_Encoding is Hop.
func KindOf(name []byte) FieldKind {
	if len(name) == 0 {
		return Ordinary
	}
	switch name[0] | 0x20 {
	case 'h':
		if EqualFold(name, "host") {
			return Host
		}
	case 'c':
		switch len(name) {
		case 6:
			if EqualFold(name, "cookie") {
				return Cookie
			}
		case 10:
			if EqualFold(name, "connection") {
				return Connection
			}
		case 12:
			if EqualFold(name, "content-type") {
				return ContentType
			}
		case 14:
			if SameName(name, "content-length") {
				return ifPlain(name, ContentLength)
			}
		}
	case 't':
		switch len(name) {
		case 2:
			if EqualFold(name, "te") {
				return TE
			}
		case 7:
			if EqualFold(name, "trailer") {
				return Trailer
			}
		case 17:
			if SameName(name, "transfer-encoding") {
				return ifPlain(name, TransferEncoding)
			}
		}
	case 'u':
		if EqualFold(name, "upgrade") {
			return Upgrade
		}
	case 'e':
		if EqualFold(name, "expect") {
			return Expect
		}
	case 'k':
		if SameName(name, "keep-alive") {
			return Hop
		}
	case 'd':
		if EqualFold(name, "date") {
			return Date
		}
	case 's':
		if EqualFold(name, "server") {
			return Server
		}
	case 'p':
		if hasPrefix(name, "proxy-") {
			return Hop
		}
	case 'f':
		if EqualFold(name, "forwarded") {
			return Forwarding
		}
	case 'x':
		switch {
		case hasPrefix(name, "x-forwarded-"), hasPrefix(name, "x-client-cert-"),
			SameName(name, "x-real-ip"), SameName(name, "x-request-id"):
			return Forwarding
		}
	}
	return Ordinary
}

// ifPlain is kind for a name whose words are joined by hyphens, Hop otherwise.
func ifPlain(name []byte, kind FieldKind) FieldKind {
	for _, c := range name {
		if c != '-' && spelling[c] == '-' {
			return Hop
		}
	}
	return kind
}

// equalFold compares two ASCII names in any case.
func equalFold[S []byte | string](a []byte, b S) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c |= 0x20
	}
	return c
}

// EqualNames compares two field names, both in any case.
func EqualNames[S []byte | string](a []byte, b S) bool { return equalFold(a, b) }
