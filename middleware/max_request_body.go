package middleware

import (
	"fmt"
	"io"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/wire"
)

// NewMaxRequestBody returns the wrapper of kind max_request_body. A request whose
// Content-Length is beyond opts.Bytes gets 413 at once, before 100 (Continue) is
// sent and before next sees it. A body of unknown length is counted while it is
// read, by next or by the server, without being held up or kept: reading beyond
// the limit fails with a wire.Error of status 413. What had gone to a backend by
// then is a request that broke off.
//
// A request that did not come over HTTP/1.1, whose body is a stream of unknown
// length that wants to be closed, gets 411: there is no standing between.
func NewMaxRequestBody(opts app.MaxRequestBodyOpts, _ Deps) (Wrapper, error) {
	limit := int64(opts.Bytes)
	if limit < 1 {
		return nil, fmt.Errorf("max_request_body_opts.bytes: %d is below 1", limit)
	}
	return func(next fasthttp.RequestHandler) fasthttp.RequestHandler {
		return func(ctx *fasthttp.RequestCtx) {
			x := wire.From(ctx)
			switch {
			case x != nil && x.Head.Length > limit,
				x == nil && int64(ctx.Request.Header.ContentLength()) > limit:
				wire.Fail(ctx, fasthttp.StatusRequestEntityTooLarge, bodyTooLarge)
				return
			case x != nil && x.Head.Chunked && !x.Body.Done():
				x.Body.Limit(limit, errBodyTooLarge)
			case x == nil && ctx.Request.IsBodyStream() && ctx.Request.Header.ContentLength() < 0:
				body := ctx.Request.BodyStream()
				if _, closes := body.(io.Closer); closes { // SetBodyStream would close it
					wire.Fail(ctx, fasthttp.StatusLengthRequired, "a length of the request's body is required")
					return
				}
				ctx.Request.SetBodyStream(&limitedReader{r: body, left: limit}, -1)
			}
			next(ctx)
		}
	}, nil
}

const bodyTooLarge = "the request's body is too large"

var errBodyTooLarge = &wire.Error{Status: fasthttp.StatusRequestEntityTooLarge, Reason: bodyTooLarge}

// limitedReader is the same for a body that did not come over HTTP/1.1.
type limitedReader struct {
	r    io.Reader
	left int64
}

// Read fails beyond the limit.
func (l *limitedReader) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, errBodyTooLarge
	}
	return n, err
}
