package server

import (
	"crypto/tls"
	"errors"

	"edgerouter/wire"
)

// errNotTLS answers plain HTTP, or a PROXY header that nobody expects, on a port
// where TLS is spoken.
var errNotTLS = &wire.Error{Status: 400, Reason: "this port speaks TLS: use https://"}

// notTLS answers a client whose first bytes are text instead of a handshake, and
// reports whether that was so.
func (c *conn) notTLS(err error) bool {
	var header tls.RecordHeaderError
	if !errors.As(err, &header) || header.Conn == nil || !looksLikeText(header.RecordHeader) {
		return false
	}
	c.Conn, c.tls = header.Conn, nil
	c.readDeadline, c.writeDeadline = 0, 0
	c.refuse(errNotTLS)
	return true
}

// looksLikeText reports whether the first bytes can begin a request, of any
// method, or a PROXY header. A handshake begins with 0x16.
func looksLikeText(b [5]byte) bool {
	if string(b[:4]) == "\r\n\r\n" { // version 2 of the PROXY protocol
		return true
	}
	for _, ch := range b {
		if ch != '\r' && ch != '\n' && (ch < ' ' || ch > '~') {
			return false
		}
	}
	return true
}
