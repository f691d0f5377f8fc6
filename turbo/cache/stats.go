package cache

import "sync/atomic"

// Stats count what happened since the start.
type Stats struct {
	Fetched, FetchedBytes atomic.Uint64 // objects that came from their source
	FetchErrors           atomic.Uint64 // attempts that failed, Damaged included
	Damaged               atomic.Uint64 // objects with other bytes than their hash says
	DiskErrors            atomic.Uint64 // writes to the disk that failed
	Evicted               atomic.Uint64 // copies that memory had no room for
	Trimmed               atomic.Uint64 // files that the disk had no room for
	Encoded               atomic.Uint64 // copies that were compressed
}

// Usage is what is kept now.
type Usage struct {
	MemoryBytes, DiskBytes  int64
	MemoryCopies, OpenFiles int
	Queued                  int // encodings that are still to be made
}

// Usage tells what is kept now.
func (c *Cache) Usage() Usage {
	var u Usage
	u.MemoryBytes, u.MemoryCopies = c.memory.usage()
	u.DiskBytes = c.disk.used.Load()
	u.OpenFiles = c.files.len()
	u.Queued = c.queue.len()
	return u
}
