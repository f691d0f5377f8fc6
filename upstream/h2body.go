package upstream

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"

	"edgerouter/wire"
)

// h2upload is a client's body as net/http reads it, in a goroutine of its own
// that may go on after the response has come. After end it reads no more: the
// client's next request is not its business.
type h2upload struct {
	r       *h2call
	x       *wire.Exchange
	trailer http.Header // filled in at the end of a body of unknown length

	closeOnce sync.Once
	closed    chan struct{}         // net/http wants no more
	ended     chan struct{}         // closed by end
	whole     atomic.Bool           // the client's body was read to its end
	failure   atomic.Pointer[error] // why it failed

	mu    sync.Mutex // held while the client is read
	over  bool
	began bool
}

var errUploadOver = errors.New("the request's body is not wanted any more")

// Read makes it an io.Reader.
func (u *h2upload) Read(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.over {
		return 0, errUploadOver
	}
	u.began = true
	u.r.pause()
	defer u.r.wait()
	n, err := u.x.Body.Read(p)
	switch {
	case err == io.EOF:
		for name := range u.trailer {
			delete(u.trailer, name)
		}
		wire.EachLine(u.r.c.trailers.append(nil), func(name, value []byte) { u.trailer.Add(string(name), string(value)) })
		u.whole.Store(true)
	case err == nil && u.x.Body.Done() && u.trailer == nil:
		u.whole.Store(true)
	}
	if err != nil && err != io.EOF {
		n = 0
		if err != wire.ErrInterrupted {
			u.failure.Store(&err)
		}
		if tooLarge(err) {
			u.hesitate()
		}
	}
	return n, err
}

// hesitate leaves a response that is under way the time to end, before the error
// that makes net/http reset the stream.
func (u *h2upload) hesitate() {
	if !u.r.hasAnswer() {
		return
	}
	u.mu.Unlock()
	defer u.mu.Lock()
	t := time.NewTimer(u.r.c.s.times.header)
	defer t.Stop()
	select {
	case <-t.C:
	case <-u.ended:
	}
}

// Close makes it an io.Closer: the reader has what it needs.
func (u *h2upload) Close() error {
	u.closeOnce.Do(func() { close(u.closed) })
	return nil
}

// end has net/http read no more of the client. It is called on the handler's
// goroutine.
func (u *h2upload) end() {
	if !u.mu.TryLock() { // it waits for the client just now
		u.x.Client.StopReading()
		u.mu.Lock()
	}
	defer u.mu.Unlock()
	if !u.over {
		u.over = true
		close(u.ended)
	}
}

// h2small is a body that was read before, as net/http reads it, in a goroutine
// that may still be at it when nobody waits for it any more.
type h2small struct {
	mu   sync.Mutex
	rest []byte
	over bool
}

// Read makes it an io.Reader.
func (b *h2small) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.over:
		return 0, errUploadOver
	case len(b.rest) == 0:
		return 0, io.EOF
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// Close makes it an io.Closer.
func (b *h2small) Close() error { return nil }

// end has the memory left alone.
func (b *h2small) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over, b.rest = true, nil
}

// h2Head is the head of a response in the form of HTTP/1.1.
func h2Head(res *http.Response) *wire.ResponseHead {
	h := &wire.ResponseHead{Minor: 1, Status: res.StatusCode, Reason: []byte(http.StatusText(res.StatusCode)), Length: res.ContentLength}
	addFields(h, res.Header)
	if len(res.Trailer) > 0 {
		var names []string
		for name := range res.Trailer {
			names = append(names, name)
		}
		slices.Sort(names)
		h.Fields = append(h.Fields, wire.Field{Name: []byte("Trailer"), Value: []byte(strings.Join(names, ", ")), Kind: wire.Trailer})
	}
	if h.Length >= 0 && res.Header.Get("Content-Length") == "" && !h.NoBody(false) {
		h.Fields = append(h.Fields, wire.Field{Name: []byte("Content-Length"), Kind: wire.ContentLength})
	}
	return h
}

func addFields(h *wire.ResponseHead, header http.Header) {
	names := make([]string, 0, len(header))
	for name := range header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		kind := wire.KindOf([]byte(name))
		h.HasDate = h.HasDate || kind == wire.Date
		for _, v := range header[name] {
			h.Fields = append(h.Fields, wire.Field{Name: []byte(name), Value: []byte(v), Kind: kind})
		}
	}
}

