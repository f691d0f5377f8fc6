package server

import (
	"crypto/tls"
	"net"
	"net/netip"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/router"
	"edgerouter/wire"
)

// conn is a client's connection. It is the net.Conn that handlers see. One
// goroutine owns it; what others touch is said at the fields.
type conn struct {
	net.Conn // plain or TLS: where bytes of HTTP go through
	srv      *Server
	raw      net.Conn  // as it was accepted
	tcp      tcpConn   // raw, if it is one
	tls      *tls.Conn // nil on plain connections
	x        wire.Exchange
	ctx      *fasthttp.RequestCtx
	secure   bool          // the request in service came over TLS, here or to a trusted proxy
	filled   bool          // ctx was used by the request
	entry    *router.Entry // of the request in service; nil when nothing matched

	peer     netip.Addr // the other end of the connection
	trusted  bool       // peer is a trusted proxy
	client   netip.Addr // who the request is from: peer, or what a trusted proxy says
	fwd      forward
	path     []byte   // scratch for the normalized path
	target   []byte   // scratch for the stripped target
	scratch  *scratch // what path, target and others were borrowed from; nil while parked
	one      [1]byte
	idle     *idleReader // made for the second request
	inside   int         // see notInside
	found    found       // by next
	requests uint64
	patience bodyPatience
	tunnel   *tunnel    // that is watched, after an upgrade
	counted  netip.Addr // by perAddress; invalid: it is not
	received uint64     // bytes that account has not seen yet
	sent     uint64

	readDeadline, writeDeadline int64    // as last set, readings of wire.Now; 0 none
	progress                    progress // of writes
	reading                     phase
	idleFrom                    int64       // when the last response was complete
	stopped                     atomic.Bool // by StopReading
	bounded                     bool        // boundUnsent was called

	// state is what the sweeper and Shutdown know of the connection: minus the
	// time since which it is idle, the time since which a request is in service
	// (readings of wire.Now), or one of the constants below.
	state atomic.Int64

	sending *sending // made when a body is first sent from where it is
	registered
}

const (
	// taken: idle, and woken up to end. Only the registry sets it, only from idle.
	taken = 0
	// busy: at work, but with nothing that could be cancelled for a client that
	// goes away.
	busy = 1
)

// protoChallenge is what a CA speaks that validates a host by TLS-ALPN-01.
const protoChallenge = "acme-tls/1"

// freshGrace is by how much a connection that has not sent a request yet counts
// as less idle: its first request may be on its way.
const freshGrace = int64(800 * time.Millisecond)

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{Conn: nc, srv: s, raw: nc, inside: notInside}
	c.tcp, _ = nc.(tcpConn)
	c.from(addressOf(nc))
	c.x.Client = c
	c.x.In.Reset(c)
	c.idleFrom = wire.Now() + freshGrace
	c.state.Store(-c.idleFrom)
	return c
}

// tcpConn is what a TCP connection can do beyond a net.Conn.
type tcpConn interface {
	net.Conn
	syscall.Conn
	SetLinger(sec int) error
}

// addressOf is the other end's; invalid when that is not TCP.
func addressOf(nc net.Conn) netip.Addr {
	if s, ok := nc.(interface{ remote() netip.Addr }); ok {
		return s.remote() // spares making a net.Addr
	}
	return ipOf(nc.RemoteAddr())
}

func ipOf(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr()
	}
	return netip.Addr{}
}

// from says who is at the other end.
func (c *conn) from(a netip.Addr) {
	if a.IsValid() {
		c.peer = a.Unmap().WithZone("")
		c.trusted = c.srv.trusts(c.peer)
	}
}

// Exchange makes conn a wire.Carrier.
func (c *conn) Exchange() *wire.Exchange { return &c.x }

// serve reads and answers requests until the connection ends.
func (c *conn) serve(secure bool) {
	defer c.end()
	if !c.open(secure) {
		return
	}
	for c.next() {
		if c.found != foundAnswer {
			c.handle()
		}
		if !c.settle() {
			return
		}
	}
}

// open takes what comes before the first request: a PROXY header, a handshake.
func (c *conn) open(secure bool) bool {
	mode := c.srv.ProxyPlain
	if secure {
		mode = c.srv.ProxySecure
	}
	if !c.proxied(mode) {
		return false
	}
	if secure {
		if !c.turn() {
			return false
		}
		c.tls = tls.Server(patient{c.Conn, c}, c.srv.TLS)
		c.Conn = c.tls
		c.Conn.SetDeadline(time.Now().Add(c.srv.Limits.HeaderTimeout))
		if err := c.tls.Handshake(); err != nil {
			c.srv.Stats.HandshakeErrors.Add(1)
			if c.notTLS(err) {
				return false
			}
			c.srv.Log.Debug().Err(err).Str("client", c.peer.String()).Msg("TLS handshake failed")
			return false
		}
		if c.srv.challenges && c.tls.ConnectionState().NegotiatedProtocol == protoChallenge {
			return false // the handshake was all that there is (RFC 8737 section 3)
		}
		c.Conn.SetDeadline(time.Time{})
		if now := wire.Now() + freshGrace; c.state.CompareAndSwap(-c.idleFrom, -now) {
			c.idleFrom = now
		}
	}
	return true
}

// end closes the connection, also after a panic of a handler: that costs one
// connection, not the process.
func (c *conn) end() {
	c.inside = notInside
	if p := recover(); p != nil {
		c.panicked(p, debug.Stack())
	} else {
		c.handBack()
	}
	c.writeDeadline = 0 // what TLS says at the end has its own
	c.Conn.Close()
	if c.tunnel != nil {
		c.tunnel.stop()
	}
	if c.counted.IsValid() {
		c.srv.perAddress.leave(c.counted)
	}
	c.account()
	c.srv.conns.remove(c)
}
