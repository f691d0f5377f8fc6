package router

import (
	"bytes"
	"strings"
)

// CanonicalPrefix is the form of a path prefix in which it is compared: normal
// form, without the trailing slash; "" takes every path. An error is one of
// NormalizePath's, with ErrPathByte also for a question mark, which a path can
// only have as %3F.
func CanonicalPrefix(prefix string) (string, error) {
	if prefix == "" || prefix == "/" {
		return "", nil
	}
	if end, verdict := scanPath(prefix); verdict == plain && end == len(prefix) && prefix[0] == '/' {
		return strings.TrimSuffix(prefix, "/"), nil
	}
	switch {
	case prefix[0] != '/':
		return "", ErrPathStart
	case strings.Contains(prefix, "?"):
		return "", ErrPathByte
	}
	path, err := NormalizePath(nil, []byte(prefix))
	if err != nil {
		return "", err
	}
	return string(bytes.TrimSuffix(path, []byte{'/'})), nil
}

// under says whether path is prefix or below it, by whole segments.
func under(path []byte, prefix string) bool {
	n := len(prefix)
	return len(path) >= n && string(path[:n]) == prefix && (len(path) == n || path[n] == '/' || n == 0)
}

// StripPrefix removes a prefix, by whole segments, from a raw target (path and
// query, as on the request line) and keeps the bytes of the rest as they came:
// /files/a?x=%31 without /files/ is /a?x=%31, /files?x is /?x. A prefix that is
// as CanonicalPrefix returns it, but for a trailing slash, costs least.
//
// The target is judged by its normal form, so what Match took under the prefix
// is stripped however it was written: /%66iles/%61 becomes /%61, //files//a
// becomes /a. Where a target has dot segments (also as %2e) these are resolved
// first, with the bytes of the remaining segments as they came and runs of
// slashes merged: /x/../files/./a%21 becomes /a%21. Otherwise a backend could be
// led out of what the prefix stands for by a ".." that had the prefix's segment
// to climb over.
//
// The result begins with exactly one slash and has the normal form that the
// target's normal form has after the prefix. It shares memory with target or
// is written over dst[:0], which must not overlap target. False means that the
// target is not under the prefix or has no normal form; it must then not be
// taken for stripped.
func StripPrefix(dst, target []byte, prefix string) ([]byte, bool) {
	prefix, err := CanonicalPrefix(prefix)
	if err != nil {
		return nil, false
	}
	end, verdict := scanPath(target)
	if verdict == forbidden || end == 0 || target[0] != '/' {
		return nil, false
	}
	path, tail := target[:end], target[end:]
	from := len(prefix) // where the rest of path begins
	if verdict == plain {
		if !under(path, prefix) {
			return nil, false
		}
	} else {
		var normal []byte
		normal, err = normalizeSlow(dst[:0], path)
		if err != nil || !under(normal, prefix) {
			return nil, false
		}
		if hasDotSegments(path) {
			dst = appendResolved(normal[:0], path)
			from = skipSegments(dst, strings.Count(prefix, "/"))
			if from == len(dst) {
				dst = append(dst, '/')
			}
			return append(dst, tail...)[from:], true
		}
		from = skipSegments(path, strings.Count(prefix, "/"))
	}
	if from == len(path) {
		return append(append(dst[:0], '/'), tail...), true
	}
	return target[from:], true
}

// skipSegments returns where the rest of a raw path begins after n segments:
// at the last slash of a run, or at the end. Empty segments do not count.
func skipSegments(path []byte, n int) int {
	i := 0
	for ; n > 0; n-- {
		for i < len(path) && path[i] == '/' {
			i++
		}
		for i < len(path) && path[i] != '/' {
			i++
		}
	}
	for i+1 < len(path) && path[i+1] == '/' {
		i++
	}
	return i
}

// hasDotSegments says whether a raw path has a segment that is . or .., also
// where the dots are encoded.
func hasDotSegments(path []byte) bool {
	for segment := range bytes.SplitSeq(path, []byte{'/'}) {
		if rawDots(segment) > 0 {
			return true
		}
	}
	return false
}

// appendResolved appends a raw path, which must have a normal form, without dot
// segments and empty ones.
func appendResolved(dst, path []byte) []byte {
	trailing := false
	for segment := range bytes.SplitSeq(path[1:], []byte{'/'}) {
		dots := rawDots(segment)
		trailing = dots > 0 || len(segment) == 0
		switch {
		case dots == 2:
			dst = dst[:max(bytes.LastIndexByte(dst, '/'), 0)]
		case dots == 0 && len(segment) > 0:
			dst = append(append(dst, '/'), segment...)
		}
	}
	if trailing {
		dst = append(dst, '/')
	}
	return dst
}

// rawDots is the number of dots of a raw dot segment, 0 for any other segment.
func rawDots(segment []byte) int {
	dots := 0
	for len(segment) > 0 {
		switch {
		case segment[0] == '.':
			segment = segment[1:]
		case len(segment) >= 3 && segment[0] == '%' && segment[1] == '2' && segment[2]|0x20 == 'e':
			segment = segment[3:]
		default:
			return 0
		}
		dots++
	}
	if dots > 2 {
		return 0
	}
	return dots
}
