package turbo

import (
	"bytes"
	"context"

	"edgerouter/turbo/cache"
	"edgerouter/turbo/content"
	"edgerouter/wire"
)

// serve answers a request whose path is in r. False: a file could not be had from
// the store and nothing was answered.
func (s *Site) serve(r *request) bool {
	f, status, ok := s.resolve(r)
	if !ok {
		return true // answered
	}
	return s.send(r, f, status)
}

// resolve finds the file that answers. False: it has answered itself.
func (s *Site) resolve(r *request) (f file, status int, ok bool) {
	path := r.path
	if f, ok = s.find(path); ok {
		return f, 200, true
	}
	if path[len(path)-1] == '/' {
		index := append(append(r.room[:0], path...), s.opts.Index...)
		if f, ok = s.find(index); ok {
			r.path = index
			return f, 200, true
		}
		if f, ok = s.findEarlier(index); ok {
			s.stats.Earlier.Add(1)
			r.path = index
			return f, 200, true
		}
	} else {
		index := append(append(append(r.room[:0], path...), '/'), s.opts.Index...)
		if _, ok = s.find(index); ok {
			r.redirectToFolder()
			return file{}, 0, false
		}
		if f, ok = s.findEarlier(path); ok {
			s.stats.Earlier.Add(1)
			return f, 200, true
		}
	}
	return s.unknown(r)
}

// unknown finds the page for what the site does not have, or has answered itself.
func (s *Site) unknown(r *request) (f file, status int, ok bool) {
	if f, ok = s.page(s.fallback, s.opts.Fallback); ok {
		return f, 200, true
	}
	s.stats.NotFound.Add(1)
	if f, ok = s.page(s.notFound, s.opts.NotFound); ok {
		return f, 404, true
	}
	r.fail(404, "there is no such file")
	return file{}, 0, false
}

// page is the one of a site's pages for unknown paths, found before or, in a
// version whose files become known as they are asked for, now.
func (s *Site) page(i int, path string) (file, bool) {
	if i >= 0 {
		return file{s, i}, true
	}
	if s.resolving == nil || path == "" {
		return file{}, false
	}
	if path[0] != '/' {
		path = "/" + path
	}
	return s.find([]byte(path))
}

// redirectToFolder sends /foo to /foo/, by a relative reference, so that it is
// right whatever prefix was taken off (RFC 3986 section 4.2).
func (r *request) redirectToFolder() {
	target, query, _ := bytes.Cut(r.target, []byte("?"))
	name := target[bytes.LastIndexByte(target, '/')+1:]
	to := append(append([]byte("./"), name...), '/')
	if len(query) > 0 {
		to = append(append(to, '?'), query...)
	}
	r.ctx.Response.SetStatusCode(301)
	r.ctx.Response.Header.SetBytesV("Location", to)
	r.ctx.Response.Header.Set("Cache-Control", "no-cache")
}

// attempts bounds how often a copy that turned out to be lost is brought again.
const attempts = 3

// send answers with a file. A copy that the disk has lost meanwhile is fetched
// anew.
func (s *Site) send(r *request, f file, status int) bool {
	a := answer{r: r, file: f, status: status, kind: f.site.files.KindOfFile(f.i), id: f.id()}
	if status == 200 && len(r.ifNoneMatch) > 0 {
		if suffix, ok := matchETag(r.ifNoneMatch, a.id); ok {
			s.stats.NotModified.Add(1)
			a.notModified(suffix)
			return true
		}
	}
	var failure error
	for range attempts {
		o := f.object()
		if o == nil || o.Copy(cache.Identity) == nil {
			s.stats.Misses.Add(1)
			if _, failure = f.load(context.Background()); failure != nil {
				break
			}
			a.id = f.id()
			o = f.object()
		}
		if o == nil {
			continue
		}
		if a.choose(s, o); a.copy == nil {
			continue // lost between two looks
		}
		body, opened, err := a.content()
		if err != nil {
			failure = err
			a.lost(o)
			continue
		}
		if a.kind.Gzipped() {
			a.gzipped = gzipMagic(body, opened)
		}
		s.stats.Hits.Add(1)
		a.write(body, opened)
		return true
	}
	s.stats.Failed.Add(1)
	if failure != nil {
		s.log.Error().Err(failure).Str("path", f.site.files.Path(f.i)).Str("manifest", s.name).Msg("a file of a site cannot be had")
	}
	return false
}

