package server

import (
	"time"

	"edgerouter/internal/nowait"
	"edgerouter/wire"
)

// deadlineSlack is how far a deadline may be off before it is set again: setting
// one costs as much as matching a request. Short time-outs have less of it.
const deadlineSlack = int64(time.Second)

func slackOf(d time.Duration) int64 { return min(deadlineSlack, int64(d)/8) }

// phase says what a read of the connection waits for, and so for how long.
type phase uint8

const (
	readingIdle phase = iota
	readingHead
	readingBody // see bodyPatience
	readingRest // of a body that nobody wanted, or of a connection that ends: see rest
	readingTunnel
)

// Read reads for the exchange; handlers that hold the connection read what the
// client sends after the head.
func (c *conn) Read(p []byte) (int, error) {
	if c.inside != notInside {
		return 0, errInside
	}
	if c.reading == readingBody {
		return c.readBody(p)
	}
	n, err := c.Conn.Read(p)
	if err != nil && n == 0 && c.stopped.Load() && timedOut(err) {
		err = wire.ErrInterrupted
	}
	return n, err
}

// Write sends to the client, as long as that reads on.
func (c *conn) Write(p []byte) (int, error) {
	// What the socket takes at once needs neither a deadline nor the poller. A
	// connection that was cut is noticed by the writes that follow.
	if c.inside != notInside && c.x.Sent == 0 && len(p) <= mostWritten {
		n, err := nowait.Write(c.inside, p)
		if err == nil && n == len(p) {
			return n, nil
		}
		rest, err := c.write(p[n:])
		return n + rest, err
	}
	return c.write(p)
}

// mostWritten is how much is written at once.
const mostWritten = 64 << 10

// write is Write through the poller.
func (c *conn) write(p []byte) (int, error) {
	if !c.bounded && c.x.Sent+int64(len(p)) > mostWritten {
		c.boundUnsent()
	}
	// A handler that knew the end of its response has read the clock just now.
	now := c.x.Ended
	for sent := 0; ; now = 0 {
		if c.reading != readingTunnel {
			c.setWriteDeadline(now)
		}
		part := p[sent:]
		if len(part) > mostWritten {
			part = part[:mostWritten]
		}
		var n int
		var err error
		if c.tls == nil {
			n, err = patient{c.Conn, c}.Write(part)
		} else {
			n, err = c.Conn.Write(part)
		}
		sent += n
		if err != nil || sent == len(p) {
			return sent, err
		}
	}
}

func (c *conn) setReadDeadline(now int64, d time.Duration, slack int64) {
	want := now + int64(d)
	if diff := want - c.readDeadline; diff > slack || diff < -slack || c.readDeadline == 0 {
		c.readDeadline = want
		c.Conn.SetReadDeadline(wire.At(want))
	}
}

// StopReading is part of wire.Client. Any goroutine may call it.
func (c *conn) StopReading() {
	c.stopped.Store(true)
	c.Conn.SetReadDeadline(past)
}

var past = time.Unix(1, 0)
