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

// KindOf tells the kind of a field name.
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
			if EqualFold(name, "content-length") {
				return ContentLength
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
			if EqualFold(name, "transfer-encoding") {
				return TransferEncoding
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
		if EqualFold(name, "keep-alive") {
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
		if len(name) > 6 && EqualFold(name[:6], "proxy-") {
			return Hop
		}
	case 'f':
		if EqualFold(name, "forwarded") {
			return Forwarding
		}
	case 'x':
		switch {
		case len(name) > 12 && equalSpelt(name[:12], "x-forwarded-"),
			len(name) > 14 && equalSpelt(name[:14], "x-client-cert-"),
			equalSpelt(name, "x-real-ip"), equalSpelt(name, "x-request-id"):
			return Forwarding
		}
	}
	return Ordinary
}

// equalSpelt is EqualFold with "_" taken for "-": applications behind CGI-like
// interfaces cannot tell X_Real_Ip from X-Real-Ip.
func equalSpelt(b []byte, name string) bool {
	if len(b) != len(name) {
		return false
	}
	for i := 0; i < len(name); i++ {
		if c := lower(b[i]); c != name[i] && (c != '_' || name[i] != '-') {
			return false
		}
	}
	return true
}

// connectionTokens reads the Connection fields and marks the fields that they
// name as Hop. Framing, Host and the fields that this proxy makes itself are
// not for a sender to take away.
func connectionTokens(fields []Field) (closing, keep, upgrade bool) {
	for i := range fields {
		if fields[i].Kind != Connection {
			continue
		}
		list := fields[i].Value
		for len(list) > 0 {
			var t []byte
			t, list = token(list)
			switch {
			case len(t) == 0:
			case EqualFold(t, "close"):
				closing = true
			case EqualFold(t, "keep-alive"):
				keep = true
			case EqualFold(t, "upgrade"):
				upgrade = true
			case EqualFold(t, "te"):
			default:
				markHop(fields, t)
			}
		}
	}
	return closing, keep, upgrade
}

func markHop(fields []Field, name []byte) {
	for i := range fields {
		f := &fields[i]
		switch f.Kind {
		case Ordinary, Trailer, Date, Server, Cookie, ContentType:
			if equalFold(f.Name, name) {
				f.Kind = Hop
			}
		}
	}
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
func EqualNames(a, b []byte) bool { return equalFold(a, b) }
