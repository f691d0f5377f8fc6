package turbo

import (
	"strconv"

	"edgerouter/turbo/cache"
	"edgerouter/turbo/content"
	"edgerouter/wire"
)

// answer is the response with a file.
type answer struct {
	r      *request
	file   file
	status int // 200, or 404 for the page that says so
	kind   content.Kind
	id     content.ID

	copy       *cache.Copy
	encoding   cache.Encoding
	delta      string // dcb or dcz
	gzipped    bool   // by whoever made the file
	dictionary content.ID
	ranged     content.RangeVerdict
	offset, n  int64 // of the range
}

const (
	immutable  = "public, max-age=31536000, immutable"
	revalidate = "no-cache"
	// joined is the size up to which a body is copied behind its head.
	joined = 4 << 10
)

// cacheControl says how long clients may keep the file: for ever what has a hash
// in its name, else until they have asked again.
func (a *answer) cacheControl() string {
	if a.status == 200 {
		if v := a.file.site.files.CacheControl(a.r.path); v != "" {
			return v
		}
		if a.kind.Hashed || a.file.site.immutable(a.kind, a.r.path) {
			return immutable
		}
	}
	return revalidate
}

// immutable reports whether the definition says that a file never changes. A page
// always may.
func (s *Site) immutable(k content.Kind, path []byte) bool {
	if k.HTML() {
		return false
	}
	for _, p := range s.opts.Immutable {
		if content.Glob(p, path) {
			return true
		}
	}
	return false
}

// common appends what 200, 206 and 304 have in common (RFC 9110 section 15.4.5).
func (a *answer) common(dst []byte, suffix string) []byte {
	dst = append(dst, "ETag: "...)
	dst = appendETag(dst, a.id, suffix)
	dst = append(dst, "\r\nCache-Control: "...)
	dst = append(dst, a.cacheControl()...)
	if a.kind.Compressible() {
		dst = append(dst, "\r\nVary: Accept-Encoding"...)
		if len(a.r.dictionary) > 0 {
			dst = append(dst, ", Available-Dictionary"...)
		}
	}
	return append(dst, "\r\n"...)
}

// notModified sends 304. The suffix is that of the client's copy.
func (a *answer) notModified(suffix string) {
	r := a.r
	if r.direct {
		dst := wire.AppendStatusLine(r.x.Scratch[:0], 304, notModifiedText)
		r.finish(304, a.common(dst, suffix), -1, nil, nil, 0)
		return
	}
	r.ctx.Response.SetStatusCode(304)
	wire.EachLine(a.common(nil, suffix), r.ctx.Response.Header.AddBytesKV)
}

var (
	okText          = []byte("OK")
	partText        = []byte("Partial Content")
	outsideText     = []byte("Range Not Satisfiable")
	notFoundText    = []byte("Not Found")
	notModifiedText = []byte("Not Modified")
)

// write sends the copy that was chosen: body is the whole of it, or else file,
// which it releases.
func (a *answer) write(body []byte, opened *cache.File) {
	r, status, reason := a.r, a.status, okText
	offset, n := int64(0), a.copy.Size()
	switch {
	case a.ranged == content.RangePart:
		status, reason, offset, n = 206, partText, a.offset, a.n
	case a.ranged == content.RangeOutside:
		status, reason, n = 416, outsideText, 0
	case status == 404:
		reason = notFoundText
	}
	if opened == nil {
		body = body[offset : offset+n]
	} else if r.head || n == 0 {
		opened.Release()
		opened, body = nil, nil
	}
	if r.head {
		body = nil
	}
	if r.direct {
		dst := wire.AppendStatusLine(r.x.Scratch[:0], status, reason)
		r.finish(status, a.lines(dst, status), n, body, opened, offset)
		return
	}
	resp := &r.ctx.Response
	resp.SetStatusCode(status)
	resp.Header.SetNoDefaultContentType(true)
	wire.EachLine(a.lines(nil, status), resp.Header.AddBytesKV)
	switch {
	case opened != nil:
		resp.SetBodyStream(opened.Section(offset, n), int(n))
	case r.head:
		resp.Header.SetContentLength(int(n))
	default:
		resp.SetBodyRaw(body)
	}
}

