package upstream_test

import (
	"io"
	"net"
	"testing"

	"edgerouter/app"
	"edgerouter/upstream"
)

// smallRequest is what a browser behind another proxy may send, about.
const smallRequest = "GET /path?q=1 HTTP/1.1\r\nHost: bench.example.com\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n" +
	"Accept-Encoding: gzip\r\nCookie: a=b; c=d\r\n\r\n"

const smallResponse = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Sun, 22 Nov 2026 12:00:00 GMT\r\nContent-Length: 128\r\n\r\n" +
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// startFixed is a peer that answers every read with the same bytes and
// allocates nothing.
func startFixed(t testing.TB) *origin {
	response := []byte(smallResponse)
	return startOrigin(t, func(c *peerConn) {
		buf := make([]byte, 8<<10)
		for {
			if _, err := c.Conn.Read(buf); err != nil {
				return
			}
			if _, err := c.Conn.Write(response); err != nil {
				return
			}
		}
	})
}

// asking returns a function that makes one request over a kept connection and
// allocates nothing.
func asking(t testing.TB, p *proxy, request string) func() {
	nc, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	out, in := []byte(request), make([]byte, 8<<10)
	size := 0
	return func() {
		if _, err := nc.Write(out); err != nil {
			t.Fatal(err)
		}
		n, err := nc.Read(in)
		if size == 0 {
			size = n
		}
		if err == nil && n < size {
			_, err = io.ReadFull(nc, in[n:size])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestAllocationsOfARequest(t *testing.T) {
	if upstream.RaceEnabled {
		t.Skip("the race detector allocates")
	}
	o, o2 := startFixed(t), startFixed(t)
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url, o2.url}, PassHostHeader: true})
	for name, request := range map[string]string{
		"GET":  smallRequest,
		"POST": "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello",
	} {
		ask := asking(t, p, request)
		for range 100 {
			ask()
		}
		if n := testing.AllocsPerRun(1000, ask); n > 0 {
			t.Errorf("%s: %.2f allocations for a small request, want none", name, n)
		}
	}
}

// BenchmarkRequest is one small request over loopback: client, proxy and peer.
func BenchmarkRequest(b *testing.B) {
	o, o2 := startFixed(b), startFixed(b)
	p := startProxy(b, app.PeerSetOpts{Addrs: []string{o.url, o2.url}, PassHostHeader: true})
	ask := asking(b, p, smallRequest)
	ask()
	b.ReportAllocs()
	for b.Loop() {
		ask()
	}
}

// BenchmarkRequestStructured is the same behind handlers.
func BenchmarkRequestStructured(b *testing.B) {
	o, o2 := startFixed(b), startFixed(b)
	p := startProxy(b, app.PeerSetOpts{Addrs: []string{o.url, o2.url}, PassHostHeader: true}, setup{wrap: unchanged})
	ask := asking(b, p, smallRequest)
	ask()
	b.ReportAllocs()
	for b.Loop() {
		ask()
	}
}
