package server

import (
	"errors"
	"io"
	"syscall"

	"edgerouter/internal/nowait"
)

// idleReader waits for the requests of a plain connection after its first. It
// holds a buffer only while there is something to read.
//
// Requests that have no body are answered inside of the read, and the wait for
// the next one goes on with it. That spares the read that would find nothing:
// what came since the last one, the poller has noted, as it forgets only when a
// read begins. It says nothing twice, however: the end of what the client sends,
// if it came together with the request, is noticed by nobody before the sweeper
// looks.
type idleReader struct {
	raw  syscall.RawConn
	lazy lazyConn // nil when raw waits by the poller
	try  func(fd uintptr) bool
	n    int
	err  error
}

// lazyConn is a connection that the poller may not have been told of.
type lazyConn interface {
	// waiter is what the poller waits for, nil before it is told.
	waiter() syscall.RawConn
}

// found is what a read of idleReader leaves to be done.
type found uint8

const (
	foundBytes  found = iota // or none: the end
	foundHead                // that has been parsed
	foundAnswer              // the request's, which was the last one, or has to be tidied up after
	foundTaken               // the connection is to end
)

// notInside is conn.inside unless a request is answered inside of a read. Then it
// is the descriptor, which cannot be closed meanwhile: others that close the
// connection wait for the answer, and its own goroutine must neither do that nor
// read.
const notInside = -1

// fillIdle is In.Fill for a connection that nothing is buffered of.
func (c *conn) fillIdle() error {
	r := c.idle
	if r == nil {
		raw, err := c.tcp.SyscallConn()
		if err != nil {
			return err
		}
		r = &idleReader{raw: raw}
		r.lazy, _ = c.raw.(lazyConn)
		r.try = func(fd uintptr) bool { return c.tryRead(r, int(fd)) }
		c.idle = r
	}
	if r.lazy != nil {
		if raw := r.lazy.waiter(); raw != nil {
			r.raw, r.lazy = raw, nil
		}
	}
	switch err := r.raw.Read(r.try); {
	case err != nil:
		return err
	case c.found != foundBytes:
		return nil
	case r.n == 0 && r.err == nil:
		return io.EOF
	}
	return r.err
}

// tryRead reads and tells whether there is something to be done about it outside.
func (c *conn) tryRead(r *idleReader, fd int) bool {
	in := &c.x.In
	for {
		in.Acquire()
		room := in.Room()
		r.n, r.err = nowait.Read(fd, room)
		switch {
		case r.err == syscall.EAGAIN:
			in.Release()
			return false
		case r.err != nil:
			r.n = 0
		}
		in.Added(r.n)
		if r.n == 0 || r.lazy != nil || !c.answerInside(fd) {
			return true
		}
		in.Release()
		if r.n < len(room) && tellsHangUp {
			return false // it was all there was
		}
	}
}

// answerInside answers the one request that was read and makes the connection an
// idle one again. False: something is left to be done, which c.found says.
func (c *conn) answerInside(fd int) bool {
	x := &c.x
	n, err := x.Head.Parse(x.In.Buffered(), &c.srv.wireLimits)
	if err != nil {
		return false // it will be met with again
	}
	x.In.Consume(n)
	c.reading = readingBody
	if c.found = foundHead; x.Head.HasBody() || x.Head.Continue || len(x.Head.Upgrade) > 0 {
		return false
	}
	c.inside = fd
	c.handle()
	c.inside = notInside
	if c.found = foundAnswer; x.Broken || x.Close || !x.Body.Done() {
		return false
	}
	c.settle()
	c.reading = readingIdle
	if c.found = foundBytes; !x.In.Empty() {
		return false
	}
	c.setReadDeadline(c.idleFrom, c.idleTurn(), deadlineSlack)
	if c.state.Load() == taken {
		c.found = foundTaken
		return false
	}
	return true
}

// errInside is what a handler gets that reads what cannot be there.
var errInside = errors.New("read from the connection of a request that has no body")
