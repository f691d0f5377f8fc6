// Package deploy puts a site into a store and takes it out again.
//
// In goes a tar (plain, gzip or zstd), out comes the id of a manifest that
// describes it. Every file is hashed as it is read and sent only if the store
// does not have it; the manifest goes last, so that a deploy that breaks off
// changes nothing, and the next one sends only what is missing. Memory does not
// grow with the size or number of files: beyond 1 MiB they wait in temporary
// files, a few at a time.
package deploy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"edgerouter/turbo/content"
	"edgerouter/turbo/store"
)

// Parallel is how many files are sent at a time.
const Parallel = 16

// Progress is how far a deploy has come. Files and Bytes are those of the tar
// that have been dealt with; Sent and SentBytes the part that the store did not
// have.
type Progress struct {
	Files, Sent      int
	Bytes, SentBytes int64
}

// Options say how a deploy is done. A zero field takes its default.
type Options struct {
	// Temp is the folder of temporary files; the system's by default.
	Temp string
	// Progress, when set, is called after each file, one call at a time.
	Progress func(Progress)
	// Now is the clock of the manifest; time.Now by default.
	Now func() time.Time
	// CacheControl goes into the manifest's metadata.
	CacheControl map[string]string
}

// Result is what a deploy came to.
type Result struct {
	Manifest content.ID
	Progress
}

// Tar puts the files of a tar into the store, then a manifest of them.
func Tar(ctx context.Context, s store.Store, project string, tar io.Reader, o Options) (Result, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	up := uploads{store: s, progress: o.Progress, under: map[content.ID]*upload{}}
	err := EachFile(ctx, tar, o.Temp, up.file)
	if err != nil {
		return Result{Progress: up.done}, err
	}
	metadata := content.Metadata{Project: project, Deployed: o.Now().UTC(), CacheControl: o.CacheControl}
	data, id, err := content.Encode(metadata, up.files)
	if err == nil {
		_, err = content.Parse(data) // what cannot be served must not be deployed
	}
	if err != nil {
		return Result{Progress: up.done}, fmt.Errorf("making the manifest: %w", err)
	}
	err = again(ctx, func() error { return s.Put(ctx, store.Manifests, id, store.Bytes(data, "application/json")) })
	return Result{Manifest: id, Progress: up.done}, err
}

// uploads are those of one deploy.
type uploads struct {
	store    store.Store
	progress func(Progress)

	mu    sync.Mutex
	files []content.File
	done  Progress
	under map[content.ID]*upload
}

// upload is one content under way, or done; files that are the same share it.
type upload struct {
	ready chan struct{}
	err   error
}

func (u *uploads) file(ctx context.Context, f *File) error {
	u.mu.Lock()
	mine := u.under[f.ID] == nil
	if mine {
		u.under[f.ID] = &upload{ready: make(chan struct{})}
	}
	one := u.under[f.ID]
	u.mu.Unlock()
	sent := false
	if mine {
		sent, one.err = u.send(ctx, f)
		close(one.ready)
	}
	select {
	case <-one.ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	if one.err != nil {
		return fmt.Errorf("%s: %w", f.Path, one.err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.files = append(u.files, content.File{Path: f.Path, ID: f.ID})
	u.done.Files++
	u.done.Bytes += f.Size
	if sent {
		u.done.Sent++
		u.done.SentBytes += f.Size
	}
	if u.progress != nil {
		u.progress(u.done)
	}
	return nil
}

// send puts a file into the store unless it is there.
func (u *uploads) send(ctx context.Context, f *File) (sent bool, err error) {
	err = again(ctx, func() error {
		there, err := u.store.Has(ctx, store.Files, f.ID)
		if err != nil || there {
			return err
		}
		sent = true
		return u.store.Put(ctx, store.Files, f.ID, store.Object{
			Body: f, Size: f.Size, ContentType: content.KindOf(f.Path).Type(),
		})
	})
	return sent, err
}

// again tries three times, with pauses of half a second and one; what cannot get
// better is not tried again.
func again(ctx context.Context, f func() error) error {
	pause := 500 * time.Millisecond
	for attempt := 1; ; attempt++ {
		err := f()
		if err == nil || attempt == 3 || permanent(err) || ctx.Err() != nil {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
		pause *= 2
	}
}

// checkNames reads a tar once for what is refused in it, before anything is sent,
// and returns it from its beginning. What cannot be read twice is kept, as small as
// it came: in memory up to inMemory, beyond that in a temporary file.
func checkNames(ctx context.Context, tar io.Reader, temp string) (again io.Reader, end func(), err error) {
	end = func() {}
	// A pipe is a file whose Seek fails.
	in, ok := tar.(io.ReadSeeker)
	var start int64
	if ok {
		start, err = in.Seek(0, io.SeekCurrent)
	}
	if !ok || err != nil {
		begin, err := io.ReadAll(io.LimitReader(tar, inMemory+1))
		if err != nil {
			return nil, nil, fmt.Errorf("reading the tar: %w", err)
		}
		in, start = bytes.NewReader(begin), 0
		tar, ok = io.MultiReader(in, tar), len(begin) <= inMemory
	}
	if !ok {
		w, err := os.CreateTemp(temp, "edgerouter-deploy-*")
		if err != nil {
			return nil, nil, fmt.Errorf("a temporary file for the tar: %w", err)
		}
		os.Remove(w.Name()) // it goes away by itself, however this process ends
		end = func() { w.Close() }
		kept := &keeping{w: w}
		if _, err := io.Copy(kept, tar); err != nil {
			end()
			if kept.err != nil {
				return nil, nil, fmt.Errorf("keeping the tar until its names are checked: %w (TMPDIR names the folder)", kept.err)
			}
			return nil, nil, fmt.Errorf("reading the tar: %w", err)
		}
		if _, err := w.Seek(0, io.SeekStart); err != nil {
			end()
			return nil, nil, err
		}
		in, start = w, 0
	}
	err = readTar(in, func(path string, size int64, r io.Reader) error {
		if _, err := io.CopyN(io.Discard, r, size); err != nil {
			return cutOff(path, err)
		}
		return ctx.Err()
	})
	if err == nil {
		_, err = in.Seek(start, io.SeekStart)
	}
	if err != nil {
		end()
		return nil, nil, err
	}
	return in, end, nil
}

// EachFile reads a tar and hands its files to take, Parallel of them at a time,
// until one of them or the tar fails. A File is valid until take returns.
func EachFile(ctx context.Context, tar io.Reader, temp string, take func(ctx context.Context, f *File) error) error {
	tar, end, err := checkNames(ctx, tar, temp)
	if err != nil {
		return err
	}
	defer end()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(Parallel)
	files := 0
	err = readTar(tar, func(path string, size int64, r io.Reader) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		f, err := spool(path, size, r, temp)
		if err != nil {
			return err
		}
		files++
		group.Go(func() error {
			defer f.close()
			return take(ctx, f)
		})
		return nil
	})
	// What went wrong first: a file that could not be sent ends the reading.
	if sent := group.Wait(); sent != nil && (err == nil || errors.Is(err, context.Canceled)) {
		err = sent
	}
	if err == nil && files == 0 {
		err = errors.New("the tar has no files in it")
	}
	return err
}
