package server

import (
	"errors"
	"net"
	"time"

	"edgerouter/wire"
)

// Serve accepts connections until the listener is closed or Shutdown is called,
// which is no error. It closes the listener.
func (s *Server) Serve(ln net.Listener, secure bool) error {
	s.accepting.Add(1)
	s.listeners.Store(ln, struct{}{})
	defer func() {
		ln.Close()
		s.listeners.Delete(ln)
		s.accepting.Done()
	}()
	if s.isDeaf() {
		return nil
	}
	last := backlog{ln: ln}
	pause := time.Duration(0)
	for {
		nc, err := ln.Accept()
		if err == nil {
			pause = 0
			last.taken++
			s.Stats.Accepted.Add(1)
			c := newConn(s, nc)
			if !c.admitted() {
				c.abort()
				continue
			}
			s.conns.add(c)
			go c.serve(secure)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if s.isDeaf() {
			if timedOut(err) && last.more() {
				continue
			}
			return nil
		}
		var ne net.Error
		if !errors.As(err, &ne) {
			return err
		}
		// Out of file descriptors, most likely: those that are in use go on being
		// served, some that are idle make room, new ones wait in the backlog.
		if pause == 0 {
			s.Log.Error().Err(err).Str("listener", ln.Addr().String()).
				Msg("accepting a connection failed; trying again (is the limit of open files, ulimit -n, too low?)")
		}
		s.conns.closeIdle(wire.Now(), int64(shedAfter), shedAtOnce)
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		s.pause(pause)
	}
}

// backlog is what the kernel has accepted for a listener that is to be closed.
type backlog struct {
	ln            net.Listener
	taken, rounds int
}

// more tells whether connections still came lately, and has Accept wait for
// others for as long again: a shorter time may be over before Accept has looked.
func (b *backlog) more() bool {
	d, ok := b.ln.(deadliner)
	if !ok || b.taken == 0 || b.rounds == 20 {
		return false
	}
	b.taken = 0
	b.rounds++
	return d.SetDeadline(time.Now().Add(backlogTime)) == nil
}

type deadliner interface{ SetDeadline(time.Time) error }

// When descriptors run out, at most shedAtOnce connections that are idle for
// shedAfter are closed at a time.
const (
	shedAfter  = time.Second
	shedAtOnce = 64
)

func (s *Server) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.deaf:
	}
}

func (s *Server) isDeaf() bool {
	select {
	case <-s.deaf:
		return true
	default:
		return false
	}
}
