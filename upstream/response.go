package upstream

import (
	"edgerouter/wire"
)

// appendResponse writes the head that the client gets, after Settle. chunked tells
// that the body goes out in chunks.
func (c *call) appendResponse(dst []byte, p *peer, h *wire.ResponseHead, chunked bool) []byte {
	x := c.x
	dst = wire.AppendStatusLine(dst, h.Status, h.Reason)
	length := false
	for i := range h.Fields {
		f := &h.Fields[i]
		switch f.Kind {
		case wire.Ordinary, wire.ContentType, wire.Date, wire.Server, wire.Cookie, wire.Forwarding:
		case wire.Trailer:
			if !chunked {
				continue
			}
		case wire.ContentLength:
			if !length && h.Length >= 0 && h.Status != 204 {
				length = true
				dst = wire.AppendLength(dst, h.Length)
			}
			continue
		default:
			continue
		}
		if c.advertises(h.Status, f) {
			continue
		}
		if c.s.fixed.dropResponse != nil && wire.AnyName(c.s.fixed.dropResponse, f.Name) {
			continue
		}
		dst = appendField(dst, f)
	}
	if !h.HasDate {
		dst = wire.AppendDate(dst, x.Began)
	}
	if chunked {
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	if line := c.s.balancer.stickTo(p, c.sticky); line != nil {
		dst = wire.AppendField(dst, "Set-Cookie", line)
	}
	dst = append(dst, c.s.fixed.toClient...)
	switch {
	case h.Status == 426 && len(h.Upgrade) > 0: // RFC 9110 section 15.5.22
		dst = append(dst, "Connection: Upgrade"...)
		if x.Close {
			dst = append(dst, ", close"...)
		}
		dst = append(dst, "\r\nUpgrade: "...)
		dst = append(dst, h.Upgrade...)
		dst = append(dst, "\r\n"...)
	default:
		dst = x.AppendConnection(dst)
	}
	return append(dst, "\r\n"...)
}

// outgoing decides on the framing of the response to the client, none when it
// has no body whatever its fields say.
func (c *call) outgoing(h *wire.ResponseHead) (none, chunked bool) {
	none = h.NoBody(c.head)
	if !none && h.Length < 0 {
		chunked = c.x.Head.Minor == 1
		if !chunked {
			c.x.Close = true // the end of the connection is the end of the body
		}
	}
	return none, chunked
}

// relay writes the response to the client's connection. It tells whether the
// peer's connection can be used again.
func (c *call) relay(p *peer, pc *peerConn, up *uploader) (reusable bool) {
	x, h := c.x, &pc.head
	none, chunked := c.outgoing(h)
	whole := none || h.Length >= 0 && int64(pc.in.Len()) >= h.Length
	x.Settle(h.Status, up != nil && !whole)
	head := c.appendResponse(x.Scratch[:0], p, h, chunked)
	x.Scratch = head
	if !whole {
		return c.relayBody(p, pc, up, head, chunked)
	}
	// All of it is here: head and body go out in one write.
	size := 0
	if !none {
		size = int(h.Length)
	}
	if pc.in.Len() > size {
		h.Close = true // more than the body: not to be used again
		pc.in.Truncate(size)
	}
	now := wire.Now()
	p.end(outcomeOf(h.Status), now-c.now, now)
	x.Ended = now
	msg := pc.in.Prepend(head)
	if msg == nil {
		msg = append(head, pc.in.Buffered()...)
		x.Scratch = msg
	}
	return x.Respond(h.Status, msg) == nil
}

// relayBody streams a body to the client as it comes.
func (c *call) relayBody(p *peer, pc *peerConn, up *uploader, head []byte, chunked bool) bool {
	x := c.x
	first := wire.Now()
	pc.unlimitedRead()
	var memory buffer
	defer memory.release()
	buf := memory.start(pc.in.Len() > wire.BufferSize/2 || pc.head.Length > wire.BufferSize)
	// Head and what there is of the body in one write; the head alone when
	// nothing has come yet, so that the client sees it at once.
	x.Status, x.Responded = pc.head.Status, true
	fill := 0
	if len(head) < len(buf)/2 {
		fill = copy(buf, head)
	} else if x.Write(head) != nil {
		return c.unread(p, first)
	}
	for {
		if fill > 0 && pc.in.Empty() {
			if x.Write(buf[:fill]) != nil {
				return c.unread(p, first)
			}
			fill = 0
		}
		room := buf[fill+wire.ChunkHeadSize : len(buf)-2-len(lastChunk)]
		n, err := pc.body.Read(room)
		if n > 0 {
			at, end := fill+wire.ChunkHeadSize, fill+wire.ChunkHeadSize+n
			if chunked {
				at = fill + wire.PutChunkHead(buf[fill:at], n)
				end += copy(buf[end:], "\r\n")
				if pc.body.TryEnd() && len(pc.body.Trailers()) == 0 {
					end += copy(buf[end:], lastChunk)
					chunked = false
				}
			}
			// What was put before it moves up, so that one write takes both.
			start := at - fill
			copy(buf[start:at], buf[:fill])
			fill = 0
			if x.Write(buf[start:end]) != nil {
				return c.unread(p, first)
			}
			if n == len(room) {
				buf = memory.grow(0)
			}
		}
		if eof(err) || (n > 0 && pc.body.Done()) {
			break
		}
		if err != nil {
			// The client must not take a part for the whole.
			x.Broken = true
			p.end(c.brokeOff(p, pc.abandoned.Load(), up != nil && up.failure.Load() != nil, err), 0, wire.Now())
			return false
		}
	}
	p.end(outcomeOf(pc.head.Status), first-c.now, wire.Now())
	if chunked {
		last := append(x.Scratch[:0], buf[:fill]...)
		last = append(last, "0\r\n"...)
		last = append(last, pc.body.Trailers()...)
		last = append(last, "\r\n"...)
		x.Scratch = last
		if x.Write(last) != nil {
			return false
		}
	} else if fill > 0 && x.Write(buf[:fill]) != nil {
		return false
	}
	return pc.in.Empty()
}

const lastChunk = "0\r\n\r\n"

// unread ends a response that the client does not take.
func (c *call) unread(p *peer, first int64) (reusable bool) {
	c.s.stats.Canceled.Add(1)
	p.end(outcomeCanceled, 0, first)
	return false
}

// brokeOff judges a response that ended in the middle of its body: whether it is
// the peer's fault or this proxy closed the connection itself.
func (c *call) brokeOff(p *peer, abandoned, byUpload bool, err error) outcome {
	reason, o := "the peer broke off in the middle of a response", outcomeFailed
	switch {
	case c.deadline.passed():
		reason, o = "the response took too long (timeouts.request)", outcomeCanceled
	case byUpload:
		reason, o = "the request's body broke off during the response", outcomeCanceled
	case abandoned:
		c.s.stats.Canceled.Add(1)
		return outcomeCanceled
	}
	c.s.log.Warn().Err(err).Str("peer", p.addr.Raw).Bytes("request_id", c.x.RequestID).Msg(reason)
	return o
}

// outcomeOf says what a status tells of a peer. A 500 is the application's answer
// to this request, and would let one bad URL eject all peers.
func outcomeOf(status int) outcome {
	switch status {
	case 502, 503, 504:
		return outcomeFailed
	}
	return outcomeOK
}
