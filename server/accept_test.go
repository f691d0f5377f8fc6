package server_test

import (
	"errors"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"edgerouter/server"
)

// fullListener has no descriptors left for a while.
type fullListener struct {
	tcpListener
	full     atomic.Bool
	failures atomic.Int64
}

func (l *fullListener) Accept() (net.Conn, error) {
	nc, err := l.tcpListener.Accept()
	if err == nil && l.full.Load() {
		// The connection stays in the backlog, in real life.
		nc.(interface{ SetLinger(int) error }).SetLinger(0)
		nc.Close()
		l.failures.Add(1)
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return nc, err
}

func TestOutOfDescriptors(t *testing.T) {
	t.Parallel()
	ln := &fullListener{tcpListener: listen(t).(tcpListener)}
	r := startOn(t, ln, nil)
	idle, busy := r.dial(), r.dial()
	idle.open()
	busy.open()
	ln.full.Store(true)
	// Connections in use go on; one that has been idle for long makes room. One at a
	// time asks to be accepted: a full backlog would keep busy from being in use.
	asked := int64(0)
	open := func() bool {
		busy.open()
		if ln.failures.Load() == asked {
			asked++
			if c, err := net.Dial("tcp", r.addr); err == nil { // it may be reset by then
				c.Close()
			}
		}
		return r.server.Open() > 1
	}
	for open() {
	}
	idle.ended()
	busy.open()
	ln.full.Store(false)
	r.dial().open()
	if log := r.log.String(); !strings.Contains(log, "too many open files") || !strings.Contains(log, "ulimit -n") {
		t.Errorf("the log has %s", log)
	}
	if lines := strings.Count(r.log.String(), "accepting a connection failed"); int64(lines) > ln.failures.Load()/2+1 {
		t.Errorf("%d failures made %d lines", ln.failures.Load(), lines)
	}
}

// brokenListener fails for good.
type brokenListener struct{ net.Listener }

func (brokenListener) Accept() (net.Conn, error) { return nil, errors.New("broken") }

func TestBrokenListener(t *testing.T) {
	s := server.New(server.Config{Unmatched: unobserved{}})
	defer s.Shutdown(t.Context(), 0)
	if err := s.Serve(brokenListener{listen(t)}, false); err == nil || err.Error() != "broken" {
		t.Errorf("Serve gave %v", err)
	}
}
