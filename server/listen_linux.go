package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"edgerouter/internal/nowait"
)

// Listen opens a TCP listener for Serve; addr is as net.Listen takes it. Its
// connections cost a system call each to accept: options are set on the listening
// socket, from which Linux hands them on, the local address is asked for only when
// somebody wants it, and the poller hears of a connection when that has to wait.
//
// Clients that offer MPTCP get TCP, which is what the other end of nearly all
// connections speaks anyway: a listener for both costs each of them more.
func Listen(addr string) (net.Listener, error) {
	lc := net.ListenConfig{KeepAlive: -1, Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) { failed = setOptions(int(fd)) })
		return errors.Join(err, failed)
	}}
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer ln.Close() // the file is another descriptor of the same socket
	file, err := ln.(*net.TCPListener).File()
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	l := &listener{file: file, raw: raw, addr: ln.Addr()}
	l.try = l.tryAccept
	return l, nil
}

// setOptions has small writes sent at once and a dead client noticed after about
// a minute.
func setOptions(fd int) error {
	return errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 30),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 10),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3),
	)
}

// listener hands connections out as sockets.
type listener struct {
	file   *os.File
	raw    syscall.RawConn // of file
	addr   net.Addr
	closed atomic.Bool

	mu  sync.Mutex // one Accept at a time; guards what follows
	try func(fd uintptr) bool
	got *socket
	err error
}

// Accept is part of net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.got, l.err = nil, nil
	err := l.raw.Read(l.try)
	switch {
	case err != nil && l.closed.Load():
		err = net.ErrClosed
	case err == nil && l.err == nil:
		return l.got, nil
	case err == nil:
		err = os.NewSyscallError("accept4", l.err)
	}
	return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: err}
}

func (l *listener) tryAccept(fd uintptr) bool {
	for {
		nfd, from, err := nowait.Accept(int(fd))
		switch err {
		case nil:
			l.got = &socket{fd: nfd, client: from}
			return true
		case syscall.EAGAIN:
			return false
		case syscall.EINTR, syscall.ECONNABORTED: // the latter: it left before its turn
		default:
			l.err = err
			return true
		}
	}
}

// Close is part of net.Listener; Accept returns.
func (l *listener) Close() error {
	l.closed.Store(true)
	return l.file.Close()
}

// Addr is part of net.Listener.
func (l *listener) Addr() net.Addr { return l.addr }

// SetDeadline bounds how long Accept waits.
func (l *listener) SetDeadline(t time.Time) error { return l.file.SetDeadline(t) }

// SyscallConn makes listener a syscall.Conn.
func (l *listener) SyscallConn() (syscall.RawConn, error) { return l.raw, nil }
