package load

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Origin answers requests as cheaply as can be: what a proxy's peer is while the
// proxy is measured.
//
//   - a target that ends in a number (/b/128) gets that many bytes
//   - a target that ends in /echo gets the request's head back
//   - any other gets the port that the request came to
//   - a request with a body has it read, and gets the number of its bytes
type Origin struct {
	loop  *Loop
	addrs []netip.AddrPort
	peers []*originPeer
	cache map[int64][]byte
	chunk []byte // what large bodies are made of
}

type originPeer struct {
	origin   *Origin
	fd       int
	port     []byte // the answer to a request that asks for nothing else
	requests atomic.Int64
	received atomic.Int64
	conns    atomic.Int64
}

const (
	originBuf = 16 << 10
	// wholeBody is the largest response kept ready in one piece.
	wholeBody = 4 << 20
	chunkBody = 256 << 10
)

// NewOrigin listens on addrs (port 0: a free one) and serves on the loop until
// the loop is closed.
func NewOrigin(l *Loop, addrs ...netip.AddrPort) (*Origin, error) {
	o := &Origin{loop: l, cache: map[int64][]byte{}, chunk: pattern(chunkBody)}
	for _, addr := range addrs {
		fd, bound, err := listen(addr)
		if err != nil {
			return nil, fmt.Errorf("origin: %w", err)
		}
		p := &originPeer{origin: o, fd: fd, port: response([]byte(strconv.Itoa(int(bound.Port()))))}
		o.addrs, o.peers = append(o.addrs, bound), append(o.peers, p)
		ok := l.do(func() { err = l.add(fd, p, unix.EPOLLIN) })
		if !ok {
			err = l.ended()
		}
		if err != nil {
			return nil, fmt.Errorf("origin on %s: %w", bound, err)
		}
	}
	return o, nil
}

// Addrs are the addresses that the origin listens on, one per peer.
func (o *Origin) Addrs() []netip.AddrPort { return o.addrs }

// Requests is how many requests each peer has answered.
func (o *Origin) Requests() []int64 {
	n := make([]int64, len(o.peers))
	for i, p := range o.peers {
		n[i] = p.requests.Load()
	}
	return n
}

// Received is how many bytes of request bodies have been read whole.
func (o *Origin) Received() int64 {
	var n int64
	for _, p := range o.peers {
		n += p.received.Load()
	}
	return n
}

// Connections is how many connections are open to all peers.
func (o *Origin) Connections() int64 {
	var n int64
	for _, p := range o.peers {
		n += p.conns.Load()
	}
	return n
}

// pattern is n bytes of content that does not compress to nothing.
func pattern(n int) []byte {
	b := make([]byte, n)
	x := uint32(2463534242)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte('a' + x%26)
	}
	return b
}

func responseHead(length int64) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Sun, 22 Nov 2026 12:00:00 GMT\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", length)
}

func response(body []byte) []byte { return append(responseHead(int64(len(body))), body...) }

// whole is the ready response of n bytes.
func (o *Origin) whole(n int64) []byte {
	r, ok := o.cache[n]
	if !ok {
		r = response(pattern(int(n)))
		if len(o.cache) < 64 {
			o.cache[n] = r
		}
	}
	return r
}

// ready takes the connections that wait.
func (p *originPeer) ready(uint32) {
	for {
		fd, _, err := unix.Accept4(p.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		c := &originConn{peer: p, loop: p.origin.loop, fd: fd, buf: make([]byte, originBuf)}
		if c.loop.add(fd, c, edge) != nil {
			unix.Close(fd)
			continue
		}
		p.conns.Add(1)
	}
}

type originConn struct {
	peer *originPeer
	loop *Loop
	fd   int
	buf  []byte
	have int // bytes in buf

	out    []byte // what is left of the response to write
	repeat int64  // then this many bytes of the chunk

	body    int64 // of a request, still to come; -1 none being read
	chunked bool
	chunks  chunks
	got     int64
	reading bool // a body
}

func (c *originConn) shut() {
	c.peer.conns.Add(-1)
	c.loop.closeFD(c.fd)
}

func (c *originConn) ready(events uint32) {
	if events&(unix.EPOLLERR) != 0 {
		c.shut()
		return
	}
	if len(c.out) > 0 || c.repeat > 0 {
		if !c.flush() {
			return
		}
		// Input that came while the answer was being written gave its event then.
		if c.have > 0 && !c.serve() {
			return
		}
	} else if events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP) == 0 {
		return
	}
	for {
		if c.reading && c.have == 0 && !c.chunked && c.body > 0 {
			n, e := sysDiscard(c.fd, int(min(c.body, 4<<20)))
			if !c.took(n, e) {
				return
			}
			c.body -= int64(n)
			c.got += int64(n)
			if c.body == 0 && !c.answerBody() {
				return
			}
			continue
		}
		room := len(c.buf) - c.have
		if room == 0 {
			c.shut() // a head that does not fit
			return
		}
		n, e := sysRead(c.fd, c.buf[c.have:])
		if !c.took(n, e) {
			return
		}
		c.have += n
		if !c.serve() {
			return
		}
		if n < room && events&(unix.EPOLLRDHUP|unix.EPOLLHUP) == 0 {
			return // drained; the next byte makes an event
		}
	}
}

