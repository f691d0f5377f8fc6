//go:build linux && !race

package server_test

import (
	"bytes"
	"net/netip"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"edgerouter/internal/testkit"
)

// TestIdleConnectionsAreSmall: an idle keep-alive connection takes at most 12 KB
// of heap and stack. The clients are bare sockets, so that only the server's
// side is counted.
func TestIdleConnectionsAreSmall(t *testing.T) {
	testkit.Long(t)
	const connections, most = 2000, 12 << 10
	r := start(t, nil)
	r.dial().open()
	before := inUse()
	for range connections {
		fd := bareSocket(t, r.addr)
		defer unix.Close(fd)
		exchange(t, fd)
	}
	eventually(t, "they are parked", func() bool { return r.server.Parked() >= connections })
	each := (inUse() - before) / connections
	t.Logf("%d bytes for each of %d idle connections", each, connections)
	if each > most {
		t.Errorf("an idle connection takes %d bytes, more than %d", each, most)
	}
}

func inUse() int64 {
	runtime.GC()
	runtime.GC() // what pools held is gone after two
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

func bareSocket(t *testing.T, addr string) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	ap := netip.MustParseAddrPort(addr)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}); err != nil {
		t.Fatal(err)
	}
	return fd
}

// exchange sends a request with an ordinary number of fields and reads the answer.
func exchange(t *testing.T, fd int) {
	t.Helper()
	request := "GET /some/path?with=query HTTP/1.1\r\nHost: a.test\r\nUser-Agent: " + repeat("u", 100) +
		"\r\nAccept: */*\r\nAccept-Encoding: gzip\r\nCookie: session=" + repeat("c", 200) + "\r\n\r\n"
	if _, err := unix.Write(fd, []byte(request)); err != nil {
		t.Fatal(err)
	}
	var buf [1024]byte
	n, err := unix.Read(fd, buf[:])
	if err != nil || !bytes.HasSuffix(buf[:n], []byte("ok")) {
		t.Fatalf("%q, %v", buf[:n], err)
	}
}
