package server

import "golang.org/x/sys/unix"

// hangups learns from the kernel which clients have closed their side of a
// connection or reset it, whatever they sent before that: an epoll instance that
// reports nothing else. A connection is entered once and leaves with its socket.
type hangups struct {
	fd     int
	events [128]unix.EpollEvent
}

// tellsHangUp: the end of an idle connection is known without a read.
const tellsHangUp = true

// hungUpUntold tells whether the client of an idle connection has closed its
// side. See idleReader for who misses that.
func (c *conn) hungUpUntold() (gone bool) {
	if c.tcp == nil {
		return false
	}
	raw, err := c.tcp.SyscallConn()
	if err != nil {
		return false
	}
	raw.Control(func(fd uintptr) {
		p := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(p[:], 0)
		gone = err == nil && n > 0
	})
	return gone
}

// newHangups returns nil when there is no descriptor left for it; who writes to
// a client that left finds out anyway, if later.
func newHangups() *hangups {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil
	}
	return &hangups{fd: fd}
}

// watch has the hang-up of c reported by a later poll, or the next one if it
// happened already.
func (h *hangups) watch(c *conn) {
	if h == nil || c.tcp == nil {
		return
	}
	raw, err := c.tcp.SyscallConn()
	if err != nil {
		return
	}
	id := c.id
	raw.Control(func(fd uintptr) {
		unix.EpollCtl(h.fd, unix.EPOLL_CTL_ADD, int(fd), &unix.EpollEvent{
			Events: unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: int32(id), Pad: int32(id >> 32),
		})
	})
}

// poll calls f with the ids of the connections that have hung up since the last
// call. It does not wait.
func (h *hangups) poll(f func(id uint64)) {
	if h == nil {
		return
	}
	for {
		n, err := unix.EpollWait(h.fd, h.events[:], 0)
		if err != nil {
			return
		}
		for _, e := range h.events[:n] {
			f(uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32)
		}
		if n < len(h.events) {
			return
		}
	}
}

func (h *hangups) close() {
	if h != nil {
		unix.Close(h.fd)
	}
}
