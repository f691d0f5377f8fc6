package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/internal/pace"
	"edgerouter/turbo/content"
)

// The areas of the folder: files/ID and files/ID.ENCODING, manifests/ID.
const (
	filesArea     = "files"
	manifestsArea = "manifests"
	// partial begins the name of a file that is being written.
	partial = ".new-"
)

// fresh is how old a file's time of last use may be before it is set again.
const fresh = time.Hour

// disk is the tier on disk. The modification time of a file is when it was last
// taken into use, and by it the oldest go when there is no room.
type disk struct {
	dir   string
	max   int64
	used  atomic.Int64
	log   zerolog.Logger
	stats *Stats
	inUse func() []string // paths of copies that memory or open files have

	ctx     context.Context
	stop    context.CancelFunc
	full    chan struct{} // asks for room
	running sync.WaitGroup
}

func newDisk(dir string, max int64, log zerolog.Logger, stats *Stats, inUse func() []string) *disk {
	d := &disk{dir: dir, max: max, log: log, stats: stats, inUse: inUse, full: make(chan struct{}, 1)}
	d.ctx, d.stop = context.WithCancel(context.Background())
	d.running.Go(d.run)
	return d
}

func (d *disk) close() {
	d.stop()
	d.running.Wait()
}

func (d *disk) path(id content.ID, suffix string) string {
	return filepath.Join(d.dir, filesArea, id.String()+suffix)
}

// run counts what is there, and makes room when it is asked to.
func (d *disk) run() {
	d.scan(true)
	for {
		if d.used.Load() > d.max {
			d.trim(d.most())
		}
		select {
		case <-d.ctx.Done():
			return
		case <-d.full:
		}
	}
}

// most is how much is left when room was made, and so what one file may have.
func (d *disk) most() int64 { return d.max - d.max/10 }

// holds says whether a file can be kept.
func (d *disk) holds(size int64) error {
	if most := d.most(); size > most {
		return fmt.Errorf("%w: %d bytes, and one file may have %d of the folder of cached files", ErrTooLarge, size, most)
	}
	return nil
}

type aged struct {
	path string
	size int64
	used time.Time
}

// scan lists the files and sets used. What an earlier process did not finish is
// deleted at the start.
func (d *disk) scan(start bool) (files []aged) {
	var total int64
	for _, area := range []string{filesArea, manifestsArea} {
		entries, err := os.ReadDir(filepath.Join(d.dir, area))
		if err != nil {
			d.log.Error().Err(err).Msg("the folder of cached files cannot be read")
			continue
		}
		for _, e := range entries {
			if d.ctx.Err() != nil {
				return nil
			}
			path := filepath.Join(d.dir, area, e.Name())
			info, err := e.Info()
			if err != nil || !info.Mode().IsRegular() {
				continue
			}
			if strings.HasPrefix(e.Name(), partial) {
				if start && time.Since(info.ModTime()) > time.Minute {
					os.Remove(path)
				}
				continue
			}
			total += info.Size()
			files = append(files, aged{path, info.Size(), info.ModTime()})
		}
	}
	d.used.Store(total)
	return files
}

// trim deletes what was not used for longest until at most left bytes are there.
// Objects whose copy is gone are fetched again when they are asked for.
func (d *disk) trim(left int64) {
	for _, path := range d.inUse() {
		if info, err := os.Stat(path); err == nil {
			d.touch(path, info)
		}
	}
	files := d.scan(false)
	slices.SortFunc(files, func(a, b aged) int { return cmp.Or(a.used.Compare(b.used), strings.Compare(a.path, b.path)) })
	gone := 0
	for _, f := range files {
		if d.used.Load() <= left {
			break
		}
		if os.Remove(f.path) == nil {
			d.used.Add(-f.size)
			d.stats.Trimmed.Add(1)
			gone++
		}
	}
	d.log.Info().Int("files", gone).Int64("bytes", d.used.Load()).Int64("most", d.max).Msg("made room in the folder of cached files")
}

// touch notes that a file is in use.
func (d *disk) touch(path string, info fs.FileInfo) {
	if now := time.Now(); now.Sub(info.ModTime()) > fresh {
		_ = os.Chtimes(path, now, now) // without it, it only goes earlier
	}
}

// create begins a file, which finish or os.Remove ends.
func (d *disk) create() (*os.File, error) {
	folder := filepath.Join(d.dir, filesArea)
	var w *os.File
	err := d.again(folder, func() (err error) {
		w, err = os.CreateTemp(folder, partial+"*")
		return err
	})
	return w, d.failed(err)
}

// finish gives a written file its name.
func (d *disk) finish(w *os.File, path string, size int64) error {
	err := w.Close()
	if err == nil {
		if _, gone := os.Stat(filepath.Dir(path)); gone != nil {
			_ = os.MkdirAll(filepath.Dir(path), 0o700)
		}
		err = os.Rename(w.Name(), path)
	}
	if err != nil {
		os.Remove(w.Name())
		return d.failed(err)
	}
	if d.used.Add(size) > d.max {
		d.makeRoom()
	}
	return nil
}

// remove deletes a file.
func (d *disk) remove(path string, size int64) {
	if os.Remove(path) == nil {
		d.used.Add(-size)
	}
}

func (d *disk) makeRoom() {
	select {
	case d.full <- struct{}{}:
	default:
	}
}

// failed counts and logs an error of the disk, and makes room when it is full.
func (d *disk) failed(err error) error {
	if err == nil {
		return nil
	}
	d.stats.DiskErrors.Add(1)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		d.log.Error().Err(err).Str("folder", d.dir).Msg("the disk of the cached files is full: what is small is kept in memory alone")
	} else {
		d.log.Error().Err(err).Str("folder", d.dir).Msg("writing a cached file failed")
	}
	return fmt.Errorf("writing a cached file (see --data): %w", err)
}

// Manifest is the JSON of a manifest that was kept, or nil.
func (c *Cache) Manifest(id content.ID) []byte {
	path := filepath.Join(c.disk.dir, manifestsArea, id.String())
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	if content.IDOf(data) != id {
		c.Stats.Damaged.Add(1)
		c.log.Error().Str("manifest", id.String()).Msg("the kept copy of a manifest is damaged; it is deleted")
		c.disk.remove(path, int64(len(data)))
		return nil
	}
	if info, err := os.Stat(path); err == nil {
		c.disk.touch(path, info)
	}
	return data
}

// written is what is written of a manifest at a time.
const written = 64 << 10

// KeepManifest keeps the JSON of a manifest for the next start. Failures are
// logged: without it, the store is asked again.
func (c *Cache) KeepManifest(id content.ID, data []byte) {
	w, err := c.disk.create()
	if err != nil {
		return
	}
	room := pace.New()
	for at := 0; at < len(data); at += written {
		if _, err := w.Write(data[at:min(at+written, len(data))]); err != nil {
			w.Close()
			os.Remove(w.Name())
			_ = c.disk.failed(err)
			return
		}
		room.Block()
	}
	_ = c.disk.finish(w, filepath.Join(c.disk.dir, manifestsArea, id.String()), int64(len(data)))
}
