package server

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"edgerouter/internal/nowait"
)

// socket is a client's TCP connection that the runtime's poller is told of when
// it has to wait for the first time. Many that carry one request never do: it has
// come when they are accepted, and the response fits into the kernel's buffer.
// They are spared the poller's system calls and memory.
//
// A deadline that passes before the connection has waited is noticed when it has
// to. One that lay in the past when it was set, as the signal to stop, holds at
// once.
type socket struct {
	client netip.AddrPort

	closed atomic.Bool

	// Set once, as the last of what the poller's side of the connection consists
	// of; from then on the file does everything.
	polled atomic.Bool
	file   *os.File
	raw    syscall.RawConn // of file
	pipe   nowait.Pipe     // of raw

	mu              sync.Mutex // held during system calls before polled, none of which waits
	fd              int        // -1 when closed
	readBy, writeBy time.Time  // deadlines that the poller is to be told
}

// early tells whether the poller has not been told yet. Then mu is held, and late
// must follow.
func (s *socket) early() bool {
	if s.polled.Load() {
		return false
	}
	s.mu.Lock()
	if s.polled.Load() {
		s.mu.Unlock()
		return false
	}
	return true
}

func (s *socket) late() { s.mu.Unlock() }

// poll tells the poller. Deadlines that others set from then on go to the file.
func (s *socket) poll() error {
	s.file = os.NewFile(uintptr(s.fd), "")
	s.raw, _ = s.file.SyscallConn()
	s.pipe.Open(s.raw)
	err := s.file.SetReadDeadline(s.readBy) // fails where the poller has no place
	if err == nil {
		err = s.file.SetWriteDeadline(s.writeBy)
	}
	s.polled.Store(true)
	return err
}

// Read is part of net.Conn.
func (s *socket) Read(p []byte) (int, error) {
	if s.early() {
		n, err := nowait.Read(s.fd, p)
		if err != unix.EAGAIN {
			s.late()
			if n == 0 && err == nil && len(p) > 0 {
				err = io.EOF
			}
			return n, s.fault("read", err)
		}
		err = s.poll()
		s.late()
		if err != nil {
			return 0, s.fault("read", err)
		}
	}
	n, err := s.pipe.Read(p)
	return n, s.fault("read", err)
}

// Write is part of net.Conn.
func (s *socket) Write(p []byte) (sent int, err error) {
	if s.early() {
		for sent < len(p) && err == nil {
			var n int
			n, err = nowait.Write(s.fd, p[sent:])
			sent += n
		}
		if err == unix.EAGAIN {
			err = s.poll()
		}
		s.late()
		if err != nil || sent == len(p) {
			return sent, s.fault("write", err)
		}
	}
	n, err := s.pipe.Write(p[sent:])
	return sent + n, s.fault("write", err)
}

// fault makes an error one of package net.
func (s *socket) fault(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	if s.closed.Load() {
		err = net.ErrClosed
	}
	return &net.OpError{Op: op, Net: "tcp", Addr: s.RemoteAddr(), Err: err}
}

// Close is part of net.Conn.
func (s *socket) Close() error {
	if s.closed.Swap(true) {
		return s.fault("close", net.ErrClosed)
	}
	if !s.early() {
		return s.file.Close()
	}
	defer s.late()
	fd := s.fd
	s.fd = -1
	return nowait.Close(fd)
}

// RemoteAddr is part of net.Conn.
func (s *socket) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(s.client) }

func (s *socket) remote() netip.Addr { return s.client.Addr() }

// LocalAddr is part of net.Conn; it asks the kernel.
func (s *socket) LocalAddr() net.Addr {
	var local netip.AddrPort
	rawSocket{s}.Control(func(fd uintptr) {
		local, _ = nowait.LocalAddr(int(fd))
	})
	return net.TCPAddrFromAddrPort(local)
}

// SetDeadline is part of net.Conn.
func (s *socket) SetDeadline(t time.Time) error {
	if err := s.SetReadDeadline(t); err != nil {
		return err
	}
	return s.SetWriteDeadline(t)
}

// SetReadDeadline is part of net.Conn.
func (s *socket) SetReadDeadline(t time.Time) error {
	if s.early() {
		s.readBy = t
		return s.noted(t)
	}
	return s.fault("set", s.file.SetReadDeadline(t))
}

// SetWriteDeadline is part of net.Conn.
func (s *socket) SetWriteDeadline(t time.Time) error {
	if s.early() {
		s.writeBy = t
		return s.noted(t)
	}
	return s.fault("set", s.file.SetWriteDeadline(t))
}

// noted ends the setting of an early deadline. Those that are signals lie before
// the start of the process, which tells them without a look at the clock.
func (s *socket) noted(t time.Time) error {
	defer s.late()
	switch {
	case s.fd < 0:
		return s.fault("set", net.ErrClosed)
	case !t.IsZero() && t.Before(started):
		return s.fault("set", s.poll())
	}
	return nil
}

var started = time.Now()

// CloseWrite ends what is sent, not what is read.
func (s *socket) CloseWrite() error {
	return s.control("close", func(fd int) error { return unix.Shutdown(fd, unix.SHUT_WR) })
}

// SetLinger is that of net.TCPConn.
func (s *socket) SetLinger(sec int) error {
	l := unix.Linger{Linger: int32(max(sec, 0))}
	if sec >= 0 {
		l.Onoff = 1
	}
	return s.control("set", func(fd int) error {
		return unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &l)
	})
}

func (s *socket) control(op string, f func(fd int) error) error {
	var failed error
	err := rawSocket{s}.Control(func(fd uintptr) { failed = f(int(fd)) })
	if err == nil {
		err = failed
	}
	return s.fault(op, err)
}

// SyscallConn makes socket a syscall.Conn.
func (s *socket) SyscallConn() (syscall.RawConn, error) { return rawSocket{s}, nil }

// waiter makes socket a lazyConn.
func (s *socket) waiter() syscall.RawConn {
	if !s.polled.Load() {
		return nil
	}
	return s.raw
}

// rawSocket is a socket as a syscall.RawConn.
type rawSocket struct{ s *socket }

// Control calls f; a closed socket is an error.
func (r rawSocket) Control(f func(fd uintptr)) error {
	s := r.s
	if !s.early() {
		return s.raw.Control(f)
	}
	defer s.late()
	if s.fd < 0 {
		return net.ErrClosed
	}
	f(uintptr(s.fd))
	return nil
}

// Read calls f, and again whenever there is something to read, until it is done.
func (r rawSocket) Read(f func(fd uintptr) bool) error {
	return r.until(f, syscall.RawConn.Read)
}

// Write calls f, and again whenever there is room, until it is done.
func (r rawSocket) Write(f func(fd uintptr) bool) error {
	return r.until(f, syscall.RawConn.Write)
}

func (r rawSocket) until(f func(fd uintptr) bool, wait func(syscall.RawConn, func(fd uintptr) bool) error) error {
	s := r.s
	if s.early() {
		done, err := false, net.ErrClosed
		if s.fd >= 0 {
			if done, err = f(uintptr(s.fd)), nil; !done {
				err = s.poll()
			}
		}
		s.late()
		if done || err != nil {
			return err
		}
	}
	return wait(s.raw, f)
}
