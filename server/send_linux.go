package server

import (
	"io"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fileSender sends a head and a piece of a file by sendto(2) and sendfile(2).
type fileSender struct {
	c      *conn
	raw    syscall.RawConn
	head   []byte // what is left of it
	source int
	offset int64
	left   int64 // of the piece
	sent   int64
	moved  bool // something went out since the deadline was set
	err    error
	step   func(fd uintptr) bool // try, made once
}

// SendsPages is part of wire.BodySender.
func (c *conn) SendsPages() bool { return c.tcp != nil && c.Conn == c.raw }

// SendFile is part of wire.BodySender: on plain connections the head waits in the
// socket for the first bytes of the file, which sendfile brings. The deadline
// counts from the last bytes that the client took. The kernel refers to the pages
// of the file instead of copying them, so that what is on its way to a slow reader
// needs no bound.
func (c *conn) SendFile(head []byte, f *os.File, offset, n int64) (int64, error) {
	if !c.SendsPages() {
		return c.sendBuffered(head, f, offset, n)
	}
	s := c.send().file
	if s == nil {
		raw, err := c.tcp.SyscallConn()
		if err != nil {
			return 0, err
		}
		s = &fileSender{c: c, raw: raw}
		s.step = s.try
		c.sending.file = s
	}
	s.head, s.source, s.offset, s.left = head, int(f.Fd()), offset, n
	s.sent, s.moved, s.err = 0, false, nil
	c.setWriteDeadline(c.x.Ended)
	err := s.raw.Write(s.step)
	for err != nil && c.goesOn(0, err) {
		err = s.raw.Write(s.step)
	}
	s.head = nil
	runtime.KeepAlive(f)
	if err == nil {
		err = s.err
	}
	return s.sent, err
}

// mostAtOnce is how much sendfile is asked for at once.
const mostAtOnce = 1 << 30

// try sends until everything went out; false: the client takes nothing now.
func (s *fileSender) try(fd uintptr) bool {
	for len(s.head) > 0 || s.left > 0 {
		n, call, err := 0, "sendfile", error(nil)
		if len(s.head) > 0 {
			call = "sendto"
			n, err = sendMore(fd, s.head)
		} else {
			n, err = unix.Sendfile(int(fd), s.source, &s.offset, int(min(s.left, mostAtOnce)))
		}
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			if s.moved {
				s.moved = false
				s.c.setWriteDeadline(0)
			}
			return false
		case err != nil:
			s.err = os.NewSyscallError(call, err)
			return true
		case n == 0:
			s.err = io.ErrUnexpectedEOF // the file is shorter than it was
			return true
		}
		if len(s.head) > 0 {
			s.head = s.head[n:]
		} else {
			s.left -= int64(n)
		}
		s.sent += int64(n)
		s.moved = true
	}
	return true
}

// sendMore is send(2) of what more follows.
func sendMore(fd uintptr, p []byte) (int, error) {
	n, _, e := unix.Syscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_MORE|unix.MSG_NOSIGNAL, 0, 0)
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}
