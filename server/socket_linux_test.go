package server_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/nettest"
	"golang.org/x/sys/unix"

	"edgerouter/server"
)

// pair returns the two ends of a connection: the client's, and what Listen's
// listener makes of it.
func pair(t testing.TB, addr string) (*net.TCPConn, net.Conn) {
	t.Helper()
	ln, err := server.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	far, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	near, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close(); near.Close() })
	return far.(*net.TCPConn), near
}

// TestSocketIsAConn: the connections of Listen do what is asked of a net.Conn,
// on both ends of a conversation.
func TestSocketIsAConn(t *testing.T) {
	for name, swapped := range map[string]bool{"near": false, "far": true} {
		t.Run(name, func(t *testing.T) {
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				far, near := pair(t, "127.0.0.1:0")
				stop := func() { far.Close(); near.Close() }
				if swapped {
					return far, near, stop, nil
				}
				return near, far, stop, nil
			})
		})
	}
}

func TestSocketAddresses(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		far, near := pair(t, addr)
		if got, want := near.RemoteAddr().String(), far.LocalAddr().String(); got != want {
			t.Errorf("%s: the remote address is %s, not %s", addr, got, want)
		}
		if got, want := near.LocalAddr().String(), far.RemoteAddr().String(); got != want {
			t.Errorf("%s: the local address is %s, not %s", addr, got, want)
		}
	}
}

// TestSocketOptions: what is set on the listening socket holds for connections.
func TestSocketOptions(t *testing.T) {
	_, near := pair(t, "127.0.0.1:0")
	raw, err := near.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []struct {
		name              string
		level, opt, value int
	}{
		{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 30},
		{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 10},
		{"TCP_KEEPCNT", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3},
		{"SO_PROTOCOL", unix.SOL_SOCKET, unix.SO_PROTOCOL, unix.IPPROTO_TCP},
	} {
		raw.Control(func(fd uintptr) {
			if v, err := unix.GetsockoptInt(int(fd), o.level, o.opt); v != o.value || err != nil {
				t.Errorf("%s is %d, %v; want %d", o.name, v, err, o.value)
			}
			if flags, err := unix.FcntlInt(fd, unix.F_GETFD, 0); flags&unix.FD_CLOEXEC == 0 || err != nil {
				t.Errorf("the descriptor is handed on to other programs")
			}
		})
	}
}

// TestSocketEnds: a clean end is seen as such and a reset too, also by one who
// has never waited.
func TestSocketEnds(t *testing.T) {
	for name, waits := range map[string]bool{"early": false, "waiting": true} {
		t.Run(name, func(t *testing.T) {
			far, near := pair(t, "127.0.0.1:0")
			near.SetDeadline(time.Now().Add(patience))
			far.SetDeadline(time.Now().Add(patience))
			if waits {
				wait(t, near)
			}
			far.Write([]byte("first"))
			got := make([]byte, 5)
			if _, err := io.ReadFull(near, got); err != nil || string(got) != "first" {
				t.Fatalf("%q, %v", got, err)
			}
			if err := near.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if n, err := far.Read(got); err != io.EOF {
				t.Errorf("the other end reads %d bytes, %v, and not the end", n, err)
			}
			far.Write([]byte("later"))
			if _, err := io.ReadFull(near, got); err != nil || string(got) != "later" {
				t.Errorf("%q, %v after CloseWrite", got, err)
			}
			if err := near.(interface{ SetLinger(int) error }).SetLinger(0); err != nil {
				t.Fatal(err)
			}
			far.Write([]byte("unread"))
			near.Close()
			if _, err := far.Write([]byte("x")); err == nil {
				if _, err = far.Read(got); !errors.Is(err, syscall.ECONNRESET) && err != io.EOF {
					t.Errorf("the other end sees %v, not a reset", err)
				}
			}
			for what, err := range map[string]error{
				"Close": near.Close(), "SetDeadline": near.SetDeadline(time.Now()),
				"Read": second(near.Read(got)), "Write": second(near.Write(got)),
			} {
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("%s of a closed connection: %v", what, err)
				}
			}
		})
	}
}

func second(_ int, err error) error { return err }

// wait has the connection wait for something to read once.
func wait(t *testing.T, nc net.Conn) {
	t.Helper()
	nc.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := nc.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a read that waits: %v", err)
	}
	nc.SetReadDeadline(time.Now().Add(patience))
}

// TestSocketSignals: a deadline in the past stops reading although there is
// something to read, and one that is lifted lets it go on.
func TestSocketSignals(t *testing.T) {
	far, near := pair(t, "127.0.0.1:0")
	far.Write([]byte("there"))
	near.SetReadDeadline(time.Unix(1, 0))
	got := make([]byte, 5)
	if n, err := near.Read(got); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes, %v", n, err)
	}
	near.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(near, got); err != nil || string(got) != "there" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestSocketWritesAll: what does not fit into the kernel's buffers is sent when
// there is room, and not beyond the deadline.
func TestSocketWritesAll(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	far, near := pair(t, "127.0.0.1:0")
	near.SetWriteDeadline(time.Now().Add(patience))
	sent := make(chan error, 1)
	go func() {
		n, err := near.Write(body)
		if n != len(body) && err == nil {
			err = io.ErrShortWrite
		}
		sent <- errors.Join(err, near.Close())
	}()
	far.SetDeadline(time.Now().Add(patience))
	got, err := io.ReadAll(far)
	if err := errors.Join(err, <-sent); err != nil || !bytes.Equal(got, body) {
		t.Errorf("%d of %d bytes, %v", len(got), len(body), err)
	}
	_, near = pair(t, "127.0.0.1:0")
	near.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := near.Write(body); !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 {
		t.Errorf("%d bytes, %v to one who does not read", n, err)
	}
}

func TestListener(t *testing.T) {
	ln, err := server.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ln.(tcpListener).SetDeadline(time.Now().Add(time.Millisecond))
	var ne net.Error
	if _, err := ln.Accept(); !errors.As(err, &ne) || !ne.Timeout() {
		t.Errorf("Accept beyond the deadline: %v", err)
	}
	ln.(tcpListener).SetDeadline(time.Time{})
	ended := make(chan error)
	go func() {
		_, err := ln.Accept()
		ended <- err
	}()
	ln.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept of a closed listener: %v", err)
	}
	if nc, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		nc.Close()
		t.Error("a closed listener is connected to")
	}
	other, err := server.Listen(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := server.Listen(ln.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a second listener on the same port: %v", err)
	}
}
