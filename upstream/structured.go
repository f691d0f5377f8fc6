package upstream

import (
	"edgerouter/wire"
)

// structured leaves the response in ctx for the handlers around this one. A
// small body is copied; a longer one is read from the peer when they, or the
// server, read it.
func (c *call) structured(p *peer, pc *peerConn, up *uploader) (verdict, bool) {
	h, resp := &pc.head, &c.ctx.Response
	c.fillResponse(p, h)
	none := h.NoBody(c.head)
	if none || h.Length >= 0 && int64(pc.in.Len()) >= h.Length {
		now := wire.Now()
		p.end(outcomeOf(h.Status), now-c.now, now)
		if none {
			c.announceLength(h)
		} else {
			resp.SetBody(pc.in.Buffered()[:h.Length])
		}
		reusable := c.whole(pc)
		if up != nil && !up.end() {
			reusable = false
		}
		return verdict{done: true}, reusable
	}
	first := wire.Now()
	pc.unlimitedRead()
	b := &bodyStream{c: *c, p: p, pc: pc, up: up, first: first}
	b.c.buffer, b.c.body = buffer{}, nil
	resp.SetBodyStream(b, int(h.Length))
	return verdict{done: true, held: true}, false
}

// announceLength keeps the Content-Length of a response to HEAD.
func (c *call) announceLength(h *wire.ResponseHead) {
	if c.head && h.Length > 0 {
		c.ctx.Response.Header.SetContentLength(int(h.Length))
	}
}

// fillResponse puts status and fields into ctx.
func (c *call) fillResponse(p *peer, h *wire.ResponseHead) {
	resp := &c.ctx.Response
	resp.Header.SetNoDefaultContentType(true)
	resp.SetStatusCode(h.Status)
	if len(h.Reason) > 0 {
		resp.Header.SetStatusMessage(h.Reason)
	}
	c.x.Date = c.x.Date[:0]
	for i := range h.Fields {
		f := &h.Fields[i]
		switch f.Kind {
		case wire.Date:
			if !wire.AnyName(c.s.fixed.dropResponse, f.Name) {
				c.x.Date = append(c.x.Date[:0], f.Value...)
			}
		case wire.Ordinary, wire.ContentType, wire.Server, wire.Cookie, wire.Forwarding:
			if !c.advertises(h.Status, f) && !wire.AnyName(c.s.fixed.dropResponse, f.Name) {
				resp.Header.AddBytesKV(f.Name, f.Value)
			}
		}
	}
	if line := c.s.balancer.stickTo(p, c.sticky); line != nil {
		resp.Header.AddBytesV("Set-Cookie", line)
	}
	wire.EachLine(c.s.fixed.toClient, resp.Header.AddBytesKV)
}

// bodyStream is the body of a response that is read after the handler has
// returned. Close gives the peer's connection back.
type bodyStream struct {
	c      call
	p      *peer
	pc     *peerConn
	up     *uploader
	first  int64 // when the head came
	broken outcome
	closed bool
	again
}

// again is what was read of a stream and put back (wire.Unreader).
type again struct{ back []byte }

// Unread puts bytes back that were read.
func (a *again) Unread(p []byte) { a.back = append(append([]byte(nil), p...), a.back...) }

// take reads what was put back.
func (a *again) take(p []byte) (n int) {
	n = copy(p, a.back)
	if a.back = a.back[n:]; len(a.back) == 0 {
		a.back = nil
	}
	return n
}

func (b *bodyStream) Read(p []byte) (int, error) {
	if len(b.back) > 0 {
		return b.take(p), nil
	}
	n, err := b.pc.body.Read(p)
	if err != nil && !eof(err) && b.broken == outcomeOK {
		b.broken = b.c.brokeOff(b.p, b.pc.abandoned.Load(), b.up != nil && b.up.failure.Load() != nil, err)
	}
	return n, err
}

// Trailers makes it a wire.Trailing.
func (b *bodyStream) Trailers() []byte { return b.pc.body.Trailers() }

// Close may be called with the body unread; the connection is not kept then.
func (b *bodyStream) Close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	c, pc := &b.c, b.pc
	o := outcomeOf(pc.head.Status)
	switch {
	case b.broken != outcomeOK:
		o = b.broken
	case !pc.body.Done():
		o = outcomeCanceled
	}
	b.p.end(o, b.first-c.now, wire.Now())
	if b.p.gate != nil {
		b.p.gate.leave()
	}
	reusable := pc.body.Done() && pc.in.Empty() && !pc.head.Close
	if b.up != nil && !b.up.end() {
		reusable = false
	}
	c.part(pc, verdict{done: true}, reusable)
	c.deadline.stop()
	return nil
}
