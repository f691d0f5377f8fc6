package httpcache

import (
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/wire"
)

// query is what the cache asks of a request.
type query struct {
	ctx        *fasthttp.RequestCtx
	key        string // of its target
	edge       string // see edgeKey
	flight     string // of the requests that wait for the same; find sets it
	control    directives
	authorized bool
	ranged     string // Range and If-Range: what goes to peers is without them
	ifRange    string
	head       bool
	// The client's own conditions; those that peers get are the cache's.
	ifNoneMatch, ifModifiedSince string
	conditional                  bool
}

func read(ctx *fasthttp.RequestCtx, x *wire.Exchange) *query {
	h := &ctx.Request.Header
	q := &query{
		ctx: ctx, key: keyOf(string(h.Host()), string(h.RequestURI())), edge: edgeKey(ctx),
		head: string(h.Method()) == "HEAD",
	}
	control := q.field("cache-control")
	q.control = parseControl([]string{control})
	if control == "" && strings.Contains(strings.ToLower(q.field("pragma")), "no-cache") {
		q.control.noCache = true // RFC 9111 section 5.4
	}
	q.authorized = wire.Authorized(ctx) || len(h.Peek("Authorization")) > 0 || x.Head.Get("authorization") != nil
	q.ranged, q.ifRange = string(h.Peek("Range")), strings.TrimSpace(string(h.Peek("If-Range")))
	q.ifNoneMatch, q.ifModifiedSince = q.field("if-none-match"), q.field("if-modified-since")
	q.conditional = q.ifNoneMatch != "" || q.ifModifiedSince != ""
	return q
}

// passes reports whether a GET or HEAD is none of a cache's business: one with
// content, for a switch of protocols, with a condition that only the origin can
// judge (RFC 9111 section 4.3.2), or whose target is not what the peer reads.
func passes(ctx *fasthttp.RequestCtx, x *wire.Exchange) bool {
	h := &ctx.Request.Header
	return x == nil || x.Head.HasBody() || len(x.Head.Upgrade) > 0 ||
		len(h.Peek("If-Match"))+len(h.Peek("If-Unmodified-Since")) > 0 || overrides(x.Head.Fields)
}

// field is a request's field, several lines joined; white space around commas
// does not count.
func (q *query) field(name string) string {
	values := q.ctx.Request.Header.PeekAll(name)
	switch len(values) {
	case 0:
		return ""
	case 1:
		return strings.TrimSpace(string(values[0]))
	}
	parts := make([]string, len(values))
	for i, v := range values {
		parts[i] = strings.TrimSpace(string(v))
	}
	return strings.Join(parts, ", ")
}

// allows reports whether the request may have a response to another one at all
// (RFC 9111 section 3.5).
func (q *query) allows(e *entry) bool {
	return !q.authorized || e.control.public || e.control.mustRevalidate || e.control.sMaxAge != unset
}

// accepts reports whether the request takes a stored response without asking a
// peer, as far as it is fresh enough.
func (q *query) accepts(e *entry, now time.Time) bool {
	d := &q.control
	return !d.noCache && !e.control.noCache && (d.maxAge == unset || e.age(now) <= d.maxAge) &&
		(d.minFresh == unset || -e.staleness(now) >= d.minFresh)
}
