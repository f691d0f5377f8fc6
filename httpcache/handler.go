package httpcache

import (
	"net/http"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/wire"
)

// patience is how long a request waits for another one that asks the peers for
// the same.
const patience = 30 * time.Second

// query is what the cache asks of a request.
type query struct {
	ctx        *fasthttp.RequestCtx
	key        string
	control    directives
	authorized bool
	ranged     string // Range and If-Range: what goes to peers is without them
	ifRange    string
	head       bool
	// The client's own conditions; those that peers get are the cache's.
	ifNoneMatch, ifModifiedSince string
	conditional                  bool
}

func (c *Cache) read(ctx *fasthttp.RequestCtx) *query {
	h := &ctx.Request.Header
	q := &query{ctx: ctx, key: keyOf(string(h.Host()), string(h.RequestURI())), head: string(h.Method()) == "HEAD"}
	control := q.field("cache-control")
	q.control = parseControl([]string{control})
	if control == "" && strings.Contains(strings.ToLower(q.field("pragma")), "no-cache") {
		q.control.noCache = true // RFC 9111 section 5.4
	}
	q.authorized = len(h.Peek("Authorization")) > 0
	q.ranged, q.ifRange = string(h.Peek("Range")), strings.TrimSpace(string(h.Peek("If-Range")))
	q.ifNoneMatch, q.ifModifiedSince = q.field("if-none-match"), q.field("if-modified-since")
	q.conditional = q.ifNoneMatch != "" || q.ifModifiedSince != "" || len(h.Peek("If-Match"))+len(h.Peek("If-Unmodified-Since")) > 0
	return q
}

func keyOf(host, target string) string { return strings.ToLower(host) + "\x00" + target }

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

// Handler answers from the cache, or by next, which leaves its response in ctx.
func (c *Cache) Handler(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		switch string(ctx.Request.Header.Method()) {
		case "GET", "HEAD":
			c.serve(c.read(ctx), next)
		case "OPTIONS", "TRACE":
			c.bypass(ctx, next, "fwd=method")
		default:
			c.bypass(ctx, next, "fwd=method")
			if status := ctx.Response.StatusCode(); status >= 200 && status < 400 {
				c.invalidate(ctx)
			}
		}
	}
}

func (c *Cache) bypass(ctx *fasthttp.RequestCtx, next fasthttp.RequestHandler, why string) {
	c.stats.Bypassed.Add(1)
	next(ctx)
	tell(ctx, why)
}

// tell adds a member to Cache-Status (RFC 9211).
func tell(ctx *fasthttp.RequestCtx, what string) {
	if x := wire.From(ctx); x != nil && x.Responded {
		return
	}
	ctx.Response.Header.Add("Cache-Status", "edgerouter; "+what)
}

// invalidate drops what an unsafe request may have changed (RFC 9111 section 4.4).
func (c *Cache) invalidate(ctx *fasthttp.RequestCtx) {
	host := string(ctx.Request.Header.Host())
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.drop(keyOf(host, string(ctx.Request.Header.RequestURI())))
	for _, name := range []string{"Location", "Content-Location"} {
		to := string(ctx.Response.Header.Peek(name))
		if scheme, rest, ok := strings.Cut(to, "://"); ok && (scheme == "http" || scheme == "https") {
			authority, path, _ := strings.Cut(rest, "/")
			if !strings.EqualFold(authority, host) {
				continue // another host's is not this one's to drop
			}
			to = "/" + path
		}
		if strings.HasPrefix(to, "/") {
			n += c.drop(keyOf(host, to))
		}
	}
	c.stats.Invalidated.Add(uint64(n))
}

// serve tells a GET's or HEAD's way: bypass, hit, stale, validate, miss.
func (c *Cache) serve(q *query, next fasthttp.RequestHandler) {
	if q.control.noStore || q.ctx.Request.Header.ConnectionUpgrade() {
		c.bypass(q.ctx, next, "fwd=bypass")
		return
	}
	e, others := c.find(q.key, q.field)
	if e != nil && q.authorized && !e.control.public && !e.control.mustRevalidate && e.control.sMaxAge == unset {
		c.bypass(q.ctx, next, "fwd=request")
		return
	}
	if e != nil && c.use(q, e, next) {
		return
	}
	if q.control.onlyIfCached {
		wire.Fail(q.ctx, 504, "there is nothing stored for this (only-if-cached)")
		tell(q.ctx, "fwd=request")
		return
	}
	why := "fwd=uri-miss"
	switch {
	case e != nil:
		why = "fwd=stale"
	case others:
		why = "fwd=vary-miss"
	}
	// What only a part of, or nothing of, is asked for goes to the peers as it is.
	if e == nil && (q.ranged != "" || q.head || q.conditional) {
		c.bypass(q.ctx, next, why)
		return
	}
	c.fetch(q, e, next, why)
}

