package lambda

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"edgerouter/wire"
)

// Further attempts.
const (
	maxAttempts = 3
	firstPause  = 40 * time.Millisecond
	maxRefusal  = 64 << 10
	maxUnasked  = 3 // connections that were closed when they were taken
)

// invoke waits for a place and has the function called.
func (c *call) invoke() verdict {
	f := c.f
	if err := f.gate.enter(c.done); err != nil {
		if err == errLeft {
			return verdict{left: true}
		}
		return verdict{status: 503, reason: "too many requests wait for this function", hint: "raise max_concurrency if the function's own limit allows it", err: err}
	}
	now := wire.Now()
	c.deadline = now + int64(f.timeout)
	f.figures.inFlight.Add(1)
	v := c.attempts()
	if !v.held {
		c.release()
	}
	return v
}

// release gives the place back.
func (c *call) release() {
	c.f.figures.inFlight.Add(-1)
	c.f.gate.leave()
}

// attempts loops over attempts; each tells whether another may follow.
func (c *call) attempts() verdict {
	pause := firstPause
	stale := 0
	c.mistrust = false
	for n := 1; ; n++ {
		v := c.attempt()
		switch {
		case v.done:
			c.f.budget.success()
			return v
		case v.left || c.left():
			return verdict{left: true}
		case errors.Is(v.err, errStale) && stale < maxUnasked:
			stale++
			n--
			c.mistrust = true
			continue
		}
		if v.again == never || v.again == ifIdempotent && !c.in.idempotent || n == maxAttempts || !c.f.budget.take() {
			return v
		}
		// Full jitter, so that those who were throttled together do not come back
		// together.
		if !c.pause(pause/2 + rand.N(pause)) {
			if c.left() {
				return verdict{left: true}
			}
			return v
		}
		pause *= 3
		c.f.figures.retries.Inc()
		c.f.log.Debug().Err(v.err).Bytes("request_id", c.in.RequestID).Msg("trying again: " + v.reason)
	}
}

// errStale is a kept connection that turned out to be closed before anything was
// sent, or after, for a request that may be repeated.
var errStale = errors.New("the connection had been closed")

// attempt calls the function once.
func (c *call) attempt() verdict {
	f := c.f
	key, err := f.credentials.get(c.bound, time.Now())
	if err != nil {
		return verdict{status: 502, reason: "this node has no AWS credentials", hint: hintCredentials, err: err}
	}
	k, v := c.connect()
	if k == nil {
		return v
	}
	began := wire.Now()
	k.until(began, c.deadline)
	k.in.AcquireLarge()
	payload := c.event.b[:c.size]
	c.scratch = f.route.appendRequest(c.scratch[:0], key, payload, c.in.trace, time.Now())
	f.figures.invocations.Inc()
	var sent bool
	c.scratch, sent, err = k.send(c.scratch, payload)
	if err == nil {
		err = k.readHead()
	}
	if err != nil {
		v := c.unanswered(k, sent, err)
		c.drop(k)
		return v
	}
	if k.head.Status != 200 {
		return c.refused(k, key)
	}
	// Whatever comes now, the function was called, and the event is not needed
	// any more.
	c.event.release()
	if f.streamed {
		return c.stream(k, began)
	}
	v = c.buffered(k)
	f.figures.took(wire.Now() - began)
	return v
}

// connect takes a connection or opens one.
func (c *call) connect() (*conn, verdict) {
	e := c.f.endpoint
	k := e.take(wire.Now(), c.in.idempotent && !c.mistrust)
	if k == nil {
		ctx, cancel := c.bound()
		defer cancel()
		var err error
		if k, err = e.dial(ctx); err != nil {
			v := verdict{status: 502, again: always, reason: "connecting to the Lambda API at " + e.addr + " failed", hint: "check the network, and AWS_ENDPOINT_URL_LAMBDA if it is set", err: err}
			if timedOut(err) || ctx.Err() != nil {
				v.status, v.reason = 504, "connecting to the Lambda API at "+e.addr+" took too long"
			}
			return nil, v
		}
	}
	if !c.attach(k) {
		c.drop(k)
		return nil, verdict{left: true}
	}
	return k, verdict{}
}

// drop closes a connection.
func (c *call) drop(k *conn) {
	c.attach(nil)
	k.socket.Close()
	k.in.Release()
}

// keep puts a connection back if it can be used again.
func (c *call) keep(k *conn) {
	if !k.reusable() {
		c.drop(k)
		return
	}
	c.attach(nil)
	c.f.endpoint.put(k, wire.Now())
}

// unanswered judges an attempt that failed before there was a response.
func (c *call) unanswered(k *conn, sent bool, err error) verdict {
	var malformed *wire.Error
	switch {
	case k.aborted.Load():
		return verdict{left: true}
	case timedOut(err):
		return verdict{status: 504, reason: fmt.Sprintf("the function did not answer within %v (timeout)", c.f.timeout), err: err}
	case errors.As(err, &malformed):
		return verdict{status: 502, reason: "the Lambda API sent a malformed response", err: err}
	case k.used && k.in.Empty() && (!sent || c.in.idempotent):
		v := verdict{status: 502, again: ifIdempotent, reason: "the connection to the Lambda API was closed", err: fmt.Errorf("%w: %w", errStale, err)}
		if !sent {
			v.again = always
		}
		return v
	case !sent:
		return verdict{status: 502, again: always, reason: "the connection to the Lambda API broke before the request was sent", err: err}
	}
	return verdict{status: 502, again: ifIdempotent, reason: "the connection to the Lambda API broke after the request was sent; the function may have run", err: err}
}

// refused reads an answer of the API that is not the function's.
func (c *call) refused(k *conn, key *signing) verdict {
	f := c.f
	body, err := io.ReadAll(io.LimitReader(&k.body, maxRefusal))
	status, typ := k.head.Status, string(k.head.Get("x-amzn-errortype"))
	if err != nil {
		c.drop(k)
	} else {
		c.keep(k)
	}
	e := readRefusal(status, []byte(typ), body)
	t := treat(e)
	if t.status == 503 && t.again == always {
		f.figures.throttles.Inc()
	}
	if e.expired() {
		// Refused for its signature, it did not run: once more with others.
		t.again = always
		f.credentials.refresh(key)
	}
	return verdict{status: t.status, again: t.again, reason: "the Lambda API refused the invocation", hint: t.hint, err: e}
}
