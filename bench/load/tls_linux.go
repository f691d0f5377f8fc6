package load

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// tlsWire is crypto/tls on a non-blocking descriptor. A read that finds nothing
// fails with a temporary error, after which crypto/tls can be asked again.
type tlsWire struct {
	conn *tls.Conn
	raw  *fdConn
}

// fdConn is a net.Conn on a descriptor that somebody else owns and closes.
type fdConn struct {
	fd       int
	blocking bool // wait instead of failing with errAgain
	drained  bool // nothing to read until the next event
	ended    bool
	pending  []byte
	ctx      context.Context
}

type againError struct{}

func (againError) Error() string   { return "nothing to read yet" }
func (againError) Timeout() bool   { return true }
func (againError) Temporary() bool { return true }

func handshake(ctx context.Context, fd int, cfg *tls.Config) (*tlsWire, error) {
	raw := &fdConn{fd: fd, blocking: true, ctx: ctx}
	conn := tls.Client(raw, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	raw.blocking = false
	return &tlsWire{conn: conn, raw: raw}, nil
}

// arrived tells that an event came; ended, that the end of the stream is near
// and has to be read too.
func (w *tlsWire) arrived(ended bool) { w.raw.drained, w.raw.ended = false, ended }

// unsent tells that sealed bytes wait for room in the socket; push writes them.
func (w *tlsWire) unsent() bool { return len(w.raw.pending) > 0 }
func (w *tlsWire) push()        { _, _ = w.raw.Write(nil) }

func (w *tlsWire) read(p []byte) (int, unix.Errno) {
	n, err := w.conn.Read(p)
	var errno unix.Errno
	switch {
	case n > 0:
		return n, 0
	case err == nil || errors.Is(err, againError{}):
		return 0, unix.EAGAIN
	case err == io.EOF:
		return 0, 0
	case errors.As(err, &errno):
		return 0, errno
	default:
		return 0, unix.EPROTO
	}
}

// write seals p and writes it. What does not fit into the socket is kept and goes
// first with the next call, which is then told to come again.
func (w *tlsWire) write(p []byte) (int, unix.Errno) {
	if w.unsent() {
		if w.push(); w.unsent() {
			return 0, unix.EAGAIN
		}
	}
	n, err := w.conn.Write(p)
	if err != nil {
		return 0, unix.EPIPE
	}
	return n, 0
}

func (c *fdConn) Read(p []byte) (int, error) {
	if c.drained && !c.blocking {
		return 0, againError{}
	}
	for {
		n, e := sysRead(c.fd, p)
		switch {
		case e == unix.EAGAIN && c.blocking:
			if err := poll(c.ctx, c.fd, unix.POLLIN); err != nil {
				return 0, err
			}
		case e == unix.EAGAIN:
			c.drained = true
			return 0, againError{}
		case e == unix.EINTR:
		case e != 0:
			return 0, e
		case n == 0:
			return 0, io.EOF
		default:
			c.drained = n < len(p) && !c.blocking && !c.ended
			return n, nil
		}
	}
}

func (c *fdConn) Write(p []byte) (int, error) {
	if len(c.pending) > 0 {
		c.pending = append(c.pending, p...)
	} else {
		c.pending = append(c.pending[:0], p...)
	}
	for len(c.pending) > 0 {
		n, e := sysWrite(c.fd, c.pending)
		switch {
		case e == unix.EAGAIN && c.blocking:
			if err := poll(c.ctx, c.fd, unix.POLLOUT); err != nil {
				return 0, err
			}
		case e == unix.EAGAIN:
			return len(p), nil
		case e == unix.EINTR:
		case e != 0:
			return 0, e
		default:
			c.pending = c.pending[:copy(c.pending, c.pending[n:])]
		}
	}
	return len(p), nil
}

func (c *fdConn) Close() error                     { return nil }
func (c *fdConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *fdConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *fdConn) SetDeadline(time.Time) error      { return nil }
func (c *fdConn) SetReadDeadline(time.Time) error  { return nil }
func (c *fdConn) SetWriteDeadline(time.Time) error { return nil }

// poll waits for events on fd until ctx ends.
func poll(ctx context.Context, fd int, events int16) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := []unix.PollFd{{Fd: int32(fd), Events: events}}
		n, err := unix.Poll(p, 100)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return err
		case n > 0:
			return nil
		}
	}
}

func waitConnected(ctx context.Context, fd int) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := poll(ctx, fd, unix.POLLOUT); err != nil {
		return err
	}
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return err
	}
	if errno != 0 {
		return unix.Errno(errno)
	}
	return nil
}
