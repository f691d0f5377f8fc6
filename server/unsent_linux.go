package server

import "golang.org/x/sys/unix"

// mostUnsent is how much of a response the kernel keeps for a client beside what
// is on its way to it. Without a bound, that is megabytes for each slow reader,
// and a few hundred of them exhaust what the kernel has for all of TCP.
const mostUnsent = 128 << 10

// boundUnsent sets it, once for a connection.
func (c *conn) boundUnsent() {
	c.bounded = true
	if c.tcp == nil {
		return
	}
	raw, err := c.tcp.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, mostUnsent)
	})
}

// unacknowledged returns how many bytes the kernel holds that the client's has not
// taken, 0 when that is not known.
func (c *conn) unacknowledged() (n int) {
	if c.tcp == nil {
		return 0
	}
	raw, err := c.tcp.SyscallConn()
	if err != nil {
		return 0
	}
	raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	return n
}