// lines appends the fields of a response with the copy.
func (a *answer) lines(dst []byte, status int) []byte {
	if status == 416 {
		dst = append(dst, "Content-Range: bytes */"...)
		dst = strconv.AppendInt(dst, a.copy.Size(), 10)
		return append(dst, "\r\nCache-Control: no-cache\r\n"...)
	}
	suffix := a.delta
	if suffix == "" {
		suffix = a.encoding.Suffix()
	}
	dst = append(dst, "Content-Type: "...)
	dst = append(dst, a.kind.Type()...)
	dst = append(dst, "\r\n"...)
	dst = a.common(dst, suffix)
	switch {
	case a.delta != "":
		dst = append(dst, "Content-Encoding: "...)
		dst = append(dst, a.delta...)
		dst = append(dst, "\r\n"...)
	case a.gzipped:
		dst = append(dst, "Content-Encoding: gzip\r\n"...)
	case a.encoding != cache.Identity:
		dst = append(dst, "Content-Encoding: "...)
		dst = append(dst, a.encoding.String()...)
		dst = append(dst, "\r\n"...)
	}
	switch status {
	case 200:
		if a.encoding == cache.Identity && a.delta == "" {
			dst = append(dst, "Accept-Ranges: bytes\r\n"...)
		}
		dst = a.useAsDictionary(dst)
	case 206:
		dst = append(dst, "Content-Range: bytes "...)
		dst = strconv.AppendInt(dst, a.offset, 10)
		dst = append(dst, '-')
		dst = strconv.AppendInt(dst, a.offset+a.n-1, 10)
		dst = append(dst, '/')
		dst = strconv.AppendInt(dst, a.copy.Size(), 10)
		dst = append(dst, "\r\n"...)
	}
	return dst
}

// Sizes between which a file is of use as a dictionary of its next version.
const (
	leastDictionary = 1 << 10
	mostDictionary  = 8 << 20
)

// useAsDictionary offers the file as the dictionary of the next one under its
// path, or under any with another hash in the name (RFC 9842 section 2.1). The
// path has to be the one that the client knows, and free of what URL patterns
// give a meaning to.
func (a *answer) useAsDictionary(dst []byte) []byte {
	identity := a.file.object().Copy(cache.Identity)
	if !a.kind.Compressible() || identity == nil || identity.Size() < leastDictionary || identity.Size() > mostDictionary || a.r.stripped() {
		return dst
	}
	path := a.r.path
	if a.r.prefix > 0 {
		path = a.r.x.Head.Path
	}
	for _, c := range path {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '/' || c == '.' || c == '-' || c == '_' {
			continue
		}
		return dst
	}
	dst = append(dst, `Use-As-Dictionary: match="`...)
	dst = content.AppendHashPattern(dst, path)
	return append(dst, "\"\r\n"...)
}

// finish completes the head in dst and sends it with the body: body, or n bytes of
// a file, which it releases, or none. n of -1 is no length.
func (r *request) finish(status int, dst []byte, n int64, body []byte, opened *cache.File, offset int64) {
	x := r.x
	dst = wire.AppendDate(dst, x.Began)
	if n >= 0 {
		dst = wire.AppendLength(dst, n)
	}
	x.Settle(status, false)
	dst = append(x.AppendConnection(dst), "\r\n"...)
	switch {
	case opened != nil:
		x.Scratch = dst
		_ = x.RespondFile(status, dst, opened.File, offset, n) // the exchange knows that it broke
		opened.Release()
	case len(body) <= joined:
		dst = append(dst, body...)
		x.Scratch = dst
		_ = x.Respond(status, dst)
	default:
		x.Scratch = dst
		_ = x.RespondBody(status, dst, body)
	}
}