// use answers with a stored response if that may be used.
func (c *Cache) use(q *query, e *entry, next fasthttp.RequestHandler) bool {
	now := c.now()
	stale, d := e.staleness(now), &q.control
	if d.noCache || e.control.noCache || d.maxAge != unset && e.age(now) > d.maxAge {
		return false
	}
	if d.minFresh != unset && -stale < d.minFresh {
		return false
	}
	if stale < 0 {
		if !c.respond(q, e, "hit; ttl="+string(appendSeconds(nil, -stale))) {
			return false
		}
		c.stats.Hits.Add(1)
		return true
	}
	if !e.mayBeStale() {
		return false
	}
	if e.control.staleWhile != unset && stale <= e.control.staleWhile {
		c.validateLater(q, e, next)
	} else if d.maxStale == unset || stale > d.maxStale {
		return false
	}
	if !c.respond(q, e, "hit; ttl=-"+string(appendSeconds(nil, stale))) {
		return false
	}
	c.stats.Stale.Add(1)
	return true
}

// fetch asks the peers, or waits for one who does.
func (c *Cache) fetch(q *query, e *entry, next fasthttp.RequestHandler, why string) {
	own, wait := c.lead(q.key)
	if wait != nil {
		timer := time.NewTimer(patience)
		select {
		case <-wait.done:
		case <-timer.C:
		}
		timer.Stop()
		if shared, _ := c.find(q.key, q.field); shared != nil && shared != e && !q.authorized && shared.staleness(c.now()) < 0 && !q.control.noCache {
			if c.respond(q, shared, "hit; collapsed; ttl="+string(appendSeconds(nil, -shared.staleness(c.now())))) {
				c.stats.Collapsed.Add(1)
				return
			}
		}
		// What could not be shared is asked for by each at once.
	} else {
		defer c.land(q.key, own)
	}
	c.stats.Misses.Add(1)
	c.ask(q, e, next, why)
}

// ask asks the peers: with the conditions of the stored response, if there is one.
func (c *Cache) ask(q *query, e *entry, next fasthttp.RequestHandler, why string) {
	h := &q.ctx.Request.Header
	if e != nil {
		h.Del("If-None-Match")
		h.Del("If-Modified-Since")
		h.Del("Range")
		h.Del("If-Range")
		if q.head {
			h.SetMethod("GET") // what comes is the whole, if it is another one
		}
		if tag := e.header.Get("ETag"); tag != "" {
			h.Set("If-None-Match", tag)
		}
		if modified := e.header.Get("Last-Modified"); modified != "" {
			h.Set("If-Modified-Since", modified)
		}
	}
	r := response{asked: c.now()}
	next(q.ctx)
	r.received, r.status = c.now(), q.ctx.Response.StatusCode()
	if x := wire.From(q.ctx); x != nil && x.Responded {
		return // a tunnel
	}
	r.header = http.Header{}
	for name, value := range q.ctx.Response.Header.All() {
		if !framing(string(name)) {
			r.header.Add(string(name), string(value))
		}
	}
	// A response without a Date is of when it came (RFC 9110 section 6.6.1).
	if x := wire.From(q.ctx); x != nil && len(x.Date) > 0 {
		r.header.Set("Date", string(x.Date))
	} else {
		r.header.Set("Date", r.received.UTC().Format(http.TimeFormat))
	}
	if e != nil {
		switch {
		case r.status == 304:
			c.stats.Validated.Add(1)
			if fresh := e.freshen(r, &c.opts); fresh != nil {
				c.put(q.key, fresh)
				e = fresh
			} else {
				c.remove(e)
			}
			if !c.respond(q, e, why+"; fwd-status=304") {
				wire.Fail(q.ctx, 502, "the stored response was lost")
			}
			return
		case r.status >= 500 && c.mayStandIn(e):
			if c.respond(q, e, why+"; fwd-status="+http.StatusText(r.status)) {
				c.stats.Stale.Add(1)
				return
			}
		}
	}
	c.keep(q, r, why)
}

// framing says whether a field is about the message and not about what is in it.
func framing(name string) bool {
	return wire.EqualFold([]byte(name), "content-length") || wire.EqualFold([]byte(name), "transfer-encoding") ||
		wire.EqualFold([]byte(name), "connection")
}

// mayStandIn says whether a stale response may stand in for an error (RFC 5861
// section 4).
func (c *Cache) mayStandIn(e *entry) bool {
	window := c.opts.StaleIfError.Std()
	if e.control.staleIfError != unset {
		window = e.control.staleIfError
	}
	return e.mayBeStale() && e.staleness(c.now()) <= window
}
