package httpcache

import (
	"container/list"
	"net/http"
	"strconv"
	"strings"
	"time"

	"edgerouter/app"
	"edgerouter/turbo/cache"
)

// entry is a stored response. It does not change: a validation makes a new one.
type entry struct {
	key    string
	place  *list.Element
	status int
	header http.Header
	body   *cache.Object
	size   int64
	vary   map[string]string // names in lower case, and what the request had

	control  directives
	asked    time.Time // when the request was made
	received time.Time // when its head came
	initial  time.Duration
	lifetime time.Duration
}

func (e *entry) cost() int64 {
	n := e.size + 1024
	for name, values := range e.header {
		n += int64(len(name))
		for _, v := range values {
			n += int64(len(v))
		}
	}
	return n
}

// selects says whether a request gets this response (RFC 9111 section 4.1).
func (e *entry) selects(field func(name string) string) bool {
	for name, value := range e.vary {
		if field(name) != value {
			return false
		}
	}
	return true
}

func (e *entry) sameVariant(o *entry) bool {
	if len(e.vary) != len(o.vary) {
		return false
	}
	for name, value := range e.vary {
		if v, ok := o.vary[name]; !ok || v != value {
			return false
		}
	}
	return true
}

// age is how old the response is now (RFC 9111 section 4.2.3).
func (e *entry) age(now time.Time) time.Duration { return e.initial + max(now.Sub(e.received), 0) }

// staleness is for how long it has been stale; negative while it is fresh.
func (e *entry) staleness(now time.Time) time.Duration { return e.age(now) - e.lifetime }

// mayBeStale says whether it may be used when it is stale.
func (e *entry) mayBeStale() bool {
	d := &e.control
	return !d.mustRevalidate && !d.proxyRevalidate && !d.noCache && d.sMaxAge == unset
}

// response is what came from a peer, as far as storing depends on it.
type response struct {
	status          int
	header          http.Header
	asked, received time.Time
}

// newEntry judges a response to a GET (RFC 9111 section 3); nil: it is not to be
// stored.
func newEntry(r response, request directives, authorized bool, field func(name string) string, opts *app.Caching) *entry {
	d := parseControl(r.header.Values("Cache-Control"))
	if r.status < 200 || r.status == 206 || r.status == 304 || r.status == 416 || d.mustUnderstand && http.StatusText(r.status) == "" {
		return nil
	}
	if request.noStore || d.noStore && !(d.mustUnderstand && heuristic(r.status)) || d.private || len(r.header["Set-Cookie"]) > 0 {
		return nil
	}
	if authorized && !d.mustRevalidate && !d.public && d.sMaxAge == unset {
		return nil
	}
	e := &entry{status: r.status, header: r.header, control: d, asked: r.asked, received: r.received, vary: map[string]string{}}
	for _, f := range r.header.Values("Vary") {
		for _, name := range splitList(f) {
			if name == "*" {
				return nil
			}
			name = strings.ToLower(name)
			e.vary[name] = field(name)
		}
	}
	at, dated := date(r.header.Get("Date"))
	if !dated {
		at = r.received
	}
	explicit := false
	e.lifetime, explicit = lifetime(r, d, at, opts)
	if e.lifetime <= 0 && e.header.Get("ETag") == "" && e.header.Get("Last-Modified") == "" {
		return nil // it could neither be used nor validated
	}
	if !explicit && !heuristic(r.status) && !d.public {
		return nil
	}
	apparent := max(r.received.Sub(at), 0)
	aged := ageOf(r.header) + r.received.Sub(r.asked)
	e.initial = min(max(apparent, aged), mostTime) // a Date of long ago must not overflow
	return e
}

// ageOf reads Age; of several values the first counts.
func ageOf(h http.Header) time.Duration {
	text, _, _ := strings.Cut(h.Get("Age"), ",")
	return seconds(strings.TrimSpace(text))
}

// lifetime is for how long a response is fresh (RFC 9111 section 4.2.1), and
// whether it says so itself.
func lifetime(r response, d directives, at time.Time, opts *app.Caching) (t time.Duration, explicit bool) {
	switch {
	case d.sMaxAge != unset:
		return d.sMaxAge, true
	case d.maxAge != unset:
		return d.maxAge, true
	case len(r.header["Expires"]) > 0:
		if expires, ok := date(r.header.Get("Expires")); ok && len(r.header["Expires"]) == 1 {
			return max(expires.Sub(at), 0), true
		}
		return 0, true
	case !heuristic(r.status) && !d.public || d.noCache:
		return 0, d.noCache
	case opts.DefaultTTL > 0:
		return opts.DefaultTTL.Std(), false
	}
	if modified, ok := date(r.header.Get("Last-Modified")); ok && modified.Before(at) {
		return min(at.Sub(modified)/heuristicShare, heuristicMost), false
	}
	return 0, false
}

// freshen is the entry after a 304 with these fields (RFC 9111 section 3.2).
func (e *entry) freshen(r response, opts *app.Caching) *entry {
	header := e.header.Clone()
	for name, values := range r.header {
		switch name {
		// What is about the stored body stays; the body is that of the stored ETag.
		case "Content-Length", "Content-Encoding", "Content-Range", "Content-Md5", "Content-Digest", "Etag",
			"Transfer-Encoding", "Connection", "Set-Cookie", "Cache-Status":
		default:
			header[name] = values
		}
	}
	next := response{status: e.status, header: header, asked: r.asked, received: r.received}
	if len(r.header["Age"]) == 0 {
		header.Del("Age")
	}
	fresh := newEntry(next, directives{}, false, func(name string) string { return e.vary[name] }, opts)
	if fresh == nil {
		return nil
	}
	fresh.vary, fresh.body, fresh.size = e.vary, e.body, e.size
	return fresh
}

// notModified says whether the client's copy is the stored one (RFC 9110 section
// 13.2.2).
func (e *entry) notModified(ifNoneMatch, ifModifiedSince string) bool {
	if ifNoneMatch != "" {
		tag := strings.TrimPrefix(e.header.Get("ETag"), "W/")
		for _, t := range splitList(ifNoneMatch) {
			if t == "*" || tag != "" && strings.TrimPrefix(t, "W/") == tag {
				return true
			}
		}
		return false
	}
	since, ok := date(ifModifiedSince)
	modified, known := date(e.header.Get("Last-Modified"))
	if !known {
		modified, known = date(e.header.Get("Date"))
	}
	return ok && known && !modified.After(since)
}

func appendSeconds(dst []byte, d time.Duration) []byte {
	return strconv.AppendInt(dst, int64(d/time.Second), 10)
}
