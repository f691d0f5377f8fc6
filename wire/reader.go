package wire

import (
	"io"
	"sync"
)

// BufferSize is what a Reader of a client's connection starts with; most heads
// fit. PeerBufferSize is that of a peer's connection, where a small response fits
// whole, and Headroom is kept free before it for the head that the client gets.
const (
	BufferSize     = 4 << 10
	PeerBufferSize = 20 << 10
	Headroom       = 1 << 10
)

var (
	buffers     = sync.Pool{New: func() any { return new([BufferSize]byte) }}
	peerBuffers = sync.Pool{New: func() any { return new([PeerBufferSize]byte) }}
)

// Reader reads a connection through a buffer that heads and chunks are parsed
// in. It holds a buffer only between Acquire and Release, so that an idle
// connection costs none. The bytes before the mark (a parsed head) stay where
// they are while the body behind them is read.
type Reader struct {
	src   io.Reader
	buf   []byte
	small *[BufferSize]byte
	large *[PeerBufferSize]byte
	mark  int // bytes before it belong to the head
	r, w  int
}

// Reset makes the reader read src, with nothing buffered.
func (rd *Reader) Reset(src io.Reader) {
	rd.src = src
	rd.mark, rd.r, rd.w = 0, 0, 0
}

// Acquire gives the reader a buffer if it has none.
func (rd *Reader) Acquire() {
	if rd.buf == nil {
		rd.small = buffers.Get().(*[BufferSize]byte)
		rd.buf = rd.small[:]
		rd.mark, rd.r, rd.w = 0, 0, 0
	}
}

// AcquireLarge is Acquire for a peer's connection: PeerBufferSize with Headroom.
func (rd *Reader) AcquireLarge() {
	if rd.buf == nil {
		rd.large = peerBuffers.Get().(*[PeerBufferSize]byte)
		rd.buf = rd.large[:]
		rd.mark, rd.r, rd.w = Headroom, Headroom, Headroom
	}
}

// Release gives the buffer back. What was parsed from it must not be used again.
func (rd *Reader) Release() {
	if rd.small != nil {
		buffers.Put(rd.small)
	}
	if rd.large != nil {
		peerBuffers.Put(rd.large)
	}
	rd.small, rd.large, rd.buf = nil, nil, nil
	rd.mark, rd.r, rd.w = 0, 0, 0
}

// Prepend puts head right before the buffered bytes, over what was consumed, and
// returns both in one piece, or nil when there is no room.
func (rd *Reader) Prepend(head []byte) []byte {
	if rd.r < len(head) {
		return nil
	}
	copy(rd.buf[rd.r-len(head):], head)
	return rd.buf[rd.r-len(head) : rd.w]
}

// Buffered returns the bytes that were read and not consumed.
func (rd *Reader) Buffered() []byte { return rd.buf[rd.r:rd.w] }

// Consume takes n buffered bytes and keeps them in place as a head.
func (rd *Reader) Consume(n int) {
	rd.r += n
	rd.mark = rd.r
}

// Skip takes n buffered bytes that nobody needs any more.
func (rd *Reader) Skip(n int) { rd.r += n }

// Recycle forgets the head, so that its place can be used again.
func (rd *Reader) Recycle() {
	if rd.r == rd.w {
		rd.r, rd.w = 0, 0
		if rd.small == nil && rd.buf != nil {
			rd.buf = nil // a grown buffer is for one message only
			rd.Acquire()
		}
	}
	rd.mark = 0
}

// Fill reads once from the connection behind the buffered bytes. The buffer
// grows as needed; what bounds it is the limit of the one who parses.
func (rd *Reader) Fill() (int, error) {
	if rd.r == rd.w {
		rd.r, rd.w = rd.mark, rd.mark
	}
	if rd.w == len(rd.buf) {
		rd.makeRoom()
	}
	n, err := rd.src.Read(rd.buf[rd.w:])
	rd.w += n
	if n > 0 {
		return n, nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return 0, err
}

// Room is the free part of the buffer, for one who reads by other means than
// Fill and says by Added how much of it he filled.
func (rd *Reader) Room() []byte { return rd.buf[rd.w:] }

// Added is told of bytes that were put into Room.
func (rd *Reader) Added(n int) { rd.w += n }

func (rd *Reader) makeRoom() {
	if rd.r > rd.mark && rd.r-rd.mark >= len(rd.buf)/2 {
		rd.w = rd.mark + copy(rd.buf[rd.mark:], rd.buf[rd.r:rd.w])
		rd.r = rd.mark
		return
	}
	// The old buffer is left to the collector: a head may point into it.
	bigger := make([]byte, 2*len(rd.buf)+BufferSize)
	rd.w = copy(bigger[rd.mark:], rd.buf[rd.r:rd.w]) + rd.mark
	rd.r = rd.mark
	rd.buf, rd.small, rd.large = bigger, nil, nil
}

// Read takes buffered bytes first and the connection's own after them.
func (rd *Reader) Read(p []byte) (int, error) {
	if rd.r < rd.w {
		n := copy(p, rd.buf[rd.r:rd.w])
		rd.r += n
		return n, nil
	}
	return rd.src.Read(p)
}

// Unread puts one byte in front of an empty buffer.
func (rd *Reader) Unread(c byte) {
	rd.buf[0] = c
	rd.mark, rd.r, rd.w = 0, 0, 1
}

// Space returns the buffer as scratch memory; what was buffered is lost.
func (rd *Reader) Space() []byte {
	rd.mark, rd.r, rd.w = 0, 0, 0
	return rd.buf
}

// Len is the number of buffered bytes.
func (rd *Reader) Len() int { return rd.w - rd.r }

// Empty tells whether nothing is buffered.
func (rd *Reader) Empty() bool { return rd.r == rd.w }

// Truncate forgets all but the next n buffered bytes.
func (rd *Reader) Truncate(n int) { rd.w = rd.r + n }

// GetBuffer takes a buffer of BufferSize from the pool of idle ones.
func GetBuffer() *[BufferSize]byte { return buffers.Get().(*[BufferSize]byte) }

// PutBuffer gives it back.
func PutBuffer(b *[BufferSize]byte) { buffers.Put(b) }
