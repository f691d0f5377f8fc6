//go:build !race

package e2e

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// mostObjects is what a proxied small request may leave for the collector.
const mostObjects = 2

// TestProxiedRequestAllocates counts the heap objects of the whole process for a
// small request that is proxied; client and origin use none.
func TestProxiedRequestAllocates(t *testing.T) {
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 128\r\n\r\n" + string(bytes.Repeat([]byte("x"), 128)))
	origin := rawOrigin(t, func(c net.Conn) {
		var buf [4096]byte
		for {
			if _, err := c.Read(buf[:]); err != nil {
				return
			}
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
	})
	for _, c := range []struct{ name, request string }{
		{"GET", "GET /a/b?c=d HTTP/1.1\r\nHost: a.test\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n"},
		{"POST", "POST /a HTTP/1.1\r\nHost: a.test\r\nContent-Type: text/plain\r\nContent-Length: 20\r\n\r\n01234567890123456789"},
	} {
		e := newEdge(t, direct, origin, options{})
		nc, err := net.Dial("tcp", e.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(patience))
		var buf [1024]byte
		request := []byte(c.request)
		once := func() {
			if _, err := nc.Write(request); err != nil {
				t.Fatal(err)
			}
			for n := 0; !bytes.HasSuffix(buf[:n], answer[len(answer)-128:]); {
				m, err := nc.Read(buf[n:])
				if n += m; err != nil && err != io.EOF {
					t.Fatal(err)
				}
			}
		}
		once()
		if n := testing.AllocsPerRun(2000, once); n > mostObjects {
			t.Errorf("%s: %v heap objects for a request", c.name, n)
		} else {
			t.Logf("%s: %v heap objects for a request", c.name, n)
		}
	}
}
