package upstream

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"edgerouter/wire"
)

// afterFailedWrite is how long an answer may take to come after the body could
// not be written: it was under way already, or there is none.
const afterFailedWrite = time.Second

// uploader passes a streamed request body on to the peer while the response may
// already be coming back. It owns one goroutine, which ends with the body, with
// the peer's connection, or by end.
type uploader struct {
	x        *wire.Exchange
	pc       *peerConn
	patience time.Duration // timeouts.response_header
	trailers trailers
	done     chan struct{}
	taken    atomic.Bool           // the client's body was read to its end
	whole    atomic.Bool           // and passed on
	failure  atomic.Pointer[error] // why the client's body failed

	mu   sync.Mutex
	head bool // the response's has come: it is not waited for any more
}

func startUpload(c *call, pc *peerConn) *uploader {
	u := &uploader{
		x: c.x, pc: pc, done: make(chan struct{}), trailers: c.trailers,
		patience: c.s.times.header,
	}
	// The time to answer counts from the end of the body.
	pc.unlimitedRead()
	go u.run()
	return u
}

func (u *uploader) run() {
	defer close(u.done)
	var memory buffer
	defer memory.release()
	x, buf := u.x, memory.start(false)
	for {
		room := buf[wire.ChunkHeadSize : len(buf)-2]
		n, err := x.Body.Read(room)
		last := eof(err) || (n > 0 && x.Body.Done() && !x.Head.Chunked)
		if last {
			u.taken.Store(true)
		}
		if n > 0 {
			part := room[:n]
			if x.Head.Chunked {
				at := wire.PutChunkHead(buf[:wire.ChunkHeadSize], n)
				end := wire.ChunkHeadSize + n
				part = buf[at : end+copy(buf[end:], "\r\n")]
			}
			if !u.write(part) {
				return
			}
		}
		if last {
			break
		}
		if err == wire.ErrInterrupted {
			return // by end
		}
		if err != nil {
			u.fail(err)
			return
		}
		if n == len(room) {
			buf = memory.grow(0)
		}
	}
	if x.Head.Chunked {
		last := append(buf[:0], "0\r\n"...)
		last = u.trailers.append(last)
		if !u.write(append(last, "\r\n"...)) {
			return
		}
	}
	u.whole.Store(true)
	u.await(u.patience)
}

// write tells false when the peer takes no more of the body: its answer says
// why, if there is one.
func (u *uploader) write(p []byte) bool {
	now := wire.Now()
	if want := now + int64(u.patience); want-u.pc.writeBy > min(slack, int64(u.patience)/8) {
		u.pc.writeBy = want
		u.pc.Conn.SetWriteDeadline(wire.At(want))
	}
	if _, err := u.pc.Conn.Write(p); err != nil {
		u.await(min(u.patience, afterFailedWrite))
		return false
	}
	return true
}

// await gives the peer so long from now for the head of its response.
func (u *uploader) await(d time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.head {
		u.pc.Conn.SetReadDeadline(time.Now().Add(d))
	}
}

// answered ends the wait for the head.
func (u *uploader) answered() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.head = true
	u.pc.unlimitedRead()
}

// fail has the peer not take a part for the whole. A response that is under way
// to a client that sends too much goes on, if the peer lets it.
func (u *uploader) fail(err error) {
	u.failure.Store(&err)
	u.mu.Lock()
	head := u.head
	u.mu.Unlock()
	if !head || !tooLarge(err) || closeWrite(u.pc.Conn) != nil {
		u.pc.Cancel()
	}
}

// tooLarge reports whether a body failed because of a limit of its size.
func tooLarge(err error) bool {
	var we *wire.Error
	return errors.As(err, &we) && we.Status == 413
}

// lastWrite is how long the end of a body that is being written when the
// response is complete may take, if the connection is to be used again.
const lastWrite = 50 * time.Millisecond

// end waits for the goroutine, whose body nobody needs any more if it is still
// at it. It tells whether the whole body was passed on.
func (u *uploader) end() bool {
	if !u.taken.Load() {
		u.pc.Cancel()
		u.x.Client.StopReading()
		<-u.done
		return false
	}
	if u.whole.Load() {
		<-u.done
		return true
	}
	hurry := time.AfterFunc(lastWrite, u.pc.Cancel)
	<-u.done
	return hurry.Stop() && u.whole.Load()
}

// eof tells whether a stream ended cleanly.
func eof(err error) bool { return err == io.EOF }
