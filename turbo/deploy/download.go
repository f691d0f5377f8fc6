package deploy

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"

	"edgerouter/turbo/content"
	"edgerouter/turbo/store"
)

// Download writes the files of a manifest below a folder, which need not exist.
// Files that are there with the right content are left alone, others are
// replaced; what the manifest does not have stays. Nothing is written through
// symbolic links.
func Download(ctx context.Context, s store.Store, id content.ID, folder string, progress func(Progress)) (Progress, error) {
	m, _, err := store.Manifest(ctx, s, id)
	if err != nil {
		return Progress{}, err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return Progress{}, err
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return Progress{}, err
	}
	defer root.Close()
	var (
		mu   sync.Mutex
		done Progress
	)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(Parallel)
	for i := range m.Len() {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			var size int64
			var fetched bool
			err := again(ctx, func() (err error) {
				size, fetched, err = download(ctx, s, root, m.Path(i)[1:], m.FileID(i))
				return err
			})
			if err != nil {
				return fmt.Errorf("%s: %w", m.Path(i), err)
			}
			mu.Lock()
			defer mu.Unlock()
			done.Files++
			done.Bytes += size
			if fetched {
				done.Sent++
				done.SentBytes += size
			}
			if progress != nil {
				progress(done)
			}
			return nil
		})
	}
	err = group.Wait()
	return done, err
}

func download(ctx context.Context, s store.Store, root *os.Root, name string, id content.ID) (size int64, fetched bool, err error) {
	if size, ok := sameFile(root, name, id); ok {
		return size, false, nil
	}
	if dir := filepath.Dir(name); dir != "." {
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return 0, false, err
		}
	}
	r, err := s.Get(ctx, store.Files, id)
	if err != nil {
		return 0, false, err
	}
	defer r.Close()
	temp := filepath.Join(filepath.Dir(name), ".new-"+id.String()+"-"+filepath.Base(name))
	if len(filepath.Base(temp)) > 255 {
		temp = filepath.Join(filepath.Dir(name), ".new-"+content.IDOf([]byte(name)).String())
	}
	w, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return 0, false, err
	}
	defer func() {
		w.Close()
		if err != nil {
			root.Remove(temp)
		}
	}()
	hash := sha256.New()
	if size, err = io.Copy(io.MultiWriter(w, hash), r); err != nil {
		return 0, false, fmt.Errorf("reading from %s: %w", s, err)
	}
	if got := content.ID(hash.Sum(nil)); got != id {
		return 0, false, fmt.Errorf("reading from %s: %w", s, &content.Mismatch{Want: id, Got: got, Size: size})
	}
	if err := w.Close(); err != nil {
		return 0, false, err
	}
	return size, true, root.Rename(temp, name)
}

// sameFile says whether a file has that content already.
func sameFile(root *os.Root, name string, id content.ID) (size int64, same bool) {
	f, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) || err != nil {
		return 0, false
	}
	defer f.Close()
	hash := sha256.New()
	size, err = io.Copy(hash, f)
	return size, err == nil && content.ID(hash.Sum(nil)) == id
}
