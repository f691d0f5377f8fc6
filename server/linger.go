package server

import (
	"time"

	"edgerouter/wire"
)

// A response may be complete before the request's body is: nobody wanted the
// rest. As long as the client sends, the connection must not be closed, for that
// would reset it, and the client might lose the response (RFC 9112 section 9.6).
// So what it sends is read and thrown away, for LingerTime at most, and only from
// a client that keeps a pace.
const (
	// lingerPause is how long a client may send nothing.
	lingerPause = 5 * time.Second
	// lingerRate is how many bytes a second it must send, beginning with the first
	// lingerPause.
	lingerRate = 16 << 10
	// lingerLast is lingerPause for a client of whom nothing is expected.
	lingerLast = 2 * time.Second
)

// linger bounds the reading of what nobody wants.
type linger struct {
	c     *conn
	began int64
	pause time.Duration
	total int64
}

func (c *conn) linger(pause time.Duration) linger {
	c.reading = readingRest
	return linger{c: c, began: wire.Now(), pause: pause}
}

// on reports whether there is time for another read, after one that brought n
// bytes, and sets its deadline.
func (l *linger) on(n int) bool {
	l.total += int64(n)
	now := wire.Now()
	spent := time.Duration(now - l.began)
	left := l.c.srv.Limits.LingerTime - spent
	if left <= 0 || l.total < int64(max(spent-lingerPause, 0).Seconds()*lingerRate) {
		return false
	}
	l.c.setReadDeadline(now, min(l.pause, left), slackOf(l.pause))
	return true
}

// discardBody reads what nobody has read of the request's body, so that the
// connection can be used again. False: it does not come, or not to its end, or it
// never will, as 100 (Continue) was not sent.
func (c *conn) discardBody() bool {
	x := &c.x
	if x.AwaitsContinue() || x.Body.Lost() {
		return false
	}
	buf := wire.GetBuffer()
	defer wire.PutBuffer(buf)
	for l, n := c.linger(lingerPause), 0; l.on(n); {
		var err error
		if n, err = x.Body.Discard(buf[:]); x.Body.Done() {
			return true
		} else if err != nil {
			return false
		}
	}
	return false
}

// lingeringClose ends the connection as soon as the client has sent what it had
// to send. The client learns at once that there is no further response.
func (c *conn) lingeringClose() {
	c.state.Store(busy)
	pause := lingerPause
	if c.x.Body.Done() {
		pause = lingerLast
	}
	l := c.linger(pause)
	if c.closeWrite() != nil {
		return
	}
	buf := wire.GetBuffer()
	defer wire.PutBuffer(buf)
	for n := 0; l.on(n); {
		var err error
		if n, err = c.Conn.Read(buf[:]); err != nil {
			return
		}
	}
}
