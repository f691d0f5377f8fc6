package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"edgerouter/turbo/content"
)

// Folder is a store on disk: files/ID and manifests/ID. Objects are written to
// temporary files beside them and renamed.
type Folder struct{ path string }

// OpenFolder makes the folder and its areas if they are not there.
func OpenFolder(path string) (*Folder, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	for _, area := range []Area{Files, Manifests} {
		if err := os.MkdirAll(filepath.Join(path, string(area)), 0o755); err != nil {
			return nil, fmt.Errorf("opening the store file://%s: %w", path, err)
		}
	}
	return &Folder{path}, nil
}

// String is the folder's URL.
func (f *Folder) String() string { return "file://" + f.path }

func (f *Folder) at(area Area, id content.ID) string {
	return filepath.Join(f.path, string(area), id.String())
}

// Has is part of Store.
func (f *Folder) Has(_ context.Context, area Area, id content.ID) (bool, error) {
	info, err := os.Stat(f.at(area, id))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("looking into the store %s: %w", f, err)
	}
	return info.Mode().IsRegular(), nil
}

// Get is part of Store.
func (f *Folder) Get(_ context.Context, area Area, id content.ID) (io.ReadCloser, error) {
	r, err := os.Open(f.at(area, id))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s/%s in %s: %w", area, id, f, ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("reading from the store %s: %w", f, err)
	}
	info, err := r.Stat()
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("reading from the store %s: %w", f, err)
	}
	return sized{r, info.Size()}, nil
}

// sized is an open object with its size.
type sized struct {
	io.ReadCloser
	size int64
}

// Size is the object's.
func (s sized) Size() int64 { return s.size }

// Put is part of Store.
func (f *Folder) Put(_ context.Context, area Area, id content.ID, o Object) (err error) {
	at := f.at(area, id)
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing into the store %s: %w", f, err)
		}
	}()
	w, err := os.CreateTemp(filepath.Dir(at), unfinished+"*")
	if err != nil {
		return err
	}
	defer os.Remove(w.Name()) // nothing once it is renamed
	defer w.Close()
	if _, err := io.Copy(w, io.NewSectionReader(o.Body, 0, o.Size)); err != nil {
		return err
	}
	// Whoever may read the folder may read what is in it, and nobody else.
	folder, err := os.Stat(filepath.Dir(at))
	if err != nil {
		return err
	}
	if err := w.Chmod(folder.Mode().Perm() & 0o644); err != nil {
		return err
	}
	// A manifest must not outlive a crash that its files do not.
	if err := w.Sync(); err != nil {
		return err
	}
	return os.Rename(w.Name(), at)
}

// List is part of Store.
func (f *Folder) List(ctx context.Context, area Area, each func(Item) error) error {
	entries, err := os.ReadDir(filepath.Join(f.path, string(area)))
	if err != nil {
		return fmt.Errorf("listing the store %s: %w", f, err)
	}
	for _, e := range entries {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		id, err := content.ParseID(e.Name())
		if err != nil {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue // it has just been deleted
		}
		if err := each(Item{ID: id, Size: info.Size(), Modified: info.ModTime()}); err != nil {
			return err
		}
	}
	return nil
}

// Delete is part of Store.
func (f *Folder) Delete(_ context.Context, area Area, ids ...content.ID) error {
	for _, id := range ids {
		if err := os.Remove(f.at(area, id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("deleting from the store %s: %w", f, err)
		}
	}
	return nil
}

// Leftovers removes what writes that were killed left before a time. A deploy that
// is under way writes to younger ones.
func (f *Folder) Leftovers(ctx context.Context, before time.Time) error {
	for _, area := range []Area{Files, Manifests} {
		entries, err := os.ReadDir(filepath.Join(f.path, string(area)))
		if err != nil {
			return fmt.Errorf("listing the store %s: %w", f, err)
		}
		for _, e := range entries {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if info, err := e.Info(); err != nil || !strings.HasPrefix(e.Name(), unfinished) || !info.Mode().IsRegular() || !info.ModTime().Before(before) {
				continue
			}
			if err := os.Remove(filepath.Join(f.path, string(area), e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("deleting from the store %s: %w", f, err)
			}
		}
	}
	return nil
}

// unfinished begins the names of files that are being written.
const unfinished = ".new-"

// Bytes is an Object of bytes in memory.
func Bytes(b []byte, contentType string) Object {
	return Object{Body: bytes.NewReader(b), Size: int64(len(b)), ContentType: contentType}
}
