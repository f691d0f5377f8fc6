package server

import (
	"bufio"
	"errors"
	"net"
	"time"

	"github.com/pires/go-proxyproto"
)

// readProxyHeader takes the client's address from a PROXY header, version 1 or
// 2, of a trusted proxy, when there is one. Whether X-Forwarded-* are believed
// is decided anew for that address. It tells false when the connection cannot be
// used.
func (c *conn) readProxyHeader() bool {
	c.raw.SetReadDeadline(time.Now().Add(c.srv.Limits.HeaderTimeout))
	in := bufio.NewReaderSize(c.raw, 256)
	if _, err := in.Peek(1); err != nil {
		c.raw.SetReadDeadline(time.Time{})
		return timedOut(err) // an idle connection of a proxy that does without
	}
	head, err := proxyproto.Read(in)
	switch {
	case err == nil:
		if !head.Command.IsLocal() {
			c.from(ipOf(head.SourceAddr))
		}
	case !errors.Is(err, proxyproto.ErrNoProxyProtocol):
		c.srv.Stats.Refused.Add(1)
		c.srv.Log.Warn().Err(err).Str("proxy", c.peer.String()).Msg("a trusted proxy sent a malformed PROXY header; its connection was closed")
		return false
	}
	c.raw.SetReadDeadline(time.Time{})
	if n := in.Buffered(); n > 0 {
		rest, _ := in.Peek(n)
		c.Conn = &headed{Conn: c.raw, rest: rest}
	}
	return true
}

// headed is a connection of which some bytes were read already.
type headed struct {
	net.Conn
	rest []byte
}

func (h *headed) Read(p []byte) (int, error) {
	if len(h.rest) == 0 {
		return h.Conn.Read(p)
	}
	n := copy(p, h.rest)
	if h.rest = h.rest[n:]; len(h.rest) == 0 {
		h.rest = nil
	}
	return n, nil
}
