package middleware

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/wire"
)

// defaultMinBody is the smallest body that is worth compressing.
const defaultMinBody = 1 << 10

// NewCompress returns the wrapper of kind compress: bodies are compressed by what
// the client accepts most of opts.Encodings (zstd, br, gzip), by its q-values and
// then in that order.
//
// Left as they are: types that are not text at heart (or not in IncludedTypes, or
// in ExcludedTypes), bodies known to be below MinResponseBody, ones that have a
// coding already or do not become smaller, 1xx, 204, 205, 206, 304, and whatever
// says Cache-Control: no-transform, on either side. Wherever another client might
// get a compressed body of the same resource, Vary: Accept-Encoding is there.
//
// A compressed answer has no Content-Length (a body that was whole has its new
// one), no Accept-Ranges and no digests of what it was, and its strong ETag is a
// weak one (RFC 9110 section 8.8.1); a 304 to a client that has the weak one says
// so too. A HEAD gets the fields of the GET.
//
// Streams are passed on as they come: what one read of the backend gave is
// compressed, flushed and on its way before the next read.
func NewCompress(opts app.CompressOpts, _ Deps) (Wrapper, error) {
	c := &compression{min: int(opts.MinResponseBody.Or(defaultMinBody))}
	if opts.MinResponseBody < 0 {
		return nil, fmt.Errorf("compress_opts.min_response_body: %d is below 0", opts.MinResponseBody)
	}
	for i, name := range opts.Encodings {
		at := slices.Index(codingNames[:], name)
		if at < 1 { // identity comes first and is no compression
			return nil, fmt.Errorf("compress_opts.encodings[%d]: %q is none of zstd, br, gzip", i, name)
		}
		c.offered = append(c.offered, coding(at))
	}
	if len(c.offered) == 0 {
		c.offered = []coding{zstdCoding, brotliCoding, gzipCoding}
	}
	var err error
	if c.types.only, err = parseTypes("compress_opts.included_types", opts.IncludedTypes); err != nil {
		return nil, err
	}
	if c.types.excluded, err = parseTypes("compress_opts.excluded_types", opts.ExcludedTypes); err != nil {
		return nil, err
	}
	if c.types.only != nil && c.types.excluded != nil {
		return nil, fmt.Errorf("compress_opts.excluded_types: given beside included_types, which already says what is compressed")
	}
	return func(next fasthttp.RequestHandler) fasthttp.RequestHandler {
		return func(ctx *fasthttp.RequestCtx) {
			next(ctx)
			if !answered(ctx) {
				c.compress(ctx)
			}
		}
	}, nil
}

type compression struct {
	offered []coding
	types   mediaTypes
	min     int
}

// compress makes of the answer what the client wants of it.
func (c *compression) compress(ctx *fasthttp.RequestCtx) {
	resp := &ctx.Response
	h := &resp.Header
	if resp.StatusCode() == fasthttp.StatusNotModified {
		c.notModified(ctx)
		return
	}
	if !c.may(resp) || forbidden(h.PeekAll(fasthttp.HeaderCacheControl)) {
		return
	}
	addVary(h)
	wanted := c.wanted(&ctx.Request.Header)
	if wanted == identity {
		return
	}
	switch {
	case ctx.IsHead():
		h.SetContentLength(-1)
	case resp.IsBodyStream():
		replaceStream(resp, &compressedStream{stream: streamOf(resp), z: getCompressor(wanted)}, -1)
	default:
		if !compressWhole(resp, wanted) {
			return
		}
	}
	h.SetContentEncoding(wanted.String())
	for _, name := range [...]string{fasthttp.HeaderAcceptRanges, "Content-Md5", "Digest", "Content-Digest", "Repr-Digest"} {
		dropField(h, name)
	}
	weaken(h)
}

// may tells whether the answer is one that some client gets compressed.
func (c *compression) may(resp *fasthttp.Response) bool {
	h := &resp.Header
	switch status := resp.StatusCode(); {
	case status < 200, status == fasthttp.StatusNoContent, status == fasthttp.StatusResetContent, status == fasthttp.StatusPartialContent:
		return false
	case len(h.ContentEncoding()) > 0 && !wire.EqualFold(h.ContentEncoding(), "identity"):
		return false
	case len(h.Peek(fasthttp.HeaderContentRange)) > 0:
		return false
	case !c.types.wants(h.ContentType()):
		return false
	}
	if resp.IsBodyStream() {
		return h.ContentLength() < 0 || h.ContentLength() >= c.min
	}
	if n := len(resp.Body()); n > 0 {
		return n >= c.min
	}
	// The answer to HEAD, whose length is that of the GET, or an empty one.
	n := h.ContentLength()
	return n <= 0 || n >= c.min
}

// forbidden tells whether Cache-Control says no-transform (RFC 9111 sections
// 5.2.1.6 and 5.2.2.6).
func forbidden(fields [][]byte) bool {
	for _, f := range fields {
		if hasListToken(f, "no-transform") {
			return true
		}
	}
	return false
}

// wanted is the coding that the client gets.
func (c *compression) wanted(h *fasthttp.RequestHeader) coding {
	if forbidden(h.PeekAll(fasthttp.HeaderCacheControl)) {
		return identity
	}
	a := newAccepted()
	for _, f := range h.PeekAll(fasthttp.HeaderAcceptEncoding) {
		a.add(f)
	}
	return a.best(c.offered)
}

// compressWhole compresses a body that is all there, if that makes it smaller.
func compressWhole(resp *fasthttp.Response, with coding) bool {
	body := resp.Body()
	if len(body) == 0 {
		return false
	}
	z := getCompressor(with)
	defer z.put()
	small, err := z.all(body)
	if err != nil || len(small) >= len(body) {
		return false
	}
	resp.SetBody(small)
	return true
}

// notModified keeps a 304 true to the answers that it is about: the type that
// tells whether they vary is not in it, but what the client has is.
func (c *compression) notModified(ctx *fasthttp.RequestCtx) {
	h := &ctx.Response.Header
	if forbidden(h.PeekAll(fasthttp.HeaderCacheControl)) {
		return
	}
	addVary(h)
	tag := h.Peek(fasthttp.HeaderETag)
	if len(tag) == 0 || tag[0] != '"' {
		return
	}
	for _, field := range ctx.Request.Header.PeekAll(fasthttp.HeaderIfNoneMatch) {
		if i := bytes.Index(field, tag); i >= 2 && field[i-2] == 'W' && field[i-1] == '/' {
			weaken(h)
			return
		}
	}
}

// weaken makes a strong ETag a weak one: the same for the bytes of every coding.
func weaken(h *fasthttp.ResponseHeader) {
	tag := h.Peek(fasthttp.HeaderETag)
	if len(tag) == 0 || tag[0] != '"' {
		return
	}
	var buf [128]byte
	h.SetBytesV(fasthttp.HeaderETag, append(append(buf[:0], "W/"...), tag...))
}

// addVary says that the answer depends on Accept-Encoding.
func addVary(h *fasthttp.ResponseHeader) {
	fields := h.PeekAll(fasthttp.HeaderVary)
	for _, f := range fields {
		if hasListToken(f, "*") || hasListToken(f, "accept-encoding") {
			return
		}
	}
	if len(fields) == 1 && len(fields[0]) > 0 {
		var buf [128]byte
		h.SetBytesV(fasthttp.HeaderVary, append(append(buf[:0], fields[0]...), ", Accept-Encoding"...))
		return
	}
	h.Add(fasthttp.HeaderVary, fasthttp.HeaderAcceptEncoding)
}
