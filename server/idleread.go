package server

import (
	"io"
	"syscall"

	"edgerouter/internal/nowait"
)

// idleReader waits for the next request of a plain connection. It holds a buffer
// only while there is something to read, and costs no system call more than a
// read that waits: what it tries first is what the runtime would try.
type idleReader struct {
	raw syscall.RawConn
	try func(fd uintptr) bool
	n   int
	err error
}

// fillIdle is In.Fill for a connection that nothing is buffered of.
func (c *conn) fillIdle() error {
	r := c.idle
	if r == nil {
		raw, err := c.tcp.SyscallConn()
		if err != nil {
			return err
		}
		r = &idleReader{raw: raw}
		r.try = func(fd uintptr) bool { return c.tryRead(r, int(fd)) }
		c.idle = r
	}
	if err := r.raw.Read(r.try); err != nil {
		return err
	}
	if r.n == 0 && r.err == nil {
		return io.EOF
	}
	return r.err
}

func (c *conn) tryRead(r *idleReader, fd int) bool {
	in := &c.x.In
	in.Acquire()
	r.n, r.err = nowait.Read(fd, in.Room())
	switch {
	case r.err == syscall.EAGAIN:
		in.Release()
		return false
	case r.err != nil:
		r.n = 0
	}
	in.Added(r.n)
	return true
}
