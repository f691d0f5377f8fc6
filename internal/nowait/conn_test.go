package nowait_test

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

	"edgerouter/internal/nowait"
	"edgerouter/internal/testkit"
)

func pair(t testing.TB) (near *nowait.Conn, far *net.TCPConn) {
	t.Helper()
	dialed, accepted := testkit.Pair(t)
	near, err := nowait.NewConn(dialed)
	if err != nil {
		t.Fatal(err)
	}
	return near, accepted
}

func TestConnIsANetConn(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		near, far := pair(t)
		return near, far, func() { near.Close(); far.Close() }, nil
	})
}

// TestConnPassesAll: more than the kernel's buffers take, in one piece and in two.
func TestConnPassesAll(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	near, far := pair(t)
	sent := make(chan error, 1)
	go func() {
		_, err := near.Write(body)
		two := net.Buffers{body[:10], body[10:]}
		_, err2 := two.WriteTo(near)
		sent <- errors.Join(err, err2, near.CloseWrite())
	}()
	far.SetDeadline(time.Now().Add(20 * time.Second))
	got, err := io.ReadAll(far)
	if err := errors.Join(err, <-sent); err != nil || !bytes.Equal(got, append(body, body...)) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// TestConnErrors: they are those of package net.
func TestConnErrors(t *testing.T) {
	near, far := pair(t)
	near.SetReadDeadline(time.Now().Add(time.Millisecond))
	buf := make([]byte, 1)
	var ne net.Error
	if _, err := near.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
		t.Errorf("after the deadline: %v", err)
	}
	near.SetReadDeadline(time.Now().Add(20 * time.Second))
	far.SetLinger(0)
	far.Close()
	if _, err := near.Read(buf); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after a reset: %v", err)
	}
	if _, err := near.Write(buf); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("a write after a reset: %v", err)
	}
	near.Close()
	if _, err := near.Read(buf); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestConnAllocatesNothing(t *testing.T) {
	near, far := pair(t)
	buf := make([]byte, 64)
	if n := testing.AllocsPerRun(200, func() {
		near.Write(buf)
		io.ReadFull(far, buf)
		far.Write(buf)
		io.ReadFull(near, buf)
	}); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}
