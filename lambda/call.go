package lambda

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/wire"
)

// call is one request and the invocations to have it answered.
type call struct {
	f        *Function
	in       incoming
	direct   bool // the request is read off the wire
	asking   bool // it is Advertisement's
	builder  Builder
	event    buffer
	size     int // of the event in its buffer
	deadline int64
	response Response
	scratch  []byte // head of the request to the API
	mistrust bool   // a kept connection was closed when it was taken

	done chan struct{} // closed when the client has gone
	self wire.Canceler // this call, at an address that lasts
	// watched: Cancel may be called.
	watched bool
	mu      sync.Mutex
	gone    bool
	conn    *conn // what waits for the API just now
}

var calls = sync.Pool{New: func() any {
	c := &call{done: make(chan struct{})}
	c.self = c
	return c
}}

// Cancel is called when the client has gone away.
func (c *call) Cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return
	}
	c.gone = true
	close(c.done)
	if c.conn != nil {
		c.conn.abort()
	}
}

// attach says what Cancel has to end; false: it was called already.
func (c *call) attach(k *conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = k
	return !c.gone
}

func (c *call) left() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gone
}

// verdict is what an attempt came to.
type verdict struct {
	done   bool // the response is in ctx
	held   bool // and its body is still to come: the call goes on
	left   bool // there is no client any more
	again  again
	status int
	reason string // for the log
	hint   string // what to do, for the log
	err    error
}

// serve tells a request's way: event, place, attempts.
func (f *Function) serve(ctx *fasthttp.RequestCtx, x *wire.Exchange, direct bool) {
	c := calls.Get().(*call)
	c.f, c.direct, c.asking = f, direct, false
	c.in.understand(ctx, x, direct)
	v := c.makeEvent()
	if v.status == 0 {
		if c.watched = x != nil; c.watched {
			x.OnGone(&c.self)
		}
		v = c.invoke()
	}
	if v.held {
		return
	}
	c.event.release()
	c.settle(&v)
}

// settle ends a call that has nothing more to read.
func (c *call) settle(v *verdict) {
	x := c.in.x
	// Where Finish tells that Cancel was or will be called, it may still be at
	// work on this call, which is left to the collector then.
	gone := c.watched && !x.Finish(&c.self)
	c.watched = false
	switch {
	case gone || v.left:
		c.f.figures.canceled.Inc()
		if x != nil && x.Status == 0 {
			x.Status, x.Responded = statusClientGone, true
		}
		if x != nil {
			x.Broken = true
		}
		if v.done && !v.held {
			c.in.ctx.Response.CloseBodyStream()
		}
	case !v.done:
		c.fail(v)
	}
	if !gone {
		c.recycle()
	}
}

// statusClientGone is what logs and metrics show for a client that left.
const statusClientGone = 499

// recycle makes the call ready for another request.
func (c *call) recycle() {
	if c.left() {
		return
	}
	in := &c.in
	in.ctx, in.x, in.body, in.replaced = nil, nil, nil, nil
	c.f = nil
	calls.Put(c)
}

// The words of answers, which say nothing of the function.
func publicReason(status int) string {
	switch status {
	case 400:
		return "the request's body did not come whole"
	case 408:
		return "the request's body did not come in time"
	case 413:
		return "the request is too large for this application"
	case 503:
		return "this application cannot take the request just now"
	case 504:
		return "the application did not answer in time"
	}
	return "the application could not be reached or did not answer properly"
}

// fail tells log and client.
func (c *call) fail(v *verdict) {
	e := c.f.log.Warn()
	if v.status < 500 {
		e = c.f.log.Debug()
	}
	if v.hint != "" {
		e.Str("hint", v.hint)
	}
	e.Err(v.err).Int("status", v.status).Bytes("request_id", c.in.RequestID).Msg(v.reason)
	wire.Fail(c.in.ctx, v.status, publicReason(v.status))
	if v.status == 503 {
		c.in.ctx.Response.Header.Set("Retry-After", "1")
	}
}

// tooLarge is the answer to an event beyond MaxPayload.
func tooLarge(size int64) verdict {
	return verdict{status: 413, reason: "the event would be larger than 6 MB (6,291,556 bytes), the limit of Lambda", err: fmt.Errorf("%d bytes", size)}
}

