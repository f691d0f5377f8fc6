package s3site

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/singleflight"

	"edgerouter/internal/bucket"
	"edgerouter/turbo/cache"
	"edgerouter/turbo/content"
)

const (
	// resolveTimeout bounds how long a request waits for a file from S3.
	resolveTimeout = 30 * time.Second
	// mostMissing bounds how many paths are known not to be there.
	mostMissing = 10_000
	// failedFor is how long S3 is not asked again for a path after an error.
	failedFor = time.Second
	// unavailable is the number of the file that stands for an error.
	unavailable = 0
)

// files are the files of a version, known as they are asked for: number 0 stands
// for whatever S3 could not be asked for.
type files struct {
	bucket *bucket.Bucket
	folder string
	cache  *cache.Cache
	log    zerolog.Logger
	flight singleflight.Group

	mu      sync.RWMutex
	known   map[string]int
	list    []known
	missing map[string]struct{}
	failed  map[string]time.Time
	index   string // file in which it is kept what is known; "": none
}

type known struct {
	path   string
	kind   content.Kind
	id     content.ID
	object *cache.Object
}

func (f *files) init() {
	f.known, f.missing, f.failed = map[string]int{}, map[string]struct{}{}, map[string]time.Time{}
	f.list = []known{{}}
}

// Find is part of turbo.Files. It asks S3 for a path that it does not know.
func (f *files) Find(path []byte) (i int, ok bool) {
	if len(path) < 2 || path[len(path)-1] == '/' {
		return 0, false
	}
	f.mu.RLock()
	i, ok = f.known[string(path)]
	_, missing := f.missing[string(path)]
	failed := f.failed[string(path)]
	f.mu.RUnlock()
	switch {
	case ok:
		return i, true
	case missing || content.CheckPath(string(path)) != nil:
		return 0, false
	case time.Since(failed) < failedFor:
		return unavailable, true
	}
	name := string(path)
	found := f.flight.DoChan(name, func() (any, error) { return f.resolve(name), nil })
	timer := time.NewTimer(resolveTimeout)
	defer timer.Stop()
	select {
	case r := <-found:
		return r.Val.(int), r.Val.(int) >= 0
	case <-timer.C: // it goes on, and one of the next requests finds it
		return unavailable, true
	}
}

// resolve asks S3; -1: it is not there. However long a file takes, it comes once.
func (f *files) resolve(path string) int {
	var info bucket.Info
	o, err := f.cache.Take(func(ctx context.Context) (r io.ReadCloser, err error) {
		r, info, err = f.bucket.Get(ctx, f.folder+path[1:], "")
		return r, err
	})
	if errors.Is(err, bucket.ErrNotFound) || errors.Is(err, bucket.ErrDenied) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.missing) >= mostMissing {
			clear(f.missing)
		}
		f.missing[path] = struct{}{}
		return -1
	}
	// A body that is cut off is an error of the reader: its length is known.
	if err != nil {
		f.log.Error().Err(err).Str("path", path).Msg("a file of a site cannot be had from S3")
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.failed) >= mostMissing {
			clear(f.failed)
		}
		f.failed[path] = time.Now()
		return unavailable
	}
	k := known{path: path, kind: content.KindOf(path), id: o.ID(), object: o}
	if t, ok := content.KindOfType(info.ContentType); ok && info.ContentType != "application/octet-stream" {
		t.Hashed = k.kind.Hashed && !t.HTML()
		k.kind = t
	}
	return f.add(k, info.ContentType, true)
}

func (f *files) add(k known, contentType string, keep bool) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := len(f.list)
	f.list = append(f.list, k)
	f.known[k.path] = i
	if keep && f.index != "" {
		if err := f.note(indexed{Path: k.path, ID: k.id.String(), Type: contentType}); err != nil {
			f.log.Error().Err(err).Msg("what is known of a site cannot be kept")
		}
	}
	return i
}

// note adds a line to what is kept.
func (f *files) note(line indexed) error {
	data, _ := json.Marshal(line)
	return f.write(append(data, '\n'))
}

func (f *files) write(data []byte) error {
	w, err := os.OpenFile(f.index, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return errors.Join(err, w.Close())
}

func (f *files) at(i int) known {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.list[i]
}

// Len is part of turbo.Files.
func (f *files) Len() int {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return len(f.list)
}

// Path is part of turbo.Files.
func (f *files) Path(i int) string { return f.at(i).path }

// FileID is part of turbo.Files.
func (f *files) FileID(i int) content.ID { return f.at(i).id }

// KindOfFile is part of turbo.Files.
func (f *files) KindOfFile(i int) content.Kind { return f.at(i).kind }

// CacheControl is part of turbo.Files: nothing is overridden.
func (f *files) CacheControl([]byte) string { return "" }

// Object is part of turbo.Resolving.
func (f *files) Object(i int) *cache.Object { return f.at(i).object }

// fetch reads a known file again, when the cache has lost it.
func (f *files) fetch(i int) cache.Fetch {
	path := f.at(i).path
	return func(ctx context.Context) (io.ReadCloser, error) {
		r, _, err := f.bucket.Get(ctx, f.folder+path[1:], "")
		if errors.Is(err, bucket.ErrNotFound) || errors.Is(err, bucket.ErrDenied) {
			err = errors.Join(err, cache.ErrGone)
		}
		return r, err
	}
}

// indexed is a line of what is kept; the first has the tag of the version.
type indexed struct {
	Tag  string `json:"tag,omitempty"`
	Path string `json:"path,omitempty"`
	ID   string `json:"id,omitempty"`
	Type string `json:"type,omitempty"`
}

// recall reads what an earlier process knew of the version and goes on keeping
// it. A tag that is not the kept one makes it forget; "" takes whatever is there.
// False: nothing was kept.
func (f *files) recall(dir, tag string) bool {
	if dir == "" || os.MkdirAll(dir, 0o700) != nil {
		return false
	}
	f.index = filepath.Join(dir, content.IDOf([]byte(f.bucket.String()+"/"+f.folder)).String())
	data, err := os.ReadFile(f.index)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.log.Error().Err(err).Msg("what was known of a site cannot be read")
	}
	first, good := true, false
	for text := range bytes.Lines(data) {
		var line indexed
		if json.Unmarshal(text, &line) != nil {
			continue // the last one of a process that was killed
		}
		if first {
			if good = line.Tag != "" && (tag == "" || line.Tag == tag); !good {
				break
			}
			first = false
			continue
		}
		id, err := content.ParseID(line.ID)
		if err != nil || content.CheckPath(line.Path) != nil {
			continue
		}
		if _, twice := f.known[line.Path]; twice {
			continue
		}
		k := known{path: line.Path, kind: content.KindOf(line.Path), id: id, object: f.cache.Object(id)}
		if t, ok := content.KindOfType(line.Type); ok && line.Type != "application/octet-stream" {
			t.Hashed = k.kind.Hashed && !t.HTML()
			k.kind = t
		}
		f.add(k, line.Type, false)
	}
	if good {
		// The half of a line that a killed process left must not take the next one with it.
		if !bytes.HasSuffix(data, []byte{'\n'}) && f.write([]byte{'\n'}) != nil {
			f.index = ""
		}
		return true
	}
	if tag == "" {
		return false
	}
	if err := os.Remove(f.index); err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.index = "" // what is in it is of another version
		return false
	}
	return f.note(indexed{Tag: tag}) == nil
}
