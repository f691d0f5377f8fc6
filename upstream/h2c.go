package upstream

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"

	"edgerouter/wire"
)

// h2call is one attempt over HTTP/2. The handler's goroutine waits for the
// response while another one is in net/http; what comes before the response, and
// what must be done on the client's connection, comes back through channels, so
// that only one goroutine ever writes to the client.
type h2call struct {
	c        call // as it was when the attempt began
	p        *peer
	conn     *h2conn
	canceler wire.Canceler // itself, at an address that lasts
	cancel   context.CancelFunc
	upload   *h2upload   // of a streamed body
	small    *h2small    // or of one that was read before
	interims chan []byte // 1xx responses for the client
	first    int64       // when the response's head came

	abandoned atomic.Bool // canceled: the client has gone, or the time is over
	late      atomic.Bool // canceled: the peer did not answer in time
	written   atomic.Bool // the request's head has been sent
	flooded   atomic.Bool // too many interim responses

	mu       sync.Mutex
	timer    *time.Timer
	answered bool
}

// Cancel makes it a wire.Canceler.
func (r *h2call) Cancel() {
	r.abandoned.Store(true)
	r.cancel()
}

// attemptH2C is attempt for a peer that speaks HTTP/2 in plain text.
func (c *call) attemptH2C(p *peer) verdict {
	ctx, cancel := context.WithCancel(context.Background())
	r := &h2call{c: *c, p: p, cancel: cancel, interims: make(chan []byte, maxInterims)}
	r.canceler = r
	c.x.OnGone(&r.canceler)
	if !c.deadline.watch(r) {
		r.Cancel()
	}
	v := r.run(ctx)
	if v.held {
		c.buffer, c.body = buffer{}, nil // the peer may still be taking it
		return v
	}
	r.part()
	*c = r.c
	return v
}

// part ends the attempt.
func (r *h2call) part() {
	r.cancel()
	if r.small != nil {
		r.small.end()
	}
	r.c.x.Finish(&r.canceler)
	r.c.deadline.release()
}

func (r *h2call) run(ctx context.Context) verdict {
	c := &r.c
	var err error
	if r.conn, err = r.p.conns.h2.get(ctx); err != nil {
		return r.noPlace(err)
	}
	c.now = wire.Now()
	if c.streamed && c.x.Proceed() != nil {
		r.conn.Release()
		r.p.end(outcomeCanceled, 0, c.now)
		return c.canceled()
	}
	res, err := r.roundTrip(r.request(ctx))
	r.answer()
	if err != nil {
		return r.failed(err)
	}
	r.first = wire.Now()
	r.conn.used.Store(true)
	h := h2Head(res)
	if next := c.elsewhere(r.p, res.StatusCode); next != nil {
		r.end(res)
		r.p.end(outcomeFailed, 0, r.first)
		return verdict{next: next, status: res.StatusCode, reason: "the peer answered that it cannot serve"}
	}
	if !c.direct {
		return r.structured(res, h)
	}
	o := r.relay(res, h)
	r.end(res)
	r.p.end(o, r.first-c.now, wire.Now())
	return verdict{done: true}
}

// noPlace judges an attempt that came to no connection.
func (r *h2call) noPlace(err error) verdict {
	switch {
	case err == errQueueFull || err == errQueueTimeout || err == errPeerLeft:
		r.p.end(outcomeCanceled, 0, wire.Now())
		v := verdict{status: 503, reason: "no place on a connection to the peer (max_connections, max_pending, pending_timeout)", err: err}
		switch err {
		case errQueueFull:
			v.retry = freePeer
		case errPeerLeft:
			v.retry = presentPeer
		}
		return v
	case r.abandoned.Load() && !r.c.deadline.passed():
		r.p.end(outcomeCanceled, 0, wire.Now())
		return r.c.canceled()
	}
	return r.c.notConnected(r.p, err)
}

// request makes the HTTP/2 request out of the head that an HTTP/1.1 peer would
// get, so that every option means the same to both.
func (r *h2call) request(ctx context.Context) *http.Request {
	c := &r.c
	msg := c.appendRequest(c.x.Scratch[:0], r.p)
	c.x.Scratch = msg
	end := bytes.IndexByte(msg, '\n')
	target := msg[len(c.method)+1 : end-len(" HTTP/1.1\r")]
	req := (&http.Request{
		Method:     string(c.method),
		URL:        &url.URL{Scheme: "http", Host: r.p.addr.Authority, Opaque: string(target)},
		Header:     make(http.Header, len(c.x.Head.Fields)+8),
		ProtoMajor: 2,
	}).WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteHeaders:   func() { r.written.Store(true) },
		Got1xxResponse: r.interim,
	}))
	var announced []string
	wire.EachLine(msg[end+1:], func(name, value []byte) {
		switch wire.KindOf(name) {
		case wire.Host:
			req.Host = string(value)
		case wire.ContentLength, wire.TransferEncoding, wire.Connection, wire.Upgrade:
		case wire.Trailer:
			announced = append(announced, string(value))
		default:
			req.Header.Add(string(name), string(value))
		}
	})
	if bytes.HasPrefix(target, []byte("//")) {
		req.URL.Opaque = "//" + req.Host + string(target) // else it would be read as an authority
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header["User-Agent"] = []string{""} // none, instead of net/http's own
	}
	switch {
	case c.streamed:
		r.upload = &h2upload{r: r, x: c.x, closed: make(chan struct{}), ended: make(chan struct{})}
		req.Body, req.ContentLength = r.upload, c.length
		if c.length < 0 && c.trailers.pass {
			req.Trailer = http.Header{}
			for _, name := range strings.Split(strings.Join(announced, ","), ",") {
				if name = strings.TrimSpace(name); httpguts.ValidTrailerHeader(name) && isToken(name) {
					req.Trailer[http.CanonicalHeaderKey(name)] = nil
				}
			}
			r.upload.trailer = req.Trailer
		}
	case len(c.body) > 0:
		r.small = &h2small{rest: c.body}
		req.Body, req.ContentLength = r.small, int64(len(c.body))
	}
	return req
}

