package upstream

import (
	"context"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// h2pool keeps the HTTP/2 connections to one peer that is spoken to with prior
// knowledge (RFC 9113 section 3.3). Many requests share a connection; another
// one is opened when all have as many as the peer allows, up to max_connections,
// beyond which requests wait as max_pending and pending_timeout say.
//
// Connections come from net/http, which takes each of them as its own: retries
// are this package's business, and no connection is used that has been retired.
type h2pool struct {
	transport *http.Transport
	addr      string
	connect   time.Duration
	limit     int // max_connections; 0: none
	pending   int
	timeout   time.Duration

	mu      sync.Mutex
	list    []*h2conn            // replaced, never changed
	all     map[*h2conn]struct{} // with those that are retired and have requests
	dialing *h2dial              // one at a time
	waiting int
	changed chan struct{} // closed and made anew when a request may find a place
	closed  bool
	refuses bool // nobody waits: the peer has left
}

// h2conn is one connection.
type h2conn struct {
	*http.ClientConn
	used    atomic.Bool // it has answered a request
	retired atomic.Bool // no further requests; it is closed with its last one
	single  bool        // it is retired by its first request
}

// reserve takes a place for one request.
func (cc *h2conn) reserve() bool {
	if cc.Reserve() != nil {
		return false
	}
	if cc.retired.Load() {
		cc.Release()
		return false
	}
	if cc.single {
		cc.retired.Store(true)
	}
	return true
}

// h2dial is a connection in the making.
type h2dial struct {
	done  chan struct{}
	stale bool    // retired before it was made
	conn  *h2conn // valid after done, as is err
	err   error
}

const (
	// h2Window is how much of a response a peer may send ahead of its reader:
	// with a copy buffer it is the memory of a streamed body.
	h2Window = 128 << 10
	// h2PingAfter is how long a connection with requests may be silent before it
	// is asked whether it still lives, and h2WriteTimeout how long it may take no
	// byte.
	h2PingAfter    = 30 * time.Second
	h2WriteTimeout = 30 * time.Second
	// h2HeadLimit bounds a response's head.
	h2HeadLimit = 256 << 10
)

func newH2Pool(s *Set, p *peer) *h2pool {
	pl := &h2pool{
		addr:    p.addr.Dial,
		connect: s.times.connect,
		limit:   max(s.opts.MaxConnections, 0),
		pending: max(s.opts.MaxPending, 0),
		timeout: positive(time.Duration(s.opts.PendingTimeout), defaultPendingTimeout),
		all:     map[*h2conn]struct{}{},
		changed: make(chan struct{}),
	}
	pl.transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return s.dialer.connect(ctx, p.dials, s.times.connect)
		},
		Protocols:              new(http.Protocols),
		DisableCompression:     true,
		IdleConnTimeout:        s.times.idle,
		MaxResponseHeaderBytes: h2HeadLimit,
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream: h2Window,
			SendPingTimeout:           h2PingAfter,
			WriteByteTimeout:          h2WriteTimeout,
		},
	}
	pl.transport.Protocols.SetUnencryptedHTTP2(true)
	return pl
}

// get returns a connection with a place reserved for one request. Errors are
// those of the dial, errQueueFull, errQueueTimeout, errPeerLeft, or ctx's.
func (pl *h2pool) get(ctx context.Context) (*h2conn, error) {
	var patience *time.Timer
	defer func() {
		if patience != nil {
			patience.Stop()
			pl.mu.Lock()
			pl.waiting--
			pl.mu.Unlock()
		}
	}()
	for {
		pl.mu.Lock()
		list, changed, refuses := pl.list, pl.changed, pl.refuses
		pl.mu.Unlock()
		if refuses && patience != nil {
			return nil, errPeerLeft
		}
		for _, cc := range list {
			if cc.reserve() {
				return cc, nil
			}
		}
		dial := pl.dial()
		if dial == nil && patience == nil {
			if err := pl.join(); err != nil {
				return nil, err
			}
			patience = time.NewTimer(pl.timeout)
			continue // from now on it is told of changes
		}
		var dialed <-chan struct{}
		var expired <-chan time.Time
		if dial != nil {
			dialed = dial.done
		} else {
			expired = patience.C
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-expired:
			return nil, errQueueTimeout
		case <-changed:
		case <-dialed:
			if dial.err != nil {
				return nil, dial.err
			}
			if dial.conn.reserve() {
				return dial.conn, nil
			}
			if err := dial.conn.Err(); err != nil {
				return nil, err // it was of no use to anyone: not to be tried for ever
			}
		}
	}
}

// dial returns the connection in the making, and makes one if there is none and
// there may be. It belongs to no request: others wait for it too.
func (pl *h2pool) dial() *h2dial {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	if pl.dialing != nil || pl.limit > 0 && len(pl.list) >= pl.limit {
		return pl.dialing
	}
	d := &h2dial{done: make(chan struct{})}
	pl.dialing = d
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), pl.connect)
		defer cancel()
		cc, err := pl.transport.NewClientConn(ctx, "http", pl.addr)
		pl.mu.Lock()
		pl.dialing = nil
		if d.err = err; err == nil {
			d.conn = &h2conn{ClientConn: cc, single: pl.closed || d.stale}
			pl.list = append(slices.Clip(pl.list), d.conn)
			pl.all[d.conn] = struct{}{}
		}
		pl.mu.Unlock()
		close(d.done)
		if err == nil {
			cc.SetStateHook(func(*http.ClientConn) { pl.state(d.conn) })
		}
	}()
	return d
}

// join takes a place among those that wait, if there is one.
func (pl *h2pool) join() error {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	switch {
	case pl.refuses:
		return errPeerLeft
	case pl.waiting >= pl.pending:
		return errQueueFull
	}
	pl.waiting++
	return nil
}

// state is told when a connection has a place again, or has ended.
func (pl *h2pool) state(cc *h2conn) {
	over := cc.Err() != nil
	if !over && cc.retired.Load() && cc.InFlight() == 0 {
		cc.Close()
		over = true
	}
	pl.mu.Lock()
	defer pl.mu.Unlock()
	if over {
		pl.list = slices.DeleteFunc(slices.Clone(pl.list), func(o *h2conn) bool { return o == cc })
		delete(pl.all, cc)
	}
	pl.wake()
}

// wake has those that wait look again. pl.mu is held.
func (pl *h2pool) wake() {
	if pl.waiting > 0 {
		close(pl.changed)
		pl.changed = make(chan struct{})
	}
}

// refuse sends away those that wait and would wait, or ends that.
func (pl *h2pool) refuse(on bool) {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	pl.refuses = on
	pl.wake()
}

// cut ends all connections with the requests on them.
func (pl *h2pool) cut() {
	pl.mu.Lock()
	all := slices.Collect(maps.Keys(pl.all))
	pl.mu.Unlock()
	for _, cc := range all {
		cc.Close()
	}
}

// retire takes all connections out of use: idle ones are closed now, the others
// after their requests. With closed, none is kept that is opened later.
func (pl *h2pool) retire(closed bool) {
	pl.mu.Lock()
	old := pl.list
	pl.list = nil
	pl.closed = pl.closed || closed
	if pl.dialing != nil {
		pl.dialing.stale = true
	}
	pl.mu.Unlock()
	for _, cc := range old {
		cc.retired.Store(true)
		if cc.InFlight() == 0 {
			cc.Close()
		}
	}
}
