package httpcache

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/wire"
)

// Handler answers from the cache, or by next, which leaves its response in ctx.
func (c *Cache) Handler(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		switch string(ctx.Request.Header.Method()) {
		case "GET", "HEAD":
			x := wire.From(ctx)
			if passes(ctx, x) {
				c.bypass(ctx, next, "fwd=bypass")
				return
			}
			c.serve(read(ctx, x), next)
		case "OPTIONS", "TRACE":
			c.bypass(ctx, next, "fwd=method")
		default:
			host, target := string(ctx.Request.Header.Host()), string(ctx.Request.Header.RequestURI())
			c.bypass(ctx, next, "fwd=method")
			if status := ctx.Response.StatusCode(); status >= 200 && status < 400 {
				c.invalidate(ctx, host, target)
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
func (c *Cache) invalidate(ctx *fasthttp.RequestCtx, host, target string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.drop(keyOf(host, target))
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
	if q.control.noStore {
		c.bypass(q.ctx, next, "fwd=bypass")
		return
	}
	e, others := c.find(q)
	why := "fwd=uri-miss"
	switch {
	case e != nil && !q.allows(e):
		e, why = nil, "fwd=request"
	case e != nil && c.use(q, e, next):
		return
	case e != nil && e.staleness(c.now()) < 0 && !e.control.noCache:
		why = "fwd=request" // RFC 9211 section 2.2: it is the request that refuses
	case e != nil:
		why = "fwd=stale"
	case others:
		why = "fwd=vary-miss"
	}
	if q.control.onlyIfCached {
		wire.Fail(q.ctx, 504, "there is nothing stored for this (only-if-cached)")
		tell(q.ctx, "detail=only-if-cached") // it is neither a hit nor forwarded
		return
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
	if !q.accepts(e, now) {
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

// fetch asks the peers, or waits for one who does. When that one's client leaves,
// one of those who wait takes its place.
func (c *Cache) fetch(q *query, e *entry, next fasthttp.RequestHandler, why string) {
	var timer *time.Timer
	// Alone goes who wants an answer of its own, or gets one as far as one can tell.
	waits := (!q.authorized || e != nil) && !q.control.noCache && q.control.maxAge != 0
	for waits {
		own, other := c.lead(q)
		if own != nil {
			c.stats.Misses.Add(1)
			name := q.flight
			defer func() { c.land(q, name, own) }()
			own.verdict = failed // should next panic
			own.verdict = c.ask(q, e, next, why)
			return
		}
		if other == nil {
			break
		}
		if timer == nil {
			timer = time.NewTimer(patience)
			defer timer.Stop()
		}
		before := q.flight
		c.stats.Waiting.Add(1)
		landed := other.wait(timer.C)
		c.stats.Waiting.Add(-1)
		if !landed {
			break
		}
		if c.collapse(q, e, why) {
			return
		}
		// Another variant than the one that came has a flight of its own.
		waits = other.verdict == abandoned || other.verdict == stored && q.flight != before
	}
	c.stats.Misses.Add(1)
	c.ask(q, e, next, why)
}

// collapse answers with what another request had stored meanwhile, if this one
// may have it.
func (c *Cache) collapse(q *query, e *entry, why string) bool {
	shared, _ := c.find(q)
	if now := c.now(); shared == nil || shared == e || !q.allows(shared) || !q.accepts(shared, now) || shared.staleness(now) >= 0 {
		return false
	}
	if !c.respond(q, shared, why+"; collapsed") {
		return false
	}
	c.stats.Collapsed.Add(1)
	return true
}

// ask asks the peers: with the conditions of the stored response, if there is one.
func (c *Cache) ask(q *query, e *entry, next fasthttp.RequestHandler, why string) verdict {
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
		return abandoned // there is nobody any more whom to answer
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
			result := alone
			if fresh := e.freshen(r, &c.opts); fresh != nil {
				if c.put(q.key, fresh) {
					result = stored
				}
				e = fresh
			} else {
				c.remove(e)
			}
			if !c.respond(q, e, why+"; fwd-status=304") {
				wire.Fail(q.ctx, 502, "the stored response was lost")
			}
			return result
		case r.status >= 500 && c.mayStandIn(e):
			if c.respond(q, e, why+"; fwd-status="+strconv.Itoa(r.status)) {
				c.stats.Stale.Add(1)
				return failed
			}
		}
	}
	return c.keep(q, r, why)
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
