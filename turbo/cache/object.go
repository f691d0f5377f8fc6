package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"crypto/sha256"

	"edgerouter/turbo/content"
)

// Fetch reads an object from where it comes from. The cache checks what it gets
// and closes the reader. When nothing came for 30 s, ctx ends. A reader that has a
// method Size() int64 tells before it is read what cannot be kept.
type Fetch func(ctx context.Context) (io.ReadCloser, error)

// ErrGone is in the chain of an error of Fetch that says that trying again is of no
// use: there is no such object.
var ErrGone = errors.New("there is no such object")

const (
	attempts   = 3
	firstPause = 200 * time.Millisecond
	// failedFor is how long a failure stands for all who ask, so that a store that
	// is down is not asked for each request.
	failedFor = time.Second
)

// Object is one content in all its encodings.
type Object struct {
	id     content.ID
	cache  *Cache
	copies [Encodings]atomic.Pointer[Copy]
	state  [Encodings]atomic.Uint32 // of the encodings, see queue.go
	deltas atomic.Pointer[[]delta]

	mu       sync.Mutex
	loading  *loading
	failed   error
	failedAt time.Time
}

// loading is a fetch under way.
type loading struct {
	done chan struct{}
	err  error
}

// ID names the object.
func (o *Object) ID() content.ID { return o.id }

// Copy returns the copy in an encoding, nil when there is none (yet).
func (o *Object) Copy(e Encoding) *Copy { return o.copies[e].Load() }

// Load sees to it that the identity copy is here, and returns when it is, or when
// ctx ends. fetch is called with a context of the cache, as the next client wants
// the object as well.
func (o *Object) Load(ctx context.Context, fetch Fetch) (*Copy, error) {
	if c := o.copies[Identity].Load(); c != nil {
		return c, nil
	}
	l, err := o.load(fetch)
	if err != nil {
		return nil, err
	}
	select {
	case <-l.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if l.err != nil {
		return nil, l.err
	}
	if c := o.copies[Identity].Load(); c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("object %s: it went as soon as it came; is there room in memory and on disk?", o.id)
}

// Lost is told of a copy that could not be read: the next Load gets it anew.
func (o *Object) Lost(e Encoding, c *Copy) {
	if o.copies[e].CompareAndSwap(c, nil) {
		o.state[e].Store(stateUnknown)
		o.cache.memory.drop(c)
		o.cache.files.drop(c)
	}
}

func (o *Object) load(fetch Fetch) (*loading, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.loading != nil {
		return o.loading, nil
	}
	if o.failed != nil && time.Since(o.failedAt) < failedFor {
		return nil, o.failed
	}
	if !o.cache.begin() {
		return nil, errClosed
	}
	l := &loading{done: make(chan struct{})}
	o.loading = l
	go func() {
		defer o.cache.running.Done()
		l.err = o.bring(fetch)
		o.mu.Lock()
		o.loading, o.failed, o.failedAt = nil, l.err, time.Now()
		o.mu.Unlock()
		close(l.done)
	}()
	return l, nil
}

var errClosed = errors.New("the cache is closed")

// bring finds the object on disk or fetches it.
func (o *Object) bring(fetch Fetch) error {
	c := o.cache
	if o.copies[Identity].Load() != nil || o.fromDisk() {
		return nil
	}
	pause := firstPause
	for attempt := 1; ; attempt++ {
		err := o.fetch(fetch)
		if err == nil {
			return nil
		}
		c.Stats.FetchErrors.Add(1)
		if attempt == attempts || errors.Is(err, ErrGone) || errors.Is(err, ErrTooLarge) || c.ctx.Err() != nil {
			if c.ctx.Err() == nil {
				c.log.Error().Err(err).Str("object", o.id.String()).Int("attempts", attempt).Msg("a file could not be fetched")
			}
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-c.ctx.Done():
			timer.Stop()
			return err
		}
		pause *= 4
	}
}

// fromDisk takes up the copy of an earlier process, if it is there and whole.
func (o *Object) fromDisk() bool {
	c := o.cache
	path := c.disk.path(o.id, "")
	f, err := os.Open(path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			_ = c.disk.failed(err)
		}
		return false
	}
	defer f.Close()
	var small smallBody
	hash := sha256.New()
	size, err := io.Copy(io.MultiWriter(hash, &small), f)
	if err != nil {
		_ = c.disk.failed(err)
		return false
	}
	if got := content.ID(hash.Sum(nil)); got != o.id {
		c.Stats.Damaged.Add(1)
		c.log.Error().Err(&content.Mismatch{Want: o.id, Got: got, Size: size}).Msg("the kept copy of a file is damaged; it is fetched again")
		c.disk.remove(path, size)
		return false
	}
	o.publish(Identity, &Copy{owner: o, size: size, path: path, sum: o.id}, small.whole(size))
	return true
}

