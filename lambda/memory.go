package lambda

import (
	"container/list"
	"sync"
	"sync/atomic"
)

// DefaultMemory is the budget for events and payloads when Deps names none.
const DefaultMemory = 256 << 20

// Memory is the budget that events and payloads of all functions share.
type Memory struct {
	limit int64
	used  atomic.Int64

	waiting atomic.Int32
	mu      sync.Mutex
	queue   list.List // of *claim
}

// claim is one who waits for memory.
type claim struct {
	size  int64
	ready chan struct{}
}

// NewMemory makes a budget of so many bytes; 0 means DefaultMemory. It is never
// less than what one request of the largest size needs.
func NewMemory(limit int64) *Memory {
	if limit <= 0 {
		limit = DefaultMemory
	}
	return &Memory{limit: max(limit, 4*int64(classes[len(classes)-1]))}
}

// Used is how much is in use.
func (m *Memory) Used() int64 { return m.used.Load() }

// fits tells whether n bytes are left now.
func (m *Memory) fits(n int) bool { return m.used.Load()+int64(n) <= m.limit }

// take takes n bytes, or tells false.
func (m *Memory) take(n int) bool {
	if m.waiting.Load() > 0 {
		return false
	}
	return m.grab(int64(n))
}

func (m *Memory) grab(n int64) bool {
	if m.used.Add(n) <= m.limit {
		return true
	}
	m.give(int(n))
	return false
}

// wait takes n bytes as soon as they are there, first come first served, unless
// done is closed first.
func (m *Memory) wait(n int, done <-chan struct{}) bool {
	if m.take(n) {
		return true
	}
	c := &claim{int64(n), make(chan struct{})}
	m.mu.Lock()
	m.waiting.Add(1)
	place := m.queue.PushBack(c)
	m.serve()
	m.mu.Unlock()
	select {
	case <-c.ready:
		return true
	case <-done:
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-c.ready: // it came at the same moment
		return true
	default:
	}
	m.queue.Remove(place)
	m.waiting.Add(-1)
	m.serve()
	return false
}

// give gives n bytes back.
func (m *Memory) give(n int) {
	m.used.Add(-int64(n))
	if m.waiting.Load() > 0 {
		m.mu.Lock()
		m.serve()
		m.mu.Unlock()
	}
}

// serve hands memory to those who wait the longest. mu is held.
func (m *Memory) serve() {
	for first := m.queue.Front(); first != nil; first = m.queue.Front() {
		c := first.Value.(*claim)
		if m.used.Add(c.size) > m.limit {
			m.used.Add(-c.size)
			return
		}
		m.queue.Remove(first)
		m.waiting.Add(-1)
		close(c.ready)
	}
}

// classes are the sizes of buffers. The last takes the largest event and the
// largest payload.
var classes = [...]int{4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 2 << 20, 4 << 20, MaxPayload + 4<<10}

// MaxPayload is the limit of events and of buffered payloads: 6 MB, as Lambda
// counts them.
const MaxPayload = 6291556

var pools [len(classes)]sync.Pool

// classOf is the smallest class that holds n bytes.
func classOf(n int) int {
	for i, size := range classes {
		if n <= size {
			return i
		}
	}
	return -1
}

// buffer is memory out of the budget.
type buffer struct {
	b     []byte // of the class's length
	whole *[]byte
	m     *Memory
	class int
}

// newBuffer takes a buffer of at least n bytes; false: there is no memory.
func (m *Memory) newBuffer(n int) (buffer, bool) {
	c := classOf(n)
	if c < 0 || !m.take(classes[c]) {
		return buffer{}, false
	}
	return m.fromPool(c), true
}

func (m *Memory) fromPool(class int) buffer {
	if b, ok := pools[class].Get().(*[]byte); ok {
		return buffer{*b, b, m, class}
	}
	b := make([]byte, classes[class])
	return buffer{b, &b, m, class}
}

// waitBuffer is newBuffer that waits until done.
func (m *Memory) waitBuffer(n int, done <-chan struct{}) (buffer, bool) {
	c := classOf(n)
	if c < 0 || !m.wait(classes[c], done) {
		return buffer{}, false
	}
	return m.fromPool(c), true
}

// grow makes room for n bytes and keeps the first used ones.
func (b *buffer) grow(n, used int) bool {
	if n <= len(b.b) {
		return true
	}
	bigger, ok := b.m.newBuffer(n)
	if !ok {
		return false
	}
	copy(bigger.b, b.b[:used])
	b.release()
	*b = bigger
	return true
}

// release gives the memory back; nobody may use it after that.
func (b *buffer) release() {
	if b.b == nil {
		return
	}
	pools[b.class].Put(b.whole)
	b.m.give(classes[b.class])
	*b = buffer{}
}