func noMemory() verdict {
	return verdict{status: 503, reason: "the memory for events and payloads is used up", hint: "see --lambda-memory and er_lambda_memory_bytes"}
}

// makeEvent reads the body straight into the event and codes it there.
func (c *call) makeEvent() verdict {
	in, m := &c.in, c.f.s.memory
	if in.length > MaxPayload {
		return tooLarge(in.length)
	}
	// What the whole will take, so that nobody sends megabytes for a 503.
	expected := int(max(in.length, 0))
	if !in.text {
		expected = (expected + 2) / 3 * 4
	}
	if expected > MaxPayload {
		return tooLarge(int64(expected))
	}
	if expected > classes[0] && !m.fits(classes[classOf(expected)]) {
		return noMemory()
	}
	// Heads are a few times as long as what came, at most: by escapes and by
	// values that are told twice.
	c.scratch = c.builder.AppendHead(c.scratch[:0], &c.f.place, &in.Request)
	head := len(c.scratch)
	if head > MaxPayload {
		return tooLarge(int64(head))
	}
	at := head + BodyGap
	var ok bool
	if c.event, ok = m.newBuffer(at + min(expected, 64<<10) + len(tailBase64)); !ok {
		return noMemory()
	}
	copy(c.event.b, c.scratch)
	n, v := c.readBody(at)
	if v.status != 0 {
		return v
	}
	size := Finished(head, c.event.b[at:n], in.text)
	if size > MaxPayload {
		return tooLarge(int64(size))
	}
	if !c.event.grow(max(size, head+64), n) {
		return noMemory()
	}
	c.size = len(Finish(c.event.b[:n], head, c.f.place.Format, in.text))
	return verdict{}
}

// readBody puts the raw body at that place of the event and returns where it
// ends.
func (c *call) readBody(at int) (n int, v verdict) {
	in := &c.in
	n = at
	if in.body == nil {
		if len(in.replaced) > MaxPayload {
			return n, tooLarge(int64(len(in.replaced)))
		}
		if !c.event.grow(at+len(in.replaced), at) {
			return n, noMemory()
		}
		return n + copy(c.event.b[at:], in.replaced), v
	}
	for left := in.length; left != 0; {
		if n == len(c.event.b) {
			if n > MaxPayload {
				return n, tooLarge(int64(n))
			}
			if !c.event.grow(min(2*n, classes[len(classes)-1]), n) {
				return n, noMemory()
			}
		}
		room := c.event.b[n:]
		if left > 0 && int64(len(room)) > left {
			room = room[:left]
		}
		m, err := in.body.Read(room)
		n += m
		if left > 0 {
			left -= int64(m)
		}
		if err == io.EOF && left <= 0 {
			break
		}
		if err != nil && left != 0 {
			if in.x != nil {
				in.x.Close = true
			}
			return n, verdict{status: bodyStatus(err), reason: "the request's body could not be read", err: err}
		}
	}
	if n > MaxPayload {
		return n, tooLarge(int64(n))
	}
	return n, v
}

// bodyStatus is the answer to a client whose body failed.
func bodyStatus(err error) int {
	var malformed *wire.Error
	switch {
	case errors.As(err, &malformed):
		return malformed.Status
	case timedOut(err):
		return http.StatusRequestTimeout
	}
	return http.StatusBadRequest
}

func timedOut(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// bound is a context for what may take long, which ends with the client or the
// deadline.
func (c *call) bound() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithDeadline(context.Background(), wire.At(c.deadline))
	go func() {
		select {
		case <-c.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// pause waits before another attempt; false: the client left, or the deadline
// comes first.
func (c *call) pause(d time.Duration) bool {
	if wire.Now()+int64(d) >= c.deadline {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.done:
		return false
	}
}

// retryBudget bounds further attempts, so that an API in trouble is not given a
// multiple of its load: each takes five tokens, and each success gives one back.
type retryBudget struct{ tokens atomic.Int64 }

const (
	retryTokens = 500
	retryCost   = 5
)

func (b *retryBudget) fill() { b.tokens.Store(retryTokens) }

func (b *retryBudget) take() bool {
	if b.tokens.Add(-retryCost) >= 0 {
		return true
	}
	b.tokens.Add(retryCost)
	return false
}

func (b *retryBudget) success() {
	if b.tokens.Load() < retryTokens {
		b.tokens.Add(1)
	}
}
