package cache

import (
	"io"
	"os"
	"sync/atomic"

	"edgerouter/turbo/content"
)

// Copy is the bytes of an object in one encoding. Bytes and size never change;
// where they are does.
type Copy struct {
	owner   *Object // which stays as long as a copy is in memory
	size    int64
	path    string // of the disk copy; "": it is in memory alone
	bytes   atomic.Pointer[[]byte]
	file    atomic.Pointer[File]
	hits    atomic.Uint32
	slot    int         // in the memory tier; guarded by its lock
	touched atomic.Bool // its file's time of last use was set
	sum     content.ID  // of the bytes; the object's id if they are not encoded
	checked atomic.Pointer[stamp]
	dropped atomic.Bool // its file was damaged
}

// Size is the number of bytes.
func (c *Copy) Size() int64 { return c.size }

// Bytes are the bytes if they are in memory, else nil. They must not be changed.
// It takes no lock and allocates nothing.
func (c *Copy) Bytes() []byte {
	b := c.bytes.Load()
	if b == nil {
		return nil
	}
	c.hits.Add(1)
	return *b
}

// Read brings a copy of at most MaxInMemory into memory, out of the disk copy,
// and returns its bytes; nil for a larger one.
func (c *Copy) Read() ([]byte, error) {
	if b := c.Bytes(); b != nil {
		return b, nil
	}
	if c.size > MaxInMemory {
		return nil, nil
	}
	f, err := c.Open()
	if err != nil {
		return nil, err
	}
	defer f.Release()
	b := make([]byte, c.size)
	if n, err := f.ReadAt(b, 0); int64(n) < c.size {
		if err != nil && err != io.EOF {
			return nil, err
		}
		return nil, c.damaged(int64(n))
	}
	if content.IDOf(b) != c.sum {
		return nil, c.damaged(c.size)
	}
	c.owner.cache.keep(c, b)
	return b, nil
}

// Open returns the open disk copy. Whoever gets it calls Release.
func (c *Copy) Open() (*File, error) {
	if f := c.file.Load(); f != nil && f.acquire() {
		if err := f.check(); err != nil {
			f.Release()
			return nil, err
		}
		c.hits.Add(1)
		return f, nil
	}
	if c.path == "" {
		return nil, os.ErrNotExist
	}
	opened, err := os.Open(c.path)
	if err != nil {
		return nil, err
	}
	info, err := opened.Stat()
	if err == nil && info.Size() != c.size {
		err = c.damaged(info.Size()) // somebody else has written to it
	}
	if err != nil {
		opened.Close()
		return nil, err
	}
	if !c.touched.Swap(true) {
		c.owner.cache.disk.touch(c.path, info)
	}
	f := &File{File: opened, copy: c, fd: opened.Fd()}
	f.refs.Store(2) // the caller's and the tier's
	if err := f.check(); err != nil {
		opened.Close()
		return nil, err
	}
	if !c.owner.cache.files.add(f) {
		f.refs.Store(1)
	}
	return f, nil
}

// Pages returns the disk copy of what is in memory too, for whoever can send it
// without copying; nil when it cannot stay open, as opening it for each would cost
// more than copying does. Whoever gets it calls Release.
func (c *Copy) Pages() *File {
	if c.path == "" || c.file.Load() == nil && c.owner.cache.files.count.Load() >= maxOpen {
		return nil
	}
	f, err := c.Open()
	if err != nil {
		return nil
	}
	return f
}

// File is an open disk copy.
type File struct {
	*os.File
	copy *Copy
	refs atomic.Int32
	fd   uintptr
	slot int // in openFiles; guarded by its lock
}

func (f *File) acquire() bool {
	for {
		n := f.refs.Load()
		if n == 0 {
			return false
		}
		if f.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Release gives the file back; it stays open for the next one as long as there
// is room.
func (f *File) Release() {
	if f.refs.Add(-1) == 0 {
		f.File.Close()
	}
}

// Section is a part of a file, for whoever reads it after a handler has returned.
type Section struct {
	*io.SectionReader
	file *File
}

// Section is n bytes of the file from offset on; its Close releases the file.
func (f *File) Section(offset, n int64) *Section {
	return &Section{io.NewSectionReader(f, offset, n), f}
}

// Close releases the file, once.
func (s *Section) Close() error {
	if s.file != nil {
		s.file.Release()
		s.file = nil
	}
	return nil
}
