package server

import (
	"io"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// fileSender sends pieces of files by sendfile(2).
type fileSender struct {
	raw    syscall.RawConn
	source int
	offset int64
	want   int
	n      int
	err    error
	step   func(fd uintptr) bool // try, made once
}

// SendFile is part of wire.BodySender: sendfile on plain connections. The
// deadline counts from the last bytes that the client took. The kernel refers to
// the pages of the file instead of copying them, so that what is on its way to a
// slow reader needs no bound.
func (c *conn) SendFile(f *os.File, offset, n int64) (sent int64, err error) {
	if c.tcp == nil || c.Conn != c.raw {
		return c.sendBuffered(f, offset, n)
	}
	s := c.send().file
	if s == nil {
		raw, err := c.tcp.SyscallConn()
		if err != nil {
			return 0, err
		}
		s = &fileSender{raw: raw}
		s.step = s.try
		c.sending.file = s
	}
	s.source, s.offset = int(f.Fd()), offset
	for sent < n {
		c.setWriteDeadline(0)
		s.want = int(min(n-sent, 1<<30))
		if err := s.raw.Write(s.step); err != nil {
			return sent, err
		}
		if s.err != nil {
			return sent, s.err
		}
		if s.n == 0 {
			return sent, io.ErrUnexpectedEOF // the file is shorter than it was
		}
		sent += int64(s.n)
	}
	runtime.KeepAlive(f)
	return sent, nil
}

// try sends once; false: the client takes nothing now.
func (s *fileSender) try(fd uintptr) bool {
	for {
		s.n, s.err = unix.Sendfile(int(fd), s.source, &s.offset, s.want)
		switch s.err {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		}
		if s.err != nil {
			s.n = 0
			s.err = os.NewSyscallError("sendfile", s.err)
		}
		return true
	}
}
