package cache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"edgerouter/turbo/content"
)

// told is a reader that says a size.
type told struct {
	io.Reader
	size int64
}

func (t told) Size() int64  { return t.size }
func (t told) Close() error { return nil }

// TestTooLarge: what the disk tier cannot keep is refused after one attempt, before it
// is read where its size is known, and nothing of it stays.
func TestTooLarge(t *testing.T) {
	c := open(t, Options{Disk: 1 << 20})
	endless := readerFunc(func(p []byte) (int, error) { clear(p); return len(p), nil })
	id := content.IDOf([]byte("something small"))
	for _, size := range []int64{0, 5 << 30} { // 0: it is not known
		var calls, read int
		fetch := func(context.Context) (io.ReadCloser, error) {
			calls++
			return told{readerFunc(func(p []byte) (int, error) {
				n, err := endless.Read(p)
				read += n
				return n, err
			}), size}, nil
		}
		o := &Object{id: id, cache: c}
		if _, err := o.Load(t.Context(), fetch); !errors.Is(err, ErrTooLarge) || calls != 1 {
			t.Errorf("of %d bytes: %v after %d attempts", size, err, calls)
		}
		if _, err := c.Take(fetch); !errors.Is(err, ErrTooLarge) {
			t.Errorf("of %d bytes, taken: %v", size, err)
		}
		if size > 0 && read > 0 || read > 2<<20 {
			t.Errorf("of %d bytes, %d were read", size, read)
		}
	}
	if _, err := c.Add(endless, 0); !errors.Is(err, ErrTooLarge) {
		t.Errorf("added: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(c.disk.dir, filesArea, "*"))
	if left2, err2 := filepath.Glob(filepath.Join(c.disk.dir, filesArea, partial+"*")); err != nil || err2 != nil || len(left)+len(left2) != 0 {
		t.Errorf("left on disk: %v, %v, %v", left, left2, err)
	}
}

func TestTake(t *testing.T) {
	c := open(t, Options{})
	c.patience = 50 * time.Millisecond
	for _, size := range []int{0, 10, 100_000} {
		data := noise(3, size)
		o, err := c.Take(from(data))
		if err != nil || o.ID() != content.IDOf(data) || !bytes.Equal(whole(t, o.Copy(Identity)), data) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	if _, err := c.Take(gone); !errors.Is(err, ErrGone) {
		t.Errorf("what is nowhere: %v", err)
	}
	stalls := func(ctx context.Context) (io.ReadCloser, error) {
		return io.NopCloser(readerFunc(func([]byte) (int, error) { <-ctx.Done(); return 0, ctx.Err() })), nil
	}
	if _, err := c.Take(stalls); !errors.Is(err, errStalled) {
		t.Errorf("a source that stalls: %v", err)
	}
	c.Close()
	if _, err := c.Take(from(nil)); !errors.Is(err, errClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestTakeSlowly: a source may take many times the patience, as long as it goes on.
func TestTakeSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, Options{})
		n := 0
		slow := func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(readerFunc(func(p []byte) (int, error) {
				if n++; n > 20 {
					return 0, io.EOF
				}
				time.Sleep(stalledAfter / 2)
				p[0] = 'x'
				return 1, nil
			})), nil
		}
		if o, err := c.Take(slow); err != nil || o.Copy(Identity).Size() != 20 {
			t.Error(err)
		}
	})
}
