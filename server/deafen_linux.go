package server

import (
	"math"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// takeNoMore has the kernel refuse new connections to a listening socket, by
// binding it to a network interface that there is none of. Connections that the
// kernel has accepted already can then be taken from the socket without others
// coming up behind them, which its close would reset.
//
// Where that is not possible (kernels before 5.7) the backlog is cut short.
func takeNoMore(ln net.Listener) {
	sc, ok := ln.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) {
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, math.MaxInt32) != nil {
			unix.Listen(int(fd), 0)
		}
	})
}
