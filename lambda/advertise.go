package lambda

import (
	"context"
	"net"

	"github.com/valyala/fasthttp"

	"edgerouter/wire"
)

// Advertised is told of a response that carries the header turbocharger, with
// its value, before the response goes on. direct says where the request is
// found: on the wire or in ctx. The value is valid until it returns.
type Advertised func(ctx *fasthttp.RequestCtx, direct bool, value []byte)

const advertisement = "turbocharger"

// advertises reports whether a field is the advertisement, which is for the edge
// alone, and hands its value on.
func (c *call) advertises(f Field) bool {
	if len(f.Name) != len(advertisement) || !wire.EqualFold(f.Name, advertisement) {
		return false
	}
	if c.f.advertised != nil && !c.asking && c.response.Status < 400 {
		c.f.advertised(c.in.ctx, c.direct, f.Value)
	}
	return !c.asking
}

// Advertisement asks the function with HEAD on a path, as for a client that asked
// for host, and returns the status and the value of the header turbocharger. It is
// an invocation like others: it takes a place of max_concurrency, and is billed.
// An error says that the function did not answer: it could not be called, failed,
// or returned what is no response.
func (f *Function) Advertisement(ctx context.Context, host, path string, secure bool) (status int, value string, err error) {
	var room fasthttp.RequestCtx
	req := &fasthttp.Request{}
	req.Header.SetMethod(fasthttp.MethodHead)
	req.Header.SetHost(host)
	req.Header.SetUserAgent("edgerouter-turbocharger")
	req.Header.Set("X-Forwarded-Host", host)
	proto := "http"
	if secure {
		proto = "https"
	}
	req.Header.Set("X-Forwarded-Proto", proto)
	req.SetRequestURI(path)
	room.Init(req, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, nil)

	c := calls.Get().(*call)
	c.f, c.direct, c.asking = f, false, true
	c.in.understand(&room, nil, false)
	v := c.makeEvent()
	if v.status == 0 {
		canceled := make(chan struct{})
		stop := context.AfterFunc(ctx, func() {
			c.Cancel()
			close(canceled)
		})
		v = c.invoke()
		if !stop() {
			<-canceled // it is at work on this call still
		}
	}
	switch {
	case v.done:
		status, value = room.Response.StatusCode(), string(room.Response.Header.Peek(advertisement))
	case v.left:
		err = context.Cause(ctx)
	default:
		err = &unanswered{path: path, verdict: v}
	}
	if v.held {
		room.Response.CloseBodyStream() // settles the call
		return status, value, err
	}
	c.event.release()
	if v.done {
		room.Response.CloseBodyStream()
	}
	c.recycle()
	return status, value, err
}

// unanswered is a verdict as an error.
type unanswered struct {
	path string
	verdict
}

func (u *unanswered) Error() string {
	text := "HEAD " + u.path + ": " + u.reason
	if u.err != nil {
		text += ": " + u.err.Error()
	}
	return text
}

func (u *unanswered) Unwrap() error { return u.err }
