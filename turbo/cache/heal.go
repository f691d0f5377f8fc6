package cache

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"time"

	"edgerouter/internal/pace"
	"edgerouter/turbo/content"
)

// Copies on disk are not trusted: a disk flips bits, and an operator deletes or
// truncates what looks like rubbish. What is read into memory is compared with its
// checksum, what is opened to be sent by the kernel as well, unless the file system
// says that nobody has written to it since it was compared last. That is asked
// each time before it is sent. What changes below the file system, in the disk
// itself, is found by comparing one open file after the other.

// sampleEvery is how often one of the open files is compared.
const sampleEvery = time.Second

// errDamaged is in the chain of the error of a copy that has other bytes than it
// was made with.
var errDamaged = errors.New("the kept copy of a file is damaged")

// damaged drops a copy's file, logs and counts.
func (c *Copy) damaged(got int64) error {
	cache := c.owner.cache
	err := fmt.Errorf("%w: %s, %d of %d bytes", errDamaged, c.path, got, c.size)
	if c.dropped.Swap(true) {
		return err
	}
	cache.Stats.Damaged.Add(1)
	cache.log.Error().Err(err).Str("object", c.owner.id.String()).Msg("the kept copy of a file is damaged; it is made or fetched again")
	cache.disk.remove(c.path, c.size)
	return err
}

// unchanged reports whether nobody has written to an open copy since it was checked.
func (f *File) unchanged() bool {
	now, err := stampOf(f.fd, f.File)
	known := f.copy.checked.Load()
	return err == nil && known != nil && *known == now
}

// check compares an open copy with its checksum, unless nobody has written to it.
func (f *File) check() error {
	if f.unchanged() {
		return nil
	}
	return f.compare(&pace.Pacer{})
}

// compare reads an open copy, making room for others.
func (f *File) compare(room *pace.Pacer) error {
	c := f.copy
	before, err := stampOf(f.fd, f.File)
	if err != nil {
		return err
	}
	if before.size != c.size {
		return c.damaged(before.size)
	}
	hash := sha256.New()
	buf := make([]byte, min(c.size, 64<<10))
	for at := int64(0); at < c.size; {
		n, err := f.ReadAt(buf[:min(int64(len(buf)), c.size-at)], at)
		hash.Write(buf[:n])
		if at += int64(n); err != nil && at < c.size {
			if err == io.EOF {
				return c.damaged(at)
			}
			return err
		}
		room.Block()
	}
	if content.ID(hash.Sum(nil)) != c.sum {
		return c.damaged(c.size)
	}
	c.checked.Store(&before) // what was written meanwhile has another stamp
	return nil
}

// sample compares one of the open files after the other until the cache closes.
func (c *Cache) sample() {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-ticker.C:
		}
		f := c.files.any()
		if f == nil {
			continue
		}
		room := pace.New()
		if errors.Is(f.compare(&room), errDamaged) {
			f.copy.owner.lostCopy(f.copy)
		}
		f.Release()
	}
}

// any is an open file, acquired.
func (o *openFiles) any() *File {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.files) == 0 {
		return nil
	}
	f := o.files[rand.IntN(len(o.files))]
	if !f.acquire() {
		return nil
	}
	return f
}

// lostCopy forgets a copy, whichever it is.
func (o *Object) lostCopy(c *Copy) {
	for e := range o.copies {
		o.Lost(Encoding(e), c)
	}
	o.dropDelta(c)
}

// again does what needs a folder, and makes the folder if somebody has removed it.
func (d *disk) again(folder string, f func() error) error {
	err := f()
	if errors.Is(err, fs.ErrNotExist) && d.ctx.Err() == nil {
		if os.MkdirAll(folder, 0o700) == nil {
			d.log.Warn().Str("folder", folder).Msg("the folder of cached files was gone; it is made again")
			err = f()
		}
	}
	return err
}
