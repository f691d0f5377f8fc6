package load

import (
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sysRead is read(2) that cannot block: the descriptor is non-blocking, so the
// scheduler is not told.
func sysRead(fd int, p []byte) (int, unix.Errno) {
	n, _, e := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return int(n), e
}

func sysWrite(fd int, p []byte) (int, unix.Errno) {
	n, _, e := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_NOSIGNAL, 0, 0)
	return int(n), e
}

// sysDiscard takes up to n bytes off a TCP stream without copying them.
func sysDiscard(fd int, n int) (int, unix.Errno) {
	r, _, e := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), 0, uintptr(n), unix.MSG_TRUNC, 0, 0)
	return int(r), e
}

func sockaddr(addr netip.AddrPort) (unix.Sockaddr, int) {
	ip := addr.Addr().Unmap()
	if ip.Is4() {
		return &unix.SockaddrInet4{Port: int(addr.Port()), Addr: ip.As4()}, unix.AF_INET
	}
	return &unix.SockaddrInet6{Port: int(addr.Port()), Addr: ip.As16()}, unix.AF_INET6
}

// listen opens a non-blocking listener on addr; port 0 takes a free one.
func listen(addr netip.AddrPort) (fd int, bound netip.AddrPort, err error) {
	if err := checkLoopback("listen on", addr); err != nil {
		return 0, bound, err
	}
	sa, family := sockaddr(addr)
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return 0, bound, fmt.Errorf("listen on %s: %w", addr, err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	plainCongestion(fd)
	if err = unix.Bind(fd, sa); err == nil {
		err = unix.Listen(fd, 4096)
	}
	var name unix.Sockaddr
	if err == nil {
		name, err = unix.Getsockname(fd)
	}
	if err != nil {
		unix.Close(fd)
		return 0, bound, fmt.Errorf("listen on %s: %w", addr, err)
	}
	switch s := name.(type) {
	case *unix.SockaddrInet4:
		bound = netip.AddrPortFrom(addr.Addr(), uint16(s.Port))
	case *unix.SockaddrInet6:
		bound = netip.AddrPortFrom(addr.Addr(), uint16(s.Port))
	}
	return fd, bound, nil
}

// plainCongestion chooses Reno, which every kernel has, for our side of the
// connections: pacing, as BBR does it, means timers on the load core. Accepted
// connections inherit it; what the proxy sends goes by the system's default.
func plainCongestion(fd int) {
	_ = unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, "reno")
}

// dialer opens connections to one address. Its calls are raw: with a connection
// per request they are a good part of all that the load core does.
type dialer struct {
	family int
	addr   unsafe.Pointer // raw sockaddr
	size   uintptr
	inet4  unix.RawSockaddrInet4
	inet6  unix.RawSockaddrInet6
}

func newDialer(addr netip.AddrPort) *dialer {
	d := &dialer{}
	port := addr.Port()>>8 | addr.Port()<<8 // network order on the little-endian machines that Go runs Linux on
	if ip := addr.Addr().Unmap(); ip.Is4() {
		d.family, d.inet4 = unix.AF_INET, unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port, Addr: ip.As4()}
		d.addr, d.size = unsafe.Pointer(&d.inet4), unix.SizeofSockaddrInet4
	} else {
		d.family, d.inet6 = unix.AF_INET6, unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: port, Addr: ip.As16()}
		d.addr, d.size = unsafe.Pointer(&d.inet6), unix.SizeofSockaddrInet6
	}
	return d
}

// dial begins a non-blocking connect, which on loopback is usually complete when
// it returns. from may be the zero Addr. tuned is for connections that carry more
// than one small request: a second write would wait for the acknowledgement of
// the first.
func (d *dialer) dial(from netip.Addr, tuned bool) (int, error) {
	r, _, e := unix.RawSyscall(unix.SYS_SOCKET, uintptr(d.family), unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if e != 0 {
		return -1, e
	}
	fd := int(r)
	if tuned {
		plainCongestion(fd)
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if from.IsValid() {
		// The port is chosen at connect, so that every source address has the
		// whole range of ports.
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		src, _ := sockaddr(netip.AddrPortFrom(from, 0))
		if err := unix.Bind(fd, src); err != nil {
			unix.Close(fd)
			return -1, err
		}
	}
	if _, _, e := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(d.addr), d.size); e != 0 && e != unix.EINPROGRESS {
		unix.Close(fd)
		return -1, e
	}
	return fd, nil
}
