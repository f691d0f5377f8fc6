//go:build !linux

package server

import "golang.org/x/sys/unix"

// hangups asks each connection in turn whether its client has closed it. Bytes
// that wait to be read hide it.
type hangups struct{ list []*conn }

// tellsHangUp: only a read knows.
const tellsHangUp = false

func (c *conn) hungUpUntold() bool { return false }

func newHangups() *hangups { return &hangups{} }

func (h *hangups) watch(c *conn) {
	if c.tcp != nil {
		h.list = append(h.list, c)
	}
}

func (h *hangups) poll(f func(id uint64)) {
	open := h.list[:0]
	for _, c := range h.list {
		raw, err := c.tcp.SyscallConn()
		if err != nil {
			continue
		}
		gone := false
		err = raw.Control(func(fd uintptr) {
			var b [1]byte
			n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
			gone = n == 0 && err == nil || err == unix.ECONNRESET
		})
		switch {
		case gone:
			f(c.id)
		case err == nil:
			open = append(open, c)
		}
	}
	clear(h.list[len(open):])
	h.list = open
}

func (h *hangups) close() {}
