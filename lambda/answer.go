package lambda

import (
	"errors"
	"fmt"
	"io"

	"edgerouter/wire"
)

// copiedBody is up to which size a body is copied into ctx, so that its memory is
// free again before a slow client has read it.
const copiedBody = wire.CopyBufferSize

// buffered reads the payload of an Invoke and makes the response of it.
func (c *call) buffered(k *conn) verdict {
	f := c.f
	if coldStart(k.head.Get("x-amz-log-result")) {
		f.figures.coldStarts.Inc()
	}
	functionError := string(k.head.Get("x-amz-function-error"))
	payload, n, v := c.readPayload(k)
	if v.status != 0 || v.left {
		payload.release()
		c.drop(k)
		return v
	}
	c.keep(k)
	if functionError != "" {
		v := c.functionFailed(&FunctionError{functionError, clip(payload.b[:n], maxLogged)})
		payload.release()
		return v
	}
	c.response.MultiValue = f.multiValueHeaders()
	if err := c.response.Parse(payload.b[:n], f.place.Format); err != nil {
		f.figures.functionErrors.Inc()
		payload.release()
		return c.notOfFormat(err)
	}
	c.answer()
	resp := &c.in.ctx.Response
	if body := c.response.Body; len(body) <= copiedBody {
		resp.SetBody(body)
		payload.release()
	} else {
		resp.SetBodyStream(&payloadBody{rest: body, memory: payload}, len(body))
	}
	return verdict{done: true}
}

func (c *call) notOfFormat(err error) verdict {
	return verdict{
		status: 502, reason: "the function returned something that is not of payload format " + string(c.f.place.Format),
		hint: "see docs/lambda.md, and payload_format_version of the definition", err: err,
	}
}

// functionFailed tells the log what the function said, and the client nothing.
func (c *call) functionFailed(e *FunctionError) verdict {
	c.f.figures.functionErrors.Inc()
	v := verdict{status: 502, reason: "the function failed", hint: "look at the function's log", err: e}
	if e.TimedOut() {
		v.status, v.reason, v.hint = 504, "the function timed out", "raise the function's own time-out, or make it faster"
	}
	return v
}

// readPayload reads the whole payload into memory out of the budget. It waits for
// memory: the function has run, and what it answered should not be lost.
func (c *call) readPayload(k *conn) (b buffer, n int, v verdict) {
	length := k.head.Length
	if length > MaxPayload {
		return b, 0, tooLong(length)
	}
	first := int(length)
	if first < 0 {
		first = classes[2]
	}
	if b, v = c.payloadBuffer(first); v.status != 0 || v.left {
		return b, 0, v
	}
	for {
		if length >= 0 && n == int(length) {
			return b, n, verdict{}
		}
		if n == len(b.b) {
			if n > MaxPayload {
				return b, n, tooLong(int64(n))
			}
			if !b.grow(min(4*n, classes[len(classes)-1]), n) {
				return b, n, noMemory()
			}
		}
		room := b.b[n:]
		if length >= 0 {
			room = room[:int(length)-n]
		}
		m, err := k.body.Read(room)
		n += m
		switch {
		case err == io.EOF && n > MaxPayload:
			return b, n, tooLong(int64(n))
		case err == io.EOF:
			return b, n, verdict{}
		case err == nil:
		case k.aborted.Load():
			return b, n, verdict{left: true}
		case timedOut(err):
			return b, n, verdict{status: 504, reason: fmt.Sprintf("the function's answer did not come within %v (timeout)", c.f.timeout), err: err}
		default:
			return b, n, verdict{status: 502, reason: "the connection to the Lambda API broke in the middle of the function's answer", err: err}
		}
	}
}

func tooLong(n int64) verdict {
	return verdict{status: 502, reason: "the function's answer is larger than 6 MB (6,291,556 bytes), the limit of Lambda", hint: "use invoke_mode response_stream, or an object store", err: fmt.Errorf("%d bytes", n)}
}

// payloadBuffer takes memory, or waits for it as long as the invocation may take.
func (c *call) payloadBuffer(n int) (buffer, verdict) {
	m := c.f.s.memory
	if b, ok := m.newBuffer(n); ok {
		return b, verdict{}
	}
	ctx, cancel := c.bound()
	defer cancel()
	b, ok := m.waitBuffer(n, ctx.Done())
	if !ok && c.left() {
		return b, verdict{left: true}
	}
	if !ok {
		return b, noMemory()
	}
	return b, verdict{}
}

// answer puts the head of the response into ctx.
func (c *call) answer() {
	r, resp := &c.response, &c.in.ctx.Response
	resp.Header.SetNoDefaultContentType(true)
	resp.SetStatusCode(r.Status)
	resp.Header.SetContentTypeBytes(r.ContentType)
	if c.in.x != nil {
		c.in.x.Date = c.in.x.Date[:0]
	}
	for _, f := range r.Fields {
		if c.in.x != nil && wire.KindOf(f.Name) == wire.Date {
			c.in.x.Date = append(c.in.x.Date[:0], f.Value...)
			continue
		}
		if !c.advertises(f) {
			resp.Header.AddBytesKV(f.Name, f.Value)
		}
	}
}

