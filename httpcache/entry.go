package httpcache

import (
	"container/list"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"edgerouter/app"
	"edgerouter/turbo/cache"
)

// entry is a stored response. It does not change: a validation makes a new one.
type entry struct {
	// Where it is in the Cache.
	key         string
	shape       *shape
	place, near *list.Element // in the lists of the Cache and of the target

	edge    string   // what the edge put into the request, see edgeKey
	vary    []string // names in lower case and order, none twice
	variant string   // see the function

	status   int
	header   http.Header
	body     *cache.Object
	size     int64
	control  directives
	asked    time.Time // when the request was made
	received time.Time // when its head came
	initial  time.Duration
	lifetime time.Duration
}

func (e *entry) cost() int64 {
	n := e.size + 1024 + int64(len(e.variant))
	for name, values := range e.header {
		n += int64(len(name))
		for _, v := range values {
			n += int64(len(v))
		}
	}
	return n
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

// request is what newEntry looks at in the request.
type request struct {
	control    directives
	authorized bool
	edge       string
	field      func(name string) string
}

// newEntry judges a response to a GET (RFC 9111 section 3); nil: it is not to be
// stored.
func newEntry(r response, q request, opts *app.Caching) *entry {
	d, targeted := controlOf(r.header)
	if r.status < 200 || r.status == 206 || r.status == 304 || r.status == 416 || d.mustUnderstand && http.StatusText(r.status) == "" {
		return nil
	}
	if q.control.noStore || d.noStore && !(d.mustUnderstand && heuristic(r.status)) || d.private || len(r.header["Set-Cookie"]) > 0 {
		return nil
	}
	if q.authorized && !d.mustRevalidate && !d.public && d.sMaxAge == unset {
		return nil
	}
	e := &entry{status: r.status, header: r.header, control: d, asked: r.asked, received: r.received, edge: q.edge}
	for _, f := range r.header.Values("Vary") {
		for _, name := range splitList(f) {
			if name == "*" {
				return nil
			}
			e.vary = append(e.vary, strings.ToLower(name))
		}
	}
	slices.Sort(e.vary)
	e.vary = slices.Compact(e.vary)
	e.variant = variant(q.edge, e.vary, q.field)
	at, dated := date(r.header.Get("Date"))
	if !dated {
		at = r.received
	}
	explicit := false
	e.lifetime, explicit = lifetime(r, d, targeted, at, opts)
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
// whether it says so itself. A targeted field has Expires ignored.
func lifetime(r response, d directives, targeted bool, at time.Time, opts *app.Caching) (t time.Duration, explicit bool) {
	switch {
	case d.sMaxAge != unset:
		return d.sMaxAge, true
	case d.maxAge != unset:
		return d.maxAge, true
	case len(r.header["Expires"]) > 0 && !targeted:
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
	fresh := newEntry(next, request{edge: e.edge, field: func(string) string { return "" }}, opts)
	if fresh == nil {
		return nil
	}
	fresh.vary, fresh.variant, fresh.body, fresh.size = e.vary, e.variant, e.body, e.size
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
