package server_test

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"edgerouter/router"
	"edgerouter/server"
)

// TestEndWithRequest: a client that ends its side together with a request gets the
// answer and the end, whichever request it is and although nothing else tells of
// it.
func TestEndWithRequest(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *server.Config, _ *router.Entry) { c.Limits.IdleTimeout = time.Hour })
	for before := range 4 {
		for _, last := range []string{
			"GET /last HTTP/1.1\r\nHost: a.test\r\n\r\n",
			"POST /last HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nhi",
		} {
			c := r.dial()
			for range before {
				c.open()
			}
			raw, err := c.Conn.(*net.TCPConn).SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			if err := raw.Control(func(fd uintptr) {
				unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_CORK, 1) // one segment for both
			}); err != nil {
				t.Fatal(err)
			}
			c.send(last)
			c.Conn.(*net.TCPConn).CloseWrite()
			if a := c.response("GET"); a.StatusCode != 200 {
				t.Errorf("after %d: %d", before, a.StatusCode)
			}
			began := time.Now()
			c.ended()
			t.Logf("after %d, %s: %v", before, last[:4], time.Since(began))
		}
	}
	eventually(t, "all are closed", func() bool { return r.server.Open() == 0 })
}
