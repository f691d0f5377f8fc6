package middleware

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/middleware/share"
)

// NewInFlight returns the wrapper of kind in_flight: at most opts.Amount requests
// at one time for each client, value of a header field, or for the application;
// others are answered with 429. A request is in flight until all of its answer
// has been sent, or the client is gone: that takes in the whole of a stream and
// of an upgraded connection. It allocates nothing but for streams.
//
// With deps.Share those that other nodes have in flight for the same limit of the
// same application count as well, as they were some 200 ms ago.
func NewInFlight(opts app.InFlightOpts, deps Deps) (Wrapper, error) {
	by, err := parsePer(opts.Per, deps.Share)
	switch {
	case err != nil:
		return nil, fmt.Errorf("in_flight_opts.per: %w", err)
	case opts.Amount < 1:
		return nil, fmt.Errorf("in_flight_opts.amount: %d is below 1", opts.Amount)
	}
	f := &inFlight{per: by, most: int64(opts.Amount)}
	if deps.Share != nil {
		f.member = deps.Share.Join(share.InFlight, limitID(deps, "in_flight", opts), f.tell, f.hear)
	}
	return func(next fasthttp.RequestHandler) fasthttp.RequestHandler {
		return func(ctx *fasthttp.RequestCtx) { f.serve(ctx, next) }
	}, nil
}

// inFlight counts requests. There are no more keys than requests in flight.
type inFlight struct {
	per    per
	most   int64
	member *share.Limit // nil: alone
	all    atomic.Int64 // perApplication
	others atomic.Int64 // perApplication, of other nodes
	parts  [16]inFlightPart
}

type inFlightPart struct {
	mu     sync.Mutex
	counts map[uint64]int64
	others map[uint64]int64 // of other nodes
	_      [40]byte
}

func (f *inFlight) serve(ctx *fasthttp.RequestCtx, next fasthttp.RequestHandler) {
	var key uint64
	if f.per.by != perApplication {
		key = f.per.key(ctx)
	}
	if !f.enter(key) {
		tooMany(ctx, "too many requests at one time", int64(time.Second))
		return
	}
	held := false
	defer func() {
		if !held {
			f.leave(key)
		}
	}()
	next(ctx)
	if resp := &ctx.Response; !answered(ctx) && resp.IsBodyStream() {
		held = true
		replaceStream(resp, &countedStream{stream: streamOf(resp), f: f, key: key}, resp.Header.ContentLength())
	}
}

func (f *inFlight) enter(key uint64) bool {
	if f.per.by == perApplication {
		for {
			n := f.all.Load()
			if n+f.others.Load() >= f.most {
				return false
			}
			if f.all.CompareAndSwap(n, n+1) {
				return true
			}
		}
	}
	p := &f.parts[key&15]
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.counts[key]
	if n+p.others[key] >= f.most {
		return false
	}
	if p.counts == nil {
		p.counts = map[uint64]int64{}
	}
	p.counts[key] = n + 1
	return true
}

func (f *inFlight) leave(key uint64) {
	if f.per.by == perApplication {
		f.all.Add(-1)
		return
	}
	p := &f.parts[key&15]
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.counts[key]; n > 1 {
		p.counts[key] = n - 1
	} else {
		delete(p.counts, key)
	}
}

// tell and hear are the functions of share.Limit.
func (f *inFlight) tell(add func(key uint64, n int64)) {
	if n := f.all.Load(); n > 0 {
		add(0, n)
	}
	for i := range f.parts {
		p := &f.parts[i]
		p.mu.Lock()
		for key, n := range p.counts {
			add(key, n)
		}
		p.mu.Unlock()
	}
}

func (f *inFlight) hear(key uint64, n int64) {
	if f.per.by == perApplication {
		f.others.Add(n)
		return
	}
	p := &f.parts[key&15]
	p.mu.Lock()
	defer p.mu.Unlock()
	if n += p.others[key]; n <= 0 {
		delete(p.others, key)
		return
	}
	if p.others == nil {
		p.others = map[uint64]int64{}
	}
	p.others[key] = n
}

// countedStream is a body whose request is in flight until it is closed.
type countedStream struct {
	stream
	f      *inFlight
	key    uint64
	closed bool
}

// Close closes the body and gives the place free.
func (s *countedStream) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	defer s.f.leave(s.key)
	return s.stream.Close()
}