// payloadBody is a body in memory of the budget, which Close gives back.
type payloadBody struct {
	rest   []byte
	memory buffer
}

func (b *payloadBody) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// Close may be called with the body unread.
func (b *payloadBody) Close() error {
	b.rest = nil
	b.memory.release()
	return nil
}

// multiValueHeaders reports whether the function's responses have their fields in
// multiValueHeaders alone.
func (f *Function) multiValueHeaders() bool { return f.place.Format == ALB && f.place.MultiValue }

// stream waits for the head of a streamed response and leaves the body to be
// read.
func (c *call) stream(k *conn, began int64) verdict {
	f := c.f
	s := &streamBody{c: c, k: k, began: began, out: newOutput(&k.body), memory: wire.GetCopyBuffer()}
	kind, typ := kindOf(k.head.Get("content-type"), k.head.Get("x-amzn-remapped-content-type"))
	c.response.MultiValue = f.multiValueHeaders()
	rest, err := c.response.readHead(s.out, kind, typ, s.memory[:preludeBuffer])
	if err != nil {
		v := c.noHead(k, err)
		s.tally()
		wire.PutCopyBuffer(s.memory)
		c.drop(k)
		return v
	}
	c.answer()
	if s.rest = rest; len(rest) == 0 {
		wire.PutCopyBuffer(s.memory)
		s.memory = nil
	}
	k.until(began, began+int64(f.whole))
	c.in.ctx.Response.SetBodyStream(s, -1)
	return verdict{done: true, held: true}
}

// noHead judges a stream that failed before its head.
func (c *call) noHead(k *conn, err error) verdict {
	var function *FunctionError
	var format *FormatError
	switch {
	case k.aborted.Load():
		return verdict{left: true}
	case errors.As(err, &function):
		return c.functionFailed(function)
	case errors.As(err, &format):
		c.f.figures.functionErrors.Inc()
		return c.notOfFormat(err)
	case timedOut(err):
		return verdict{status: 504, reason: fmt.Sprintf("the function's first bytes did not come within %v (timeout)", c.f.timeout), err: err}
	}
	return verdict{status: 502, reason: "the stream of the Lambda API broke before the function's first bytes", err: err}
}

// streamBody is the body of a streamed response. It is read after the handler has
// returned; Close ends the invocation.
type streamBody struct {
	c      *call
	k      *conn
	out    *output
	memory *[wire.CopyBufferSize]byte // what rest is in
	rest   []byte
	began  int64
	err    error
	closed bool
}

func (s *streamBody) Read(p []byte) (int, error) {
	if len(s.rest) > 0 {
		n := copy(p, s.rest)
		if s.rest = s.rest[n:]; len(s.rest) == 0 {
			wire.PutCopyBuffer(s.memory)
			s.memory = nil
		}
		return n, nil
	}
	n, err := s.out.Read(p)
	if err != nil && err != io.EOF && s.err == nil {
		s.err = err
		s.broke(err)
	}
	return n, err
}

// broke tells of a stream that broke after its head.
func (s *streamBody) broke(err error) {
	f := s.c.f
	if s.k.aborted.Load() {
		return
	}
	f.figures.broken.Inc()
	reason := "the stream of the Lambda API broke in the middle of the response"
	var function *FunctionError
	switch {
	case errors.As(err, &function):
		f.figures.functionErrors.Inc()
		reason = "the function failed in the middle of its response"
	case errors.Is(err, errTooLong):
		reason = "the function streamed more than 200 MB"
	case timedOut(err):
		reason = fmt.Sprintf("the function streamed for longer than %v", f.whole)
	}
	f.log.Warn().Err(err).Bytes("request_id", s.c.in.RequestID).Msg(reason)
}

// tally counts what is known at the end of a stream.
func (s *streamBody) tally() {
	s.c.f.figures.took(wire.Now() - s.began)
	if coldStart(s.out.logTail) {
		s.c.f.figures.coldStarts.Inc()
	}
}

// Close may be called with the body unread.
func (s *streamBody) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	c, k := s.c, s.k
	if s.memory != nil {
		wire.PutCopyBuffer(s.memory)
		s.memory, s.rest = nil, nil
	}
	s.tally()
	if s.out.err == io.EOF && s.out.m.in.Buffered() == 0 && k.body.TryEnd() {
		c.keep(k)
	} else {
		c.drop(k)
	}
	c.release()
	x := c.in.x
	v := verdict{done: true, left: k.aborted.Load() || s.out.err == nil && x != nil && x.Broken}
	c.settle(&v)
	return nil
}
