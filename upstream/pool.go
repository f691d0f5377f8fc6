package upstream

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/sys/unix"

	"edgerouter/internal/nowait"
	"edgerouter/wire"
)

// pool holds the connections to one peer. fasthttp's HostClient does the
// keeping: last in, first out, idle ones are closed after a while. TLS is done
// below it, so that what comes out is always a peerConn. How many there may be
// is the gate's business: one request has one connection.
type pool struct {
	hc    *fasthttp.HostClient
	h2    *h2pool       // instead of hc for h2c peers
	tls   *tls.Config   // nil for plain peers
	epoch atomic.Uint32 // connections of an older one are not kept

	mu   sync.Mutex             // held while a connection is opened or closed
	open map[*peerConn]struct{} // all of them, idle or not; h2 has its own
}

// closedEpoch is that of a closed pool, which keeps none.
const closedEpoch = 1<<32 - 1

// unlimited is max_connections for the HostClient.
const unlimited = 1 << 30

func (s *Set) newPool(p *peer) *pool {
	pl := &pool{open: map[*peerConn]struct{}{}}
	if p.addr.H2C {
		pl.h2 = newH2Pool(s, p)
		return pl
	}
	if p.addr.TLS {
		pl.tls = tlsForPeer(s.tls, p.addr, "http/1.1")
	}
	pl.hc = &fasthttp.HostClient{
		Addr:                p.addr.Dial,
		MaxConns:            unlimited,
		MaxIdleConnDuration: s.times.idle,
		ConnPoolStrategy:    fasthttp.LIFO,
		DialTimeout: func(_ string, timeout time.Duration) (net.Conn, error) {
			if timeout <= 0 || timeout > s.times.connect {
				timeout = s.times.connect
			}
			return s.dial(p, pl, timeout)
		},
	}
	return pl
}

// dial opens a connection to the peer, with TLS where it has it.
func (s *Set) dial(p *peer, pl *pool, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	pc := &peerConn{pool: pl, epoch: pl.epoch.Load()}
	nc, err := s.dialer.connect(ctx, p.dials, timeout)
	if err != nil {
		return nil, err
	}
	pc.Conn, pc.socket = nc, nc
	if tcp, ok := nc.(*net.TCPConn); ok {
		if pc.raw, err = tcp.SyscallConn(); err == nil {
			nc, err = nowait.NewConn(tcp)
		}
		if err != nil {
			tcp.Close()
			return nil, err
		}
		pc.Conn, pc.socket = nc, nc
		pc.look = pc.lookAt
	}
	if pl.tls != nil {
		tc := tls.Client(nc, pl.tls)
		if err := tc.HandshakeContext(ctx); err != nil {
			nc.Close()
			return nil, err
		}
		pc.Conn = tc
	}
	pc.canceler = pc
	pc.in.Reset(pc.Conn)
	pl.mu.Lock()
	pl.open[pc] = struct{}{}
	pl.mu.Unlock()
	return pc, nil
}

// acquire takes a kept connection or opens one within timeout (0: within
// timeouts.connect). giveBack must follow.
func (pl *pool) acquire(timeout time.Duration) (*peerConn, error) {
	cc, err := pl.hc.AcquireConn(timeout, false)
	if err != nil {
		return nil, err
	}
	pc := cc.Conn().(*peerConn)
	if pc.giveBack == nil {
		pc.giveBack = func(reusable bool) {
			if !reusable || !pl.keeps(pc) {
				pl.hc.CloseConn(cc)
				return
			}
			pl.hc.ReleaseConn(cc)
			if !pl.keeps(pc) {
				pl.hc.CloseIdleConnections() // it changed in between
			}
		}
	}
	return pc, nil
}

// closeIdle closes the idle connections; those in use are closed after their
// request.
func (pl *pool) closeIdle() {
	for {
		e := pl.epoch.Load()
		if e == closedEpoch || pl.epoch.CompareAndSwap(e, e+1) {
			break
		}
	}
	pl.dropIdle()
}

