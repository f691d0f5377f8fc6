package nowait

import (
	"io"
	"net"
	"sync"
	"syscall"
)

// Conn is a TCP connection that reads and writes without the scheduler.
type Conn struct {
	*net.TCPConn
	pipe Pipe
}

// NewConn fails when c is closed.
func NewConn(c *net.TCPConn) (*Conn, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	n := &Conn{TCPConn: c}
	n.pipe.Open(raw)
	return n, nil
}

// Read is part of net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.pipe.Read(p)
	return n, c.fault("read", err)
}

// Write is part of net.Conn.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.pipe.Write(p)
	return n, c.fault("write", err)
}

func (c *Conn) fault(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	if oe, ok := err.(*net.OpError); ok { // of the RawConn
		err = oe.Err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// Pipe reads and writes through a RawConn, whose deadlines hold. The zero value
// has to be opened.
type Pipe struct {
	raw     syscall.RawConn
	in, out half
}

// half is one direction; what is under way is kept here, as a closure for each
// call would have to be allocated.
type half struct {
	mu  sync.Mutex
	p   []byte
	n   int
	err error
	try func(fd uintptr) bool
}

// Open makes the pipe one of raw.
func (p *Pipe) Open(raw syscall.RawConn) {
	p.raw = raw
	p.in.try, p.out.try = p.in.read, p.out.write
}

// Read is that of an io.Reader.
func (p *Pipe) Read(b []byte) (int, error) {
	h := &p.in
	h.mu.Lock()
	defer h.mu.Unlock()
	h.p, h.n, h.err = b, 0, nil
	err := p.raw.Read(h.try)
	h.p = nil
	if err == nil {
		err = h.err
	}
	if err == nil && h.n == 0 && len(b) > 0 {
		err = io.EOF
	}
	return h.n, err
}

// Write is that of an io.Writer.
func (p *Pipe) Write(b []byte) (int, error) {
	h := &p.out
	h.mu.Lock()
	defer h.mu.Unlock()
	h.p, h.n, h.err = b, 0, nil
	err := p.raw.Write(h.try)
	h.p = nil
	if err == nil {
		err = h.err
	}
	return h.n, err
}

func (h *half) read(fd uintptr) bool {
	h.n, h.err = Read(int(fd), h.p)
	return h.err != syscall.EAGAIN
}

func (h *half) write(fd uintptr) bool {
	for h.n < len(h.p) {
		n, err := Write(int(fd), h.p[h.n:])
		h.n += n
		if err != nil {
			h.err = err
			return err != syscall.EAGAIN
		}
	}
	h.err = nil
	return true
}
