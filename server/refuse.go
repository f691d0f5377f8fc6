package server

import (
	"strconv"
	"time"

	"edgerouter/wire"
)

// refuse answers what could not be parsed, and the connection ends with it.
func (c *conn) refuse(e *wire.Error) {
	s := c.srv
	s.Stats.Refused.Add(1)
	if e.Status == 431 {
		s.limited(limitHeader, c.peer)
	}
	id := make([]byte, idLength)
	putID(id)
	s.Unmatched.Observe(nil, e.Status, 0)
	s.Log.Debug().Str("client", c.peer.String()).Int("status", e.Status).Str("reason", e.Reason).
		Bytes("request_id", id).Msg("request refused")
	if s.AccessLog != nil {
		s.AccessLog(&Access{Time: time.Now(), Client: c.peer, Secure: c.tls != nil, Status: e.Status, RequestID: id})
	}
	c.say(e.Status, e.Reason, id)
}

// say sends a short plain answer without the help of a context and ends the
// connection.
func (c *conn) say(status int, reason string, id []byte) {
	text := reason + "\nrequest id: " + string(id) + "\n"
	b := make([]byte, 0, 512)
	b = wire.AppendStatusLine(b, status, []byte(wire.StatusText(status)))
	b = append(b, "Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n"...)
	b = wire.AppendDate(b, wire.Now())
	b = append(b, "Connection: close\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(text)), 10)
	b = append(b, "\r\n\r\n"...)
	b = append(b, text...)
	c.x.Ended = 0
	if n, err := c.Write(b); err == nil {
		c.sent += uint64(n)
		c.lingeringClose()
	}
}
