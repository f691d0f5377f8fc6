package middleware

import (
	"io"

	"github.com/valyala/fasthttp"

	"edgerouter/wire"
)

// stream is the body of an answer as a backend left it.
type stream struct{ io.Reader }

func streamOf(resp *fasthttp.Response) stream { return stream{resp.BodyStream()} }

// Close closes it, if it wants to be closed.
func (s stream) Close() error {
	if c, ok := s.Reader.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Trailers are those of the body, once it is at its end.
func (s stream) Trailers() []byte {
	if t, ok := s.Reader.(wire.Trailing); ok {
		return t.Trailers()
	}
	return nil
}

// replaceStream puts another stream in the place of the one that is the body of
// resp, which whoever makes the new one now has to close. size is the new one's
// length, -1 when it is not known.
//
// SetBodyStream would close the old one. So the response is moved out, its head
// is moved back, and what is left out forgets the stream unclosed. The buffer of
// an earlier body is lost with it.
func replaceStream(resp *fasthttp.Response, with io.ReadCloser, size int) {
	var out, empty fasthttp.Response
	move(&out, resp)
	move(resp, &empty)
	move(&resp.Header, &out.Header)
	resp.ImmediateHeaderFlush, resp.SkipBody = out.ImmediateHeaderFlush, out.SkipBody
	resp.SetBodyStream(with, size)
}

// move copies a value that must not be used at its old place any more.
func move[T any](to, from *T) { *to = *from }
