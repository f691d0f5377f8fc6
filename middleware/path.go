package middleware

import (
	"bytes"

	"github.com/valyala/fasthttp"

	"edgerouter/router"
	"edgerouter/wire"
)

// The handlers that change the path work on the target as it is forwarded, raw.
// What they compare is the normal form of its path (router.NormalizePath), so
// that spelling a path differently leads around none of them, and what they
// leave has no dot segments that could climb out of a prefix.

// splitQuery cuts a target before its question mark.
func splitQuery(target []byte) (path, query []byte) {
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		return target[:i], target[i:]
	}
	return target, nil
}

// hasPath tells whether the request's target has a path: not the "*" of OPTIONS.
func hasPath(ctx *fasthttp.RequestCtx) bool {
	target := ctx.Request.Header.RequestURI()
	return len(target) > 0 && target[0] == '/'
}

// resolved is a raw target whose path has no dot segments and begins with one
// slash, its other bytes as they came. False: it has no normal form.
func resolved(dst, target []byte) ([]byte, bool) {
	return router.StripPrefix(dst, target, "/")
}

// changeTarget makes a new target the request's, after its dot segments are
// resolved. It tells false, with the client told, for one that has no single
// meaning: a path that a regexp took apart may climb.
func changeTarget(ctx *fasthttp.RequestCtx, target []byte) bool {
	var buf [512]byte
	clean, ok := resolved(buf[:0], target)
	if !ok {
		wire.Fail(ctx, fasthttp.StatusBadRequest, "the path cannot be taken apart in one way only")
		return false
	}
	setTarget(ctx, clean)
	return true
}

// addForwardedPrefix tells the backend what was taken off the path, after what
// others took off before.
func addForwardedPrefix(ctx *fasthttp.RequestCtx, prefix []byte) {
	h := &ctx.Request.Header
	var buf [256]byte
	all := append(buf[:0], h.Peek(forwardedPrefix)...)
	all = appendEscaped(all, bytes.TrimSuffix(prefix, slash), inPath)
	if len(all) == 0 {
		return
	}
	h.SetBytesV(forwardedPrefix, all)
}

var slash = []byte("/")

// rawLength returns how many bytes of a raw path, without dot segments, the
// first n bytes of its normal form stand for. An escape is never cut in two.
func rawLength(raw []byte, n int) int {
	i := 0
	for n > 0 && i < len(raw) {
		switch {
		case raw[i] == '/':
			for i+1 < len(raw) && raw[i+1] == '/' {
				i++ // runs of slashes are one
			}
			i, n = i+1, n-1
		case raw[i] == '%' && i+2 < len(raw) && staysEncoded(raw[i+1], raw[i+2]):
			i, n = i+3, n-3
		case raw[i] == '%' && i+2 < len(raw):
			i, n = i+3, n-1
		default:
			i, n = i+1, n-1
		}
	}
	return i
}

// staysEncoded tells whether the normal form keeps an escape with these digits.
func staysEncoded(hi, lo byte) bool {
	c := unhex(hi)<<4 | unhex(lo)
	return c < ' ' || c == 0x7f || bytes.IndexByte([]byte(`/\%?#`), c) >= 0
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	default:
		return c&0x0f + 9
	}
}

// appendMatched appends a target as frontends were matched on it: its path in
// normal form, with what cannot stand in one percent-encoded, and its query.
func appendMatched(dst, target []byte) []byte {
	path, query := splitQuery(target)
	normal, err := router.NormalizePath(nil, path)
	if err != nil {
		normal = path // the server has refused such a path already
	}
	return append(appendEscaped(dst, normal, inPath), query...)
}
