package server

import (
	"time"

	"golang.org/x/time/rate"
)

// handshakeWait is how long a handshake beyond Limits.Handshakes waits for its
// turn.
const handshakeWait = 3 * time.Second

func newHandshakeLimit(perSecond int) *rate.Limiter {
	if perSecond <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(perSecond), perSecond)
}

// turn waits for the connection's turn to shake hands. It reports false when that
// would take too long: the connection is to be closed.
func (c *conn) turn() bool {
	s := c.srv
	if s.handshakes == nil {
		return true
	}
	place := s.handshakes.Reserve()
	wait := place.Delay()
	if wait <= 0 {
		return true
	}
	s.limited(limitHandshakes, c.peer)
	if wait > handshakeWait {
		place.Cancel()
		return false
	}
	s.pause(wait) // not while the server is about to stop
	return true
}
