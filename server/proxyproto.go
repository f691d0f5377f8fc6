package server

import (
	"bufio"
	"errors"
	"net"
	"time"

	"github.com/pires/go-proxyproto"
)

// ProxyMode says whether connections of a listener begin with a PROXY header
// (version 1 or 2), which is believed of trusted proxies only. Whoever else sends
// one sends what is no request.
type ProxyMode uint8

// The modes. ProxyOptional leaves it to each trusted proxy; with ProxyRequired all
// connections come through one, and any other is closed.
const (
	ProxyOff ProxyMode = iota
	ProxyOptional
	ProxyRequired
)

// proxied deals with what comes before the first byte of HTTP or TLS on a listener
// of a mode. It reports false when the connection is to be closed.
func (c *conn) proxied(mode ProxyMode) bool {
	switch {
	case mode == ProxyOff, mode == ProxyOptional && !c.trusted:
		return true
	case !c.trusted:
		return c.badProxy("a connection that does not come from a trusted proxy")
	}
	proxy := c.peer
	if !c.readProxyHeader(mode) {
		return false
	}
	return c.peer == proxy || c.admitted()
}

// badProxy counts and logs what keeps a connection from being used.
func (c *conn) badProxy(why string) bool {
	s := c.srv
	s.Stats.ProxyErrors.Add(1)
	s.Log.Warn().Str("peer", c.peer.String()).Str("setting", "--proxy-protocol").Msg("PROXY protocol: " + why + "; it was closed")
	return false
}

// readProxyHeader takes the client's address from the header. Whether
// X-Forwarded-* are believed is decided anew for that address; a header that names
// none is of a client that is not known, and none of them are.
func (c *conn) readProxyHeader(mode ProxyMode) bool {
	c.raw.SetReadDeadline(time.Now().Add(c.srv.Limits.HeaderTimeout))
	in := bufio.NewReaderSize(c.raw, 256)
	if _, err := in.Peek(1); err != nil {
		c.raw.SetReadDeadline(time.Time{})
		if timedOut(err) && mode == ProxyRequired {
			return c.badProxy("no header came in time")
		}
		return timedOut(err) // an idle connection of a proxy that does without
	}
	head, err := proxyproto.Read(in)
	switch {
	case err == nil && head.Version == 2 && head.Command.IsLocal(): // the proxy speaks for itself
	case err == nil:
		if client := ipOf(head.SourceAddr); client.IsValid() {
			c.from(client)
		} else {
			c.trusted = false
		}
	case errors.Is(err, proxyproto.ErrNoProxyProtocol) && mode == ProxyOptional:
	case errors.Is(err, proxyproto.ErrNoProxyProtocol):
		return c.badProxy("a trusted proxy sent no header")
	default:
		return c.badProxy("a trusted proxy sent a malformed header (" + err.Error() + ")")
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