// trailerLines are the trailers of a response whose body has ended, without
// those that must not stand there.
func trailerLines(dst []byte, trailer http.Header) []byte {
	var h wire.ResponseHead
	addFields(&h, trailer)
	for i := range h.Fields {
		if f := &h.Fields[i]; f.Kind != wire.Hop && httpguts.ValidTrailerHeader(string(f.Name)) {
			dst = appendField(dst, f)
		}
	}
	return dst
}

// relay writes the response to the client's connection as it comes.
func (r *h2call) relay(res *http.Response, h *wire.ResponseHead) outcome {
	c, x := &r.c, r.c.x
	none, chunked := c.outgoing(h)
	x.Settle(h.Status, r.upload != nil && !none && h.Length != 0)
	head := c.appendResponse(x.Scratch[:0], r.p, h, chunked)
	x.Scratch = head
	if x.Respond(h.Status, head) != nil {
		c.s.stats.Canceled.Add(1)
		return outcomeCanceled
	}
	if none || h.Length == 0 {
		return outcomeOf(h.Status)
	}
	var memory buffer
	defer memory.release()
	buf := memory.start(h.Length > wire.BufferSize)
	for {
		room := buf[wire.ChunkHeadSize : len(buf)-2]
		n, err := res.Body.Read(room)
		if n > 0 {
			part := room[:n]
			if chunked {
				at := wire.PutChunkHead(buf[:wire.ChunkHeadSize], n)
				end := wire.ChunkHeadSize + n
				part = buf[at : end+copy(buf[end:], "\r\n")]
			}
			if x.Write(part) != nil {
				c.s.stats.Canceled.Add(1)
				return outcomeCanceled
			}
			if n == len(room) {
				buf = memory.grow(0)
			}
		}
		if eof(err) {
			break
		}
		if err != nil {
			x.Broken = true // the client must not take a part for the whole
			return r.brokeOff(err)
		}
	}
	if chunked {
		last := trailerLines(append(x.Scratch[:0], "0\r\n"...), res.Trailer)
		x.Scratch = append(last, "\r\n"...)
		x.Write(x.Scratch)
	}
	return outcomeOf(h.Status)
}

func (r *h2call) brokeOff(err error) outcome {
	return r.c.brokeOff(r.p, r.abandoned.Load(), r.upload != nil && r.upload.failure.Load() != nil, err)
}

// end gives the stream back; what is left of it is canceled.
func (r *h2call) end(res *http.Response) {
	if r.upload != nil {
		r.upload.end()
	}
	res.Body.Close()
}

// structured leaves the response in ctx for the handlers around this one.
func (r *h2call) structured(res *http.Response, h *wire.ResponseHead) verdict {
	c := &r.c
	c.fillResponse(r.p, h)
	if h.NoBody(c.head) || h.Length == 0 {
		c.announceLength(h)
		r.end(res)
		r.p.end(outcomeOf(h.Status), r.first-c.now, wire.Now())
		return verdict{done: true}
	}
	c.ctx.Response.SetBodyStream(&h2Stream{r: r, res: res, outcome: outcomeOf(h.Status)}, int(h.Length))
	return verdict{done: true, held: true}
}

// h2Stream is bodyStream for HTTP/2.
type h2Stream struct {
	r       *h2call
	res     *http.Response
	outcome outcome
	whole   bool
	failed  bool
	closed  bool
	again
}

func (b *h2Stream) Read(p []byte) (int, error) {
	if len(b.back) > 0 {
		return b.take(p), nil
	}
	n, err := b.res.Body.Read(p)
	switch {
	case eof(err):
		b.whole = true
	case err != nil && !b.failed:
		b.failed = true
		b.outcome = b.r.brokeOff(err)
	}
	return n, err
}

// Trailers makes it a wire.Trailing.
func (b *h2Stream) Trailers() []byte { return trailerLines(nil, b.res.Trailer) }

// Close may be called with the body unread, which is canceled then.
func (b *h2Stream) Close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	r := b.r
	if !b.whole && !b.failed {
		b.outcome = outcomeCanceled
	}
	r.end(b.res)
	r.p.end(b.outcome, r.first-r.c.now, wire.Now())
	if r.p.gate != nil {
		r.p.gate.leave()
	}
	r.part()
	r.c.release()
	return nil
}
