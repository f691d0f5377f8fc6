package upstream

import (
	"io"
	"net"
	"testing"
	"time"
)

// TestUnseen: bytes that came after the peer had closed are known not to have
// been acted on; bytes that it read, or that wait for it, are not. What the kernel
// acknowledges late is waited for: 40 ms.
func TestUnseen(t *testing.T) {
	const request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"
	for name, c := range map[string]struct {
		// peer is the other side. before is done ahead of the write, after behind it.
		before, after func(t *testing.T, peer *net.TCPConn)
		want          bool
	}{
		"closed before": {before: closes, want: true},
		"read, then closed": {after: func(t *testing.T, peer *net.TCPConn) {
			reads(t, peer, len(request))
			closes(t, peer)
		}},
		"read in part, then closed": {after: func(t *testing.T, peer *net.TCPConn) {
			reads(t, peer, len(request)/2)
			time.Sleep(60 * time.Millisecond)
			closes(t, peer)
		}},
		"open and not read":  {after: func(*testing.T, *net.TCPConn) {}},
		"half closed before": {before: closesWrite, want: true},
		"half closed before, and read": {before: closesWrite, after: func(t *testing.T, peer *net.TCPConn) {
			reads(t, peer, len(request))
			time.Sleep(60 * time.Millisecond)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			pc, peer := tcpPair(t)
			if c.before != nil {
				c.before(t, peer)
			}
			n, err := io.WriteString(pc.Conn, request)
			if err != nil {
				t.Fatal(err)
			}
			if c.after != nil {
				c.after(t, peer)
			}
			pc.Conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			_, err = pc.Conn.Read(make([]byte, 1)) // until it has ended, if it does
			if got := pc.unseen(int64(n)); got != c.want {
				t.Errorf("unseen = %t, want %t (the read ended with %v)", got, c.want, err)
			}
		})
	}
}

// tcpPair is a connection over which a request and its answer have gone.
func tcpPair(t *testing.T) (*peerConn, *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close(); other.Close() })
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []net.Conn{nc, other} {
		to := other
		if from == other {
			to = nc
		}
		if _, err := from.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		reads(t, to.(*net.TCPConn), 5)
	}
	return &peerConn{Conn: nc, socket: nc, raw: raw}, other.(*net.TCPConn)
}

func closes(t *testing.T, peer *net.TCPConn) {
	t.Helper()
	if err := peer.Close(); err != nil {
		t.Fatal(err)
	}
}

func closesWrite(t *testing.T, peer *net.TCPConn) {
	t.Helper()
	if err := peer.CloseWrite(); err != nil {
		t.Fatal(err)
	}
}

func reads(t *testing.T, from *net.TCPConn, n int) {
	t.Helper()
	if _, err := io.ReadFull(from, make([]byte, n)); err != nil {
		t.Fatal(err)
	}
}