// roundTrip waits for the response's head and serves the client meanwhile.
func (r *h2call) roundTrip(req *http.Request) (res *http.Response, err error) {
	r.mu.Lock()
	r.timer = time.AfterFunc(r.c.s.times.header, r.expire)
	r.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		res, err = r.conn.RoundTrip(req)
	}()
	var closed <-chan struct{}
	if r.upload != nil {
		closed = r.upload.closed
	}
	for {
		select {
		case b := <-r.interims:
			if r.c.x.Interim(b) != nil {
				r.Cancel()
			}
		case <-closed:
			// net/http wants no more of the body, but its goroutine may be
			// waiting for the client.
			closed = nil
			r.upload.end()
		case <-done:
			for len(r.interims) > 0 && err == nil {
				r.c.x.Interim(<-r.interims)
			}
			return res, err
		}
	}
}

// expire ends an attempt whose response does not come.
func (r *h2call) expire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answered {
		return
	}
	r.late.Store(true)
	r.cancel()
}

// wait has the peer's time to answer begin anew; pause stops it, while a body is
// waited for that the client has not sent yet.
func (r *h2call) wait() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.answered {
		r.timer.Reset(r.c.s.times.header)
	}
}

func (r *h2call) pause() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.timer.Stop()
}

// answer ends the wait for the head.
func (r *h2call) answer() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answered = true
	r.timer.Stop()
}

// hasAnswer reports whether the response's head has come.
func (r *h2call) hasAnswer() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.answered
}

// interim runs in the connection's goroutine, which must not wait for a client.
func (r *h2call) interim(status int, header textproto.MIMEHeader) error {
	if status == 100 {
		return nil
	}
	h := wire.ResponseHead{Status: status, Reason: []byte(http.StatusText(status))}
	addFields(&h, http.Header(header))
	b := r.c.x.AppendInterim(nil, &h, r.c.s.fixed.rules)
	select {
	case r.interims <- b:
		return nil
	default:
		r.flooded.Store(true)
		return errManyInterims
	}
}

// h2Error is what net/http's HTTP/2 errors of one stream can be read into.
type h2Error struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

// Error makes it an error.
func (h2Error) Error() string { return "HTTP/2 stream error" }

// refusedStream is REFUSED_STREAM (RFC 9113 section 7): the peer did nothing.
const refusedStream = 7

// goneAway is net/http's error for a stream beyond the last one that a GOAWAY
// says was seen (RFC 9113 section 6.8), and unusable that for a connection that
// ended before the request began. They have no other name.
const (
	goneAway = "http2: Transport received Server's graceful shutdown GOAWAY"
	unusable = "http2: client conn not usable"
)

// failed judges an attempt without a response.
func (r *h2call) failed(err error) verdict {
	c, p, now := &r.c, r.p, wire.Now()
	if r.upload != nil {
		failure := r.upload.failure.Load() // before the upload is ended, which makes it fail too
		r.upload.end()
		if failure != nil {
			p.end(outcomeCanceled, 0, now)
			c.x.Close = true
			return verdict{status: bodyStatus(*failure), reason: "the request's body did not come whole", err: *failure}
		}
	}
	untouched := c.replayable() || r.upload != nil && !r.upload.began
	fresh := !r.conn.used.Load()
	var stream h2Error
	switch {
	case c.deadline.passed():
		return c.overdue(p, now, r.upload == nil || r.upload.whole.Load(), err)
	case r.abandoned.Load():
		p.end(outcomeCanceled, 0, now)
		return c.canceled()
	case r.late.Load():
		p.end(outcomeFailed, 0, now)
		return verdict{status: 504, reason: "the peer did not answer in time (timeouts.response_header)", err: err}
	case r.flooded.Load():
		p.end(outcomeFailed, 0, now)
		return verdict{status: 502, reason: "the peer sent a malformed response", err: err}
	case errors.As(err, &stream) && stream.Code == refusedStream:
		p.end(outcomeFailed, 0, now)
		v := verdict{status: 502, reason: "the peer refused the request (REFUSED_STREAM)", err: err}
		if c.s.retryOn.refused && (r.upload == nil || untouched) {
			v.retry = anyPeer
		}
		return v
	case !r.written.Load() && r.conn.Err() == nil:
		p.end(outcomeCanceled, 0, now)
		return verdict{status: 502, reason: "the request cannot be sent to the peer over HTTP/2", err: err}
	case err.Error() == goneAway || err.Error() == unusable || !r.written.Load():
		// The connection ended before the request was looked at.
		if (r.upload == nil || untouched) && c.s.retryOn.refused {
			if !fresh && c.mistrust < mistrustAll {
				return verdict{again: true}
			}
			p.end(outcomeFailed, 0, now)
			return verdict{status: 502, retry: anyPeer, reason: "the peer closed the connection without looking at the request (GOAWAY)", err: err}
		}
	case !fresh && c.replayable() && c.mistrust < mistrustAll && r.conn.Err() != nil:
		return verdict{again: true}
	}
	p.end(outcomeFailed, 0, now)
	v := verdict{status: 502, reason: "the peer closed the connection before it answered", err: err}
	if c.replayable() && c.s.retryOn.reset {
		v.retry = anyPeer
	}
	return v
}
