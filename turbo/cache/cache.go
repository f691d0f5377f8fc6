// Package cache keeps the content of static sites near the sockets: in memory
// what is hot and small, on disk everything that was asked for, each in the
// encodings that clients take.
//
// Objects are named by the hash of their bytes (content.ID); where the bytes
// come from is a function that the caller gives (Fetch). Its promises:
//   - However many ask for an object, it is fetched once at a time, and a client
//     that leaves does not stop that.
//   - Every byte is checked against the hash when it arrives, when it is first read
//     from disk after a start, and after anybody has written to the file; open files
//     are compared one after the other. Encodings have checksums of their own. What
//     does not fit is thrown away.
//   - Encodings are made in the background: quickly at first use, well later if
//     there is more than one processor.
//     They are kept only where they save more than 5%.
//   - Memory and disk are bounded. What of the disk is lost is fetched again;
//     when the disk is full, small objects are kept in memory alone.
//
// A hit takes no lock and allocates nothing.
package cache

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"
	"weak"

	"github.com/rs/zerolog"

	"edgerouter/turbo/content"
)

// Defaults of Options.
const (
	DefaultMemory = 256 << 20
	DefaultDisk   = 10 << 30
)

// MaxInMemory is the size up to which a copy is kept in memory. Larger ones go
// out of the disk copy in any case, and smaller ones where it can be sent without
// copying (Copy.Pages).
const MaxInMemory = 64 << 10

// Options say where and how much is kept. A zero field takes its default.
type Options struct {
	// Dir is the folder of the disk tier; it is made.
	Dir string
	// Memory bounds the bytes of bodies in memory.
	Memory int64
	// Disk bounds the bytes in Dir.
	Disk int64
	// Workers is how many encodings are made at a time: half of the processors.
	Workers int
	Log     zerolog.Logger
}

// Cache is the two tiers. It is safe for concurrent use.
type Cache struct {
	log     zerolog.Logger
	disk    *disk
	memory  memory
	files   openFiles
	queue   *queue
	Stats   Stats
	ctx     context.Context // of what is fetched
	stop    context.CancelFunc
	running sync.WaitGroup // fetches
	// improves says that what was made quickly is made better later.
	improves bool

	compressors compressors
	// patience is how long a source may send nothing.
	patience time.Duration

	mu      sync.Mutex
	closed  bool
	objects map[content.ID]weak.Pointer[Object]
}

// Open makes a cache in a folder; what an earlier one left there is used.
func Open(o Options) (*Cache, error) {
	if o.Memory <= 0 {
		o.Memory = DefaultMemory
	}
	if o.Disk <= 0 {
		o.Disk = DefaultDisk
	}
	if o.Workers <= 0 {
		o.Workers = max(1, runtime.GOMAXPROCS(0)/2)
	}
	for _, area := range []string{filesArea, manifestsArea} {
		if err := os.MkdirAll(filepath.Join(o.Dir, area), 0o700); err != nil {
			return nil, fmt.Errorf("the folder of cached files: %w", err)
		}
	}
	c := &Cache{log: o.Log, patience: stalledAfter, improves: runtime.GOMAXPROCS(0) > 1, objects: map[content.ID]weak.Pointer[Object]{}}
	c.memory.max = o.Memory
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.disk = newDisk(o.Dir, o.Disk, o.Log, &c.Stats, c.inUse)
	c.queue = newQueue(o.Workers)
	c.running.Go(c.sample)
	return c, nil
}

// Close ends what goes on in the background and closes the files. What is in
// memory can be read on.
func (c *Cache) Close() {
	c.mu.Lock()
	closed := c.closed
	c.closed = true
	c.mu.Unlock()
	if closed {
		return
	}
	c.stop()
	c.running.Wait()
	c.queue.close()
	c.disk.close()
	c.files.close()
}

// Object returns the object with an id: always the same one as long as anyone
// holds it or it is in memory. It may not be here yet; see Object.Load.
func (c *Cache) Object(id content.ID) *Object {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o := c.objects[id].Value(); o != nil {
		return o
	}
	o := &Object{id: id, cache: c}
	c.objects[id] = weak.Make(o)
	runtime.AddCleanup(o, c.forget, id)
	return o
}

// forget drops an id whose object nobody holds any more.
func (c *Cache) forget(id content.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, ok := c.objects[id]; ok && p.Value() == nil {
		delete(c.objects, id)
	}
}

// begin counts something that Close waits for; false: it is closed.
func (c *Cache) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.running.Add(1)
	return true
}

// inUse lists the disk copies of what is in memory or open.
func (c *Cache) inUse() (paths []string) {
	c.memory.mu.Lock()
	for _, cp := range c.memory.copies {
		if cp.path != "" {
			paths = append(paths, cp.path)
		}
	}
	c.memory.mu.Unlock()
	c.files.mu.Lock()
	defer c.files.mu.Unlock()
	for _, f := range c.files.files {
		paths = append(paths, f.copy.path)
	}
	return paths
}