// gzipMagic reports whether a file is what its name says, a stream of gzip (RFC 1952
// section 2.3.1).
func gzipMagic(body []byte, opened *cache.File) bool {
	if opened != nil {
		body = make([]byte, 2)
		if _, err := opened.ReadAt(body, 0); err != nil {
			return false
		}
	}
	return len(body) > 2 && body[0] == 0x1f && body[1] == 0x8b || opened != nil && body[0] == 0x1f && body[1] == 0x8b
}

// paged is the size from which on sending the pages of the disk copy is cheaper
// than copying the body out of memory.
const paged = 8 << 10

// content is the chosen copy: its bytes in memory, or the disk copy.
func (a *answer) content() (body []byte, opened *cache.File, err error) {
	r := a.r
	if r.direct && !r.head && a.copy.Size() >= paged && r.x.SendsPages() {
		if opened = a.copy.Pages(); opened != nil {
			return nil, opened, nil
		}
	}
	if body, err = a.copy.Read(); err == nil && body == nil {
		opened, err = a.copy.Open()
	}
	return body, opened, err
}

// choose picks the copy to send: what the client likes best of what is here. What
// it likes better is made in the background.
func (a *answer) choose(s *Site, o *cache.Object) {
	r := a.r
	a.copy, a.encoding, a.delta = o.Copy(cache.Identity), cache.Identity, ""
	a.offset, a.n, a.ranged = 0, 0, content.RangeNone
	if len(r.rangeField) > 0 && !r.head && a.status == 200 && a.copy != nil && rangeable(r.ifRange, a.id) {
		a.offset, a.n, a.ranged = content.ParseRange(r.rangeField, a.copy.Size())
		if a.ranged != content.RangeNone {
			return
		}
	}
	if !a.kind.Compressible() || len(r.acceptEncoding) == 0 {
		return
	}
	p := parseAccept(r.acceptEncoding)
	if len(r.dictionary) > 0 && a.status == 200 && a.chooseDelta(s, o, &p) {
		return
	}
	// Of encodings with the same weight the smallest that is here. The first two of
	// them are made: which one is smaller is known then, and gzip never is.
	wanted, weight := 0, -1
	for i, e := range p.order[:p.n] {
		if a.encoding != cache.Identity && p.q[i] != weight || e == cache.Identity {
			return
		}
		if weight != p.q[i] {
			wanted, weight = 0, p.q[i]
		}
		if c := o.Copy(e); c != nil {
			if a.encoding == cache.Identity || c.Size() < a.copy.Size() {
				a.copy, a.encoding = c, e
			}
		} else if wanted < 2 && !o.Settled(e) {
			o.Want(e)
		}
		wanted++
	}
}

// chooseDelta answers with the file encoded with the version of it that the
// client has.
func (a *answer) chooseDelta(s *Site, o *cache.Object, p *preference) bool {
	id, ok := parseDictionary(a.r.dictionary)
	if !ok || !p.dcz && !p.dcb || id == a.id {
		return false
	}
	e := cache.DictionaryZstd
	if !p.dcz {
		e = cache.DictionaryBrotli
	}
	if c := o.Delta(id, e); c != nil {
		a.copy, a.delta, a.dictionary = c, e.String(), id
		s.stats.Deltas.Add(1)
		return true
	}
	if s.has(id) {
		if dictionary := s.cache.Object(id); dictionary.Copy(cache.Identity) != nil {
			o.WantDelta(dictionary, e)
		}
	}
	return false
}

// lost forgets the copy that could not be read.
func (a *answer) lost(o *cache.Object) {
	if a.delta != "" {
		o.LostDelta(a.copy)
		a.r.dictionary = nil // the encodings without one will do
		return
	}
	o.Lost(a.encoding, a.copy)
}

// fail answers with a short text.
func (r *request) fail(status int, reason string) {
	wire.Fail(r.ctx, status, reason)
	switch status {
	case 405:
		r.ctx.Response.Header.Set("Allow", "GET, HEAD")
	case 503:
		r.ctx.Response.Header.Set("Retry-After", "5")
		r.ctx.Response.Header.Set("Cache-Control", "no-store")
	}
}

// handle answers any request whose target has the files of the site; false as
// for serve.
func (s *Site) handle(r *request, known bool) bool {
	if !known {
		r.fail(405, "only GET and HEAD are answered here")
		return true
	}
	path, ok := content.RequestPath(r.room[:0], r.target)
	if !ok {
		// An encoded slash or a broken encoding is no file's path, and as unknown as others.
		r.path = []byte("/")
		f, status, ok := s.unknown(r)
		return !ok || s.send(r, f, status)
	}
	r.path = path
	return s.serve(r)
}