// close is closeIdle for good: requests that still come get connections that
// are not kept.
func (pl *pool) close() {
	pl.epoch.Store(closedEpoch)
	pl.dropIdle()
}

func (pl *pool) dropIdle() {
	if pl.h2 != nil {
		pl.h2.retire(pl.epoch.Load() == closedEpoch)
		return
	}
	pl.hc.CloseIdleConnections()
}

// leave closes the idle connections, those in use after their request, and sends
// away who waits for one; rejoin ends that.
func (pl *pool) leave() {
	pl.closeIdle()
	if pl.h2 != nil {
		pl.h2.refuse(true)
	}
}

func (pl *pool) rejoin() {
	if pl.h2 != nil {
		pl.h2.refuse(false)
	}
}

// cut ends all connections at once, with what goes on over them.
func (pl *pool) cut() {
	if pl.h2 != nil {
		pl.h2.cut()
		return
	}
	pl.mu.Lock()
	defer pl.mu.Unlock()
	for pc := range pl.open {
		pc.socket.Close() // its user closes the rest
	}
}

// keeps tells whether a connection may go back into the pool.
func (pl *pool) keeps(pc *peerConn) bool {
	e := pl.epoch.Load()
	return e == pc.epoch && e != closedEpoch
}

// peerConn is one connection to a peer.
type peerConn struct {
	net.Conn          // plain or TLS
	socket   net.Conn // below TLS
	pool     *pool
	in       wire.Reader
	head     wire.ResponseHead
	body     wire.Body
	epoch    uint32
	used     bool  // a request went over it before
	doubtful bool  // the peer may have sent a body where there is none
	began    int64 // when its latest request did

	canceler  wire.Canceler // itself, at an address that lasts
	abandoned atomic.Bool   // closed by us in the middle of a request
	giveBack  func(reusable bool)
	readBy    int64 // deadlines as last set, readings of wire.Now
	writeBy   int64

	raw      syscall.RawConn // nil where there is no socket to look at
	look     func(fd uintptr)
	readable bool // what look saw
}

// Cancel is called when the client has gone, or the request's time is over: it
// makes what waits for the peer return. It closes the socket and not the TLS
// connection, which would take time to say goodbye.
func (pc *peerConn) Cancel() {
	pc.abandoned.Store(true)
	pc.socket.Close()
}

// Close makes the pool forget it, too.
func (pc *peerConn) Close() error {
	pc.pool.mu.Lock()
	delete(pc.pool.open, pc)
	pc.pool.mu.Unlock()
	return pc.Conn.Close()
}

// slack is how far a deadline may be off before it is set again.
const slack = int64(time.Second)

// within sets both deadlines to d from now, unless they are about there.
func (pc *peerConn) within(now int64, d time.Duration) {
	want := now + int64(d)
	tolerance := min(slack, int64(d)/8)
	if off := want - pc.readBy; off > tolerance || off < -tolerance {
		pc.readBy = want
		pc.Conn.SetReadDeadline(wire.At(want))
	}
	if off := want - pc.writeBy; off > tolerance || off < -tolerance {
		pc.writeBy = want
		pc.Conn.SetWriteDeadline(wire.At(want))
	}
}

// unlimitedRead lifts the deadline of reads: a body may pause as long as its
// connection lives, which TCP keep-alive watches over.
func (pc *peerConn) unlimitedRead() {
	pc.readBy = 0
	pc.Conn.SetReadDeadline(noDeadline)
}

// noDeadline lifts one.
var noDeadline time.Time

// stale looks whether the peer closed the connection, or sent something that
// nobody asked for, while it was idle.
func (pc *peerConn) stale() bool {
	if pc.raw == nil {
		return false
	}
	pc.readable = false
	return pc.raw.Control(pc.look) != nil || pc.readable
}

func (pc *peerConn) lookAt(fd uintptr) {
	p := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(p[:], 0)
	pc.readable = err == nil && n > 0
}