// took tells whether a read brought something; if not, it has dealt with it.
func (c *originConn) took(n int, e unix.Errno) bool {
	switch {
	case e == unix.EAGAIN:
		return false
	case e != 0 || n <= 0:
		c.shut()
		return false
	}
	return true
}

// serve answers every whole request in buf; false when reading has to pause or
// the connection is gone.
func (c *originConn) serve() bool {
	at := 0
	for at < c.have {
		b := c.buf[at:c.have]
		if c.reading {
			var used int
			var done bool
			if c.chunked {
				var err error
				var data int64
				used, data, done, err = c.chunks.feed(b)
				if err != nil {
					c.shut()
					return false
				}
				c.got += data
			} else {
				used = int(min(c.body, int64(len(b))))
				c.body -= int64(used)
				c.got += int64(used)
				done = c.body == 0
			}
			at += used
			if !done {
				break
			}
			c.keep(at)
			at = 0
			if !c.answerBody() {
				return false
			}
			continue
		}
		end := bytes.Index(b, []byte("\r\n\r\n"))
		if end < 0 {
			break
		}
		size := end + 4
		request := b[:size]
		if b[0] != 'G' {
			if !c.bodyOf(request) {
				c.shut()
				return false
			}
			if c.reading {
				at += size
				continue
			}
		}
		ok := c.answer(request)
		at += size
		if !ok {
			c.keep(at)
			return false
		}
	}
	c.keep(at)
	return true
}

func (c *originConn) keep(at int) {
	if at == 0 {
		return
	}
	if at < c.have {
		copy(c.buf, c.buf[at:c.have])
	}
	c.have -= at
}

// bodyOf reads how the request's body is framed.
func (c *originConn) bodyOf(request []byte) bool {
	c.chunked, c.body, c.got = false, 0, 0
	for line := range bytes.SplitSeq(request, []byte("\r\n")) {
		switch {
		case len(line) > 15 && line[14] == ':' && fold(line[:14], "content-length"):
			n, ok := parseLength(trim(line[15:]))
			if !ok {
				return false
			}
			c.body = n
		case len(line) > 18 && line[17] == ':' && fold(line[:17], "transfer-encoding"):
			c.chunked = true
		case len(line) > 6 && line[6] == ':' && fold(line[:6], "expect"):
			// Written straight: it is the first thing after a head, and tiny.
			_, _ = sysWrite(c.fd, []byte("HTTP/1.1 100 Continue\r\n\r\n"))
		}
	}
	c.reading = c.chunked || c.body > 0
	return true
}

func (c *originConn) answerBody() bool {
	c.reading, c.chunked = false, false
	c.peer.requests.Add(1)
	c.peer.received.Add(c.got)
	return c.send(response([]byte(strconv.FormatInt(c.got, 10))), 0)
}

// answer writes the response to a request without a body.
func (c *originConn) answer(request []byte) bool {
	c.peer.requests.Add(1)
	o := c.peer.origin
	target := request[bytes.IndexByte(request, ' ')+1:]
	target = target[:max(0, bytes.IndexByte(target, ' '))]
	i := len(target)
	for i > 0 && digit(target[i-1]) {
		i--
	}
	n, ok := parseLength(target[i:])
	switch {
	case ok && n <= wholeBody:
		return c.send(o.whole(n), 0)
	case ok:
		return c.send(responseHead(n), n)
	case bytes.HasSuffix(target, []byte("/echo")):
		return c.send(response(bytes.Clone(request)), 0)
	default:
		return c.send(c.peer.port, 0)
	}
}

// send begins a response: b, then repeat bytes of filling.
func (c *originConn) send(b []byte, repeat int64) bool {
	c.out, c.repeat = b, repeat
	return c.flush()
}

// flush writes on; false when the socket is full or gone.
func (c *originConn) flush() bool {
	for len(c.out) > 0 || c.repeat > 0 {
		b := c.out
		filling := len(b) == 0
		if filling {
			b = c.peer.origin.chunk[:min(c.repeat, chunkBody)]
		}
		n, e := sysWrite(c.fd, b)
		if e == unix.EAGAIN {
			return false
		}
		if e != 0 {
			c.shut()
			return false
		}
		if filling {
			c.repeat -= int64(n)
		} else {
			c.out = b[n:]
		}
		if n < len(b) {
			return false // full: the next room makes an event
		}
	}
	return true
}
