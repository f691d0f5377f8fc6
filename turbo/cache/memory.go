package cache

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
)

// memory is the tier of bodies in memory. When it is full, of a few copies
// chosen at random those go that were used least for their size; the others
// lose a part of their hits, so that what was hot long ago goes some day.
type memory struct {
	mu     sync.Mutex
	used   int64
	max    int64
	copies []*Copy
}

// overhead is what a copy costs beside its bytes.
const overhead = 512

const sampled = 8

func (m *memory) usage() (bytes int64, copies int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used, len(m.copies)
}

// keep puts the bytes of a copy into memory.
func (c *Cache) keep(cp *Copy, b []byte) {
	m := &c.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	if cp.bytes.Load() != nil || int64(len(b))+overhead > m.max {
		return
	}
	cp.bytes.Store(&b)
	cp.slot = len(m.copies)
	m.copies = append(m.copies, cp)
	m.used += int64(len(b)) + overhead
	for m.used > m.max {
		m.remove(m.worst(cp))
		c.Stats.Evicted.Add(1)
	}
}

// worst is the sampled copy of the least value: uses for each byte. The newest
// one had no time to be used and stays, unless it is alone.
func (m *memory) worst(newest *Copy) *Copy {
	var worst *Copy
	value := 0.0
	for range sampled {
		cp := m.copies[rand.IntN(len(m.copies))]
		if cp == newest && len(m.copies) > 1 {
			continue
		}
		hits := cp.hits.Load()
		v := float64(hits+1) / float64(cp.size+overhead)
		if worst == nil || v < value {
			worst, value = cp, v
		}
		cp.hits.Store(hits - hits/8)
	}
	if worst == nil { // the newest was drawn each time
		worst = m.copies[0]
	}
	return worst
}

// remove takes a copy out of memory. The lock is held.
func (m *memory) remove(cp *Copy) {
	last := m.copies[len(m.copies)-1]
	m.copies[cp.slot], last.slot = last, cp.slot
	m.copies[len(m.copies)-1] = nil
	m.copies = m.copies[:len(m.copies)-1]
	m.used -= cp.size + overhead
	cp.bytes.Store(nil)
}

// drop takes a copy out of memory if it is there, because a better one has its
// place.
func (m *memory) drop(cp *Copy) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if cp.bytes.Load() != nil {
		m.remove(cp)
	}
}

// maxOpen is how many files stay open.
const maxOpen = 2048

// openFiles are the disk copies that are open.
type openFiles struct {
	mu     sync.Mutex
	files  []*File
	count  atomic.Int32 // of them, for those who do not want to wait
	closed bool
}

func (o *openFiles) len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.files)
}

// add keeps a file open and makes it the one that its copy hands out. False: the
// copy has one already, or nothing stays open any more.
func (o *openFiles) add(f *File) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || !f.copy.file.CompareAndSwap(nil, f) {
		return false
	}
	if len(o.files) >= maxOpen {
		o.remove(o.files[rand.IntN(len(o.files))])
	}
	f.slot = len(o.files)
	o.files = append(o.files, f)
	o.count.Store(int32(len(o.files)))
	return true
}

func (o *openFiles) remove(f *File) {
	last := o.files[len(o.files)-1]
	o.files[f.slot], last.slot = last, f.slot
	o.files[len(o.files)-1] = nil
	o.files = o.files[:len(o.files)-1]
	o.count.Store(int32(len(o.files)))
	f.copy.file.Store(nil)
	f.Release()
}

// drop closes the file of a copy that is of no more use.
func (o *openFiles) drop(c *Copy) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if f := c.file.Load(); f != nil {
		o.remove(f)
	}
}

func (o *openFiles) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for len(o.files) > 0 {
		o.remove(o.files[0])
	}
}
