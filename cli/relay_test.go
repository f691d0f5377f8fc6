package cli

import (
	"net"
	"sync"
	"testing"
)

// relay hands a TCP port on to another one, until it is cut: then bytes stop
// going through in both directions, and nobody is told, as on a network that
// drops packets.
type relay struct {
	ln net.Listener
	to string

	mu    sync.Mutex
	open  *sync.Cond
	cut   bool
	ended bool
	conns map[net.Conn]bool
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{ln: ln, to: to, conns: map[net.Conn]bool{}}
	r.open = sync.NewCond(&r.mu)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() { r.serve(c) })
		}
	})
	t.Cleanup(func() {
		r.mu.Lock()
		r.ended = true
		for c := range r.conns {
			c.Close()
		}
		r.open.Broadcast()
		r.mu.Unlock()
		ln.Close()
		running.Wait()
	})
	return r
}

func (r *relay) addr() string { return r.ln.Addr().String() }

// set cuts the relay or lets bytes through again.
func (r *relay) set(cut bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = cut
	r.open.Broadcast()
}

// pass waits until bytes may go through; false: the test is over.
func (r *relay) pass() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.cut && !r.ended {
		r.open.Wait()
	}
	return !r.ended
}

func (r *relay) track(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		c.Close()
		return false
	}
	r.conns[c] = true
	return true
}

func (r *relay) forget(c net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
	c.Close()
}

func (r *relay) serve(in net.Conn) {
	if !r.track(in) {
		return
	}
	defer r.forget(in)
	if !r.pass() {
		return
	}
	out, err := net.Dial("tcp", r.to)
	if err != nil || !r.track(out) {
		return
	}
	defer r.forget(out)
	var both sync.WaitGroup
	for _, d := range [][2]net.Conn{{in, out}, {out, in}} {
		both.Go(func() {
			defer d[0].Close()
			defer d[1].Close()
			buf := make([]byte, 64<<10)
			for {
				n, err := d[0].Read(buf)
				if n > 0 {
					if !r.pass() {
						return
					}
					if _, err := d[1].Write(buf[:n]); err != nil {
						return
					}
				}
				if err != nil {
					return
				}
			}
		})
	}
	both.Wait()
}
