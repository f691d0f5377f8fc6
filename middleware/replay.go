package middleware

import (
	"errors"
	"io"

	"github.com/valyala/fasthttp"

	"edgerouter/wire"
)

// replayable is the largest body that is kept to be sent again: what a peer_set
// would read before it bothers a peer with it.
const replayable = wire.CopyBufferSize

// takeBody reads the request's body into memory, where a backend finds it as
// often as it wants. fits is false, with nothing read, for a body that is known
// to be larger than limit. ok is false when it could not be read or turned out to
// be larger: the client has been told.
func takeBody(ctx *fasthttp.RequestCtx, limit int64) (fits, ok bool) {
	if !ctx.Request.IsBodyStream() {
		return true, true
	}
	length, body := int64(ctx.Request.Header.ContentLength()), ctx.Request.BodyStream()
	x := wire.From(ctx)
	if x != nil {
		length = x.Head.Length
	}
	if length > limit {
		return false, true
	}
	data, err := io.ReadAll(io.LimitReader(body, limit+1))
	status, reason := 0, ""
	switch {
	case err != nil:
		status, reason = unreadable(err)
	case int64(len(data)) > limit:
		status, reason = fasthttp.StatusRequestEntityTooLarge, bodyTooLarge
	default:
		ctx.Request.SetBodyRaw(data)
		return true, true
	}
	if x != nil {
		x.Close = true // where the next request would begin is not known
	}
	wire.Fail(ctx, status, reason)
	return true, false
}

// unreadable is the answer to a client whose body failed.
func unreadable(err error) (status int, reason string) {
	var we *wire.Error
	var late interface{ Timeout() bool }
	switch {
	case errors.As(err, &we):
		return we.Status, we.Reason
	case errors.As(err, &late) && late.Timeout():
		return fasthttp.StatusRequestTimeout, "the request's body did not come in time"
	}
	return fasthttp.StatusBadRequest, "the request's body could not be read"
}
