package server

import (
	"errors"
	"io"

	"edgerouter/wire"
)

// answer writes the response that a handler left in ctx, unless it has written
// one itself.
func (c *conn) answer() {
	x := &c.x
	if x.Responded {
		return
	}
	resp := &c.context().Response
	if status := resp.StatusCode(); status < 200 || status > 599 {
		c.srv.Log.Error().Int("status", status).Bytes("request_id", x.RequestID).
			Msg("a handler left a status that is no final response's")
		c.fail(500, "internal error")
	}
	if !resp.IsBodyStream() && x.Body.Err() != nil {
		x.Close = true
		if status := resp.StatusCode(); status < 400 || status >= 500 {
			c.fail(bodyFault(x.Body.Err()))
		}
	}
	status := resp.StatusCode()
	x.Status = status
	head := string(x.Head.Method) == "HEAD"
	noBody := head || status == 204 || status == 304
	stream := resp.IsBodyStream()
	var body []byte
	length := int64(resp.Header.ContentLength())
	if !stream {
		body = resp.Body()
		if n := int64(len(body)); n > 0 || !head {
			length = n
		} else if length <= 0 {
			length = -1 // what GET would send is not known
		}
	}
	chunked := stream && length < 0 && x.Head.Minor == 1 && !noBody
	if stream && length < 0 && x.Head.Minor == 0 && !noBody {
		x.Close = true
	}
	if resp.Header.ConnectionClose() || c.srv.draining.Load() {
		x.Close = true
	}
	x.Settle(status, stream) // while a stream is the response, the body may be on its way to a peer
	b := c.appendHead(x.Scratch[:0], status, length, chunked)
	x.Scratch = b
	switch {
	case stream:
		if x.Write(b) == nil && !noBody {
			c.pump(resp.BodyStream(), length, chunked)
		}
		resp.CloseBodyStream()
	case noBody || len(body) == 0:
		x.Write(b)
	case len(body) <= 16<<10:
		b = append(b, body...)
		x.Scratch = b
		x.Write(b)
	default:
		if x.Write(b) == nil {
			x.Write(body)
		}
	}
}

// bodyFault is the answer to a request whose body could not be read. The handler
// may have taken a part of it for the whole, so its own answer does not count.
func bodyFault(err error) (status int, reason string) {
	var malformed *wire.Error
	switch {
	case errors.As(err, &malformed):
		return malformed.Status, malformed.Reason
	case timedOut(err):
		return 408, "the request's body did not come in time"
	}
	return 400, "the request's body did not come whole"
}

// appendHead writes the head of the response in ctx. length is -1 when it is not
// known. Framing and connection are ours, whatever the handler set.
func (c *conn) appendHead(dst []byte, status int, length int64, chunked bool) []byte {
	h, x := &c.ctx.Response.Header, &c.x
	reason := h.StatusMessage()
	if len(reason) == 0 {
		reason = []byte(wire.StatusText(status))
	}
	dst = wire.AppendStatusLine(dst, status, reason)
	date, server := false, false
	for name, value := range h.All() {
		switch wire.KindOf(name) {
		case wire.Connection, wire.ContentLength, wire.TransferEncoding, wire.Hop, wire.TE, wire.Upgrade:
			continue
		case wire.Trailer:
			if !chunked {
				continue
			}
		case wire.ContentType:
			if length == 0 && string(value) == "text/plain; charset=utf-8" {
				continue // fasthttp's default
			}
		case wire.Date:
			date = true
		case wire.Server:
			server = true
		}
		dst = append(append(dst, name...), ": "...)
		dst = append(append(dst, value...), "\r\n"...)
	}
	if !server && c.srv.ServerName != "" {
		dst = append(append(dst, "Server: "...), c.srv.ServerName...)
		dst = append(dst, "\r\n"...)
	}
	switch {
	case date:
	case len(x.Date) > 0:
		dst = append(append(append(dst, "Date: "...), x.Date...), "\r\n"...)
	default:
		dst = wire.AppendDate(dst, x.Began)
	}
	switch {
	case status == 204:
	case chunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case length > 0 || length == 0 && status != 304:
		dst = wire.AppendLength(dst, length)
	}
	return append(x.AppendConnection(dst), "\r\n"...)
}

// pump sends a body as it comes. length is -1 when it is not known.
func (c *conn) pump(src io.Reader, length int64, chunked bool) {
	x := &c.x
	buf := wire.GetCopyBuffer()
	defer wire.PutCopyBuffer(buf)
	room := buf[wire.ChunkHeadSize : len(buf)-2]
	for {
		n, err := src.Read(room)
		if n > 0 {
			if length >= 0 && int64(n) > length {
				n = int(length)
			}
			part := room[:n]
			if chunked {
				at := wire.PutChunkHead(buf[:wire.ChunkHeadSize], n)
				end := wire.ChunkHeadSize + n
				copy(buf[end:], "\r\n")
				part = buf[at : end+2]
			}
			if x.Write(part) != nil {
				return
			}
			if length >= 0 {
				if length -= int64(n); length == 0 {
					return
				}
			}
		}
		if err == io.EOF {
			switch {
			case length > 0:
				x.Broken = true
			case chunked:
				last := append(x.Scratch[:0], "0\r\n"...)
				if t, ok := src.(wire.Trailing); ok {
					last = append(last, t.Trailers()...)
				}
				x.Scratch = append(last, "\r\n"...)
				x.Write(x.Scratch)
			}
			return
		}
		if err != nil {
			x.Broken = true
			return
		}
	}
}
