package httpcache

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"edgerouter/turbo/cache"
	"edgerouter/turbo/content"
	"edgerouter/wire"
)

// respond answers with a stored response. False: its body was lost.
func (c *Cache) respond(q *query, e *entry, status string) bool {
	cp := e.body.Copy(cache.Identity)
	if cp == nil {
		c.remove(e)
		return false
	}
	body, err := cp.Read()
	var file *cache.File
	if err == nil && body == nil {
		file, err = cp.Open()
	}
	if err != nil {
		e.body.Lost(cache.Identity, cp)
		c.remove(e)
		return false
	}
	resp := &q.ctx.Response
	resp.Reset()
	resp.Header.SetNoDefaultContentType(true)
	code, offset, n := e.status, int64(0), e.size
	if e.status == 200 {
		switch {
		case e.notModified(q.ifNoneMatch, q.ifModifiedSince):
			code, n = 304, 0
		case q.ranged != "" && !q.head && rangeable(q, e):
			var v content.RangeVerdict
			switch offset, n, v = content.ParseRange([]byte(q.ranged), e.size); v {
			case content.RangePart:
				code = 206
				resp.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", offset, offset+n-1, e.size))
			case content.RangeOutside:
				code, n = 416, 0
				resp.Header.Set("Content-Range", fmt.Sprintf("bytes */%d", e.size))
			default:
				offset, n = 0, e.size
			}
		}
	}
	resp.SetStatusCode(code)
	for name, values := range e.header {
		if code == 304 && !in304(name) || name == "Age" {
			continue
		}
		for _, v := range values {
			resp.Header.Add(name, v)
		}
	}
	if x := wire.From(q.ctx); x != nil {
		x.Date = append(x.Date[:0], e.header.Get("Date")...)
	}
	resp.Header.SetBytesV("Age", appendSeconds(nil, e.age(c.now())))
	resp.Header.Add("Cache-Status", "edgerouter; "+status)
	switch {
	case q.head:
		resp.Header.SetContentLength(int(n))
	case code == 304 || n == 0:
	case file != nil:
		resp.SetBodyStream(file.Section(offset, n), int(n))
		return true
	default:
		resp.SetBodyRaw(body[offset : offset+n])
	}
	if file != nil {
		file.Release()
	}
	return true
}

// rangeable says whether If-Range lets a part of the stored response be sent.
func rangeable(q *query, e *entry) bool {
	tag := e.header.Get("ETag")
	return q.ifRange == "" || tag != "" && !strings.HasPrefix(tag, "W/") && q.ifRange == tag || q.ifRange == e.header.Get("Last-Modified")
}

// in304 says whether a field of the stored response stands in a 304 (RFC 9110
// section 15.4.5).
func in304(name string) bool {
	switch name {
	case "Content-Type", "Content-Encoding", "Content-Language", "Content-Range", "Last-Modified":
		return false
	}
	return true
}

// keep stores the response in ctx if it may be, and leaves it there either way.
func (c *Cache) keep(q *query, r response, why string) verdict {
	resp := &q.ctx.Response
	e := newEntry(r, request{q.control, q.authorized, q.edge, q.field}, &c.opts)
	if e == nil || strings.HasPrefix(strings.ToLower(r.header.Get("Content-Type")), "text/event-stream") {
		c.discard(q, r)
		return c.passOn(q, r, why)
	}
	most := c.opts.MaxObject.Or(defaultObject)
	var source io.Reader
	if !resp.IsBodyStream() {
		source = bytes.NewReader(resp.Body())
	} else if length := resp.Header.ContentLength(); length >= 0 {
		if int64(length) > most {
			return c.passOn(q, r, why)
		}
		source = resp.BodyStream()
	} else if source = c.collect(q, min(most, collected)); source == nil {
		return c.passOn(q, r, why)
	}
	o, err := c.tiers.Add(source, most)
	if err != nil {
		if resp.IsBodyStream() {
			resp.CloseBodyStream()
			c.log.Error().Err(err).Msg("a response could not be stored, nor sent on")
			wire.Fail(q.ctx, 502, "the response broke off")
			r.status = 502
		}
		return c.passOn(q, r, why)
	}
	e.body, e.size = o, o.Copy(cache.Identity).Size()
	if resp.IsBodyStream() {
		resp.CloseBodyStream()
	}
	result := alone
	if c.put(q.key, e) {
		c.stats.Stored.Add(1)
		result, why = stored, why+"; stored"
	}
	if !c.respond(q, e, why) {
		wire.Fail(q.ctx, 502, "the stored response was lost")
	}
	return result
}

// passOn leaves the response in ctx as it is.
func (c *Cache) passOn(q *query, r response, why string) verdict {
	tell(q.ctx, why)
	switch x := wire.From(q.ctx); {
	case x != nil && x.Left():
		return abandoned
	case r.status >= 500:
		return failed
	}
	return alone
}

// discard drops what is stored for the same requests: what came is newer and not
// to be stored.
func (c *Cache) discard(q *query, r response) {
	if r.status >= 500 || q.authorized || q.control.noStore {
		return // it says nothing of what others get
	}
	if old, _ := c.find(q); old != nil {
		c.remove(old)
	}
}

// collect reads a body of unknown length. One that is longer than limit, or that
// breaks off, goes on as it comes: nil.
func (c *Cache) collect(q *query, limit int64) io.Reader {
	stream := q.ctx.Response.BodyStream()
	back, ok := stream.(wire.Unreader)
	if !ok {
		return nil
	}
	var begun bytes.Buffer
	n, err := io.CopyN(&begun, stream, limit+1)
	if err == io.EOF && n <= limit {
		return &begun
	}
	back.Unread(begun.Bytes()) // a stream that broke says so again when it is read on
	return nil
}