// smallBody collects what goes through it as long as it is small.
type smallBody struct {
	b    []byte
	over bool
}

func (s *smallBody) Write(p []byte) (int, error) {
	if s.over || len(s.b)+len(p) > MaxInMemory {
		s.b, s.over = nil, true
		return len(p), nil
	}
	s.b = append(s.b, p...)
	return len(p), nil
}

// whole is the body, nil when it was too large.
func (s *smallBody) whole(size int64) []byte {
	if s.over {
		return nil
	}
	return append(make([]byte, 0, size), s.b...)
}

// publish makes a copy the one that is served. b is its content where that is
// to be in memory.
func (o *Object) publish(e Encoding, cp *Copy, b []byte) {
	if b != nil {
		o.cache.keep(cp, b)
		if cp.path == "" && cp.bytes.Load() == nil {
			return
		}
	}
	old := o.copies[e].Swap(cp)
	o.state[e].Store(stateReady)
	if old != nil {
		o.cache.memory.drop(old)
		o.cache.files.drop(old)
	}
}

// fetch reads the object from its source into both tiers.
func (o *Object) fetch(fetch Fetch) error {
	c := o.cache
	r, end, err := c.watch(fetch)
	if err != nil {
		return err
	}
	defer end()
	if err := c.disk.holds(r.size()); err != nil {
		return fmt.Errorf("object %s: %w", o.id, err)
	}
	w := &spool{disk: c.disk, hash: sha256.New(), limit: c.disk.most()}
	defer w.abandon()
	if _, err := io.Copy(w, r); err != nil {
		return fmt.Errorf("object %s: %w", o.id, err)
	}
	if got := content.ID(w.hash.Sum(nil)); got != o.id {
		c.Stats.Damaged.Add(1)
		return &content.Mismatch{Want: o.id, Got: got, Size: w.size}
	}
	cp, body, err := w.copy(o, "")
	if err != nil {
		return err
	}
	c.Stats.Fetched.Add(1)
	c.Stats.FetchedBytes.Add(uint64(cp.size))
	o.publish(Identity, cp, body)
	return nil
}

// Add puts content into the cache that has no source to be fetched from again:
// it is there until it is evicted. Content beyond limit, or beyond what the disk
// tier can keep, is refused (ErrTooLarge); 0 is no limit.
func (c *Cache) Add(r io.Reader, limit int64) (*Object, error) {
	if !c.begin() {
		return nil, errClosed
	}
	defer c.running.Done()
	return c.add(r, limit)
}

// Take is Add of what fetch reads, once, under the promises of Fetch: it may take as
// long as it goes on.
func (c *Cache) Take(fetch Fetch) (*Object, error) {
	if !c.begin() {
		return nil, errClosed
	}
	defer c.running.Done()
	r, end, err := c.watch(fetch)
	if err != nil {
		return nil, err
	}
	defer end()
	if err := c.disk.holds(r.size()); err != nil {
		return nil, err
	}
	return c.add(r, 0)
}

func (c *Cache) add(r io.Reader, limit int64) (*Object, error) {
	if most := c.disk.most(); limit <= 0 || limit > most {
		limit = most
	}
	w := &spool{disk: c.disk, hash: sha256.New(), limit: limit}
	defer w.abandon()
	if _, err := io.Copy(w, r); err != nil {
		return nil, err
	}
	o := c.Object(content.ID(w.hash.Sum(nil)))
	if o.copies[Identity].Load() != nil || o.fromDisk() {
		return o, nil
	}
	cp, body, err := w.copy(o, "")
	if err != nil {
		return nil, err
	}
	o.publish(Identity, cp, body)
	return o, nil
}

// ErrTooLarge is in the chain of an error of content beyond a limit of the caller's or
// beyond what the disk tier can keep.
var ErrTooLarge = errors.New("too large to be kept")
