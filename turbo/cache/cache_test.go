package cache

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/molecule-man/go-brrr"
	"github.com/rs/zerolog"

	"edgerouter/turbo/content"
)

func open(t testing.TB, o Options) *Cache {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	o.Log = zerolog.Nop()
	c, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// text is compressible and different for each seed.
func text(seed, size int) []byte {
	r := rand.New(rand.NewPCG(uint64(seed), 1))
	words := strings.Fields("the edge knows every file of a version and serves it from memory body margin color function return const")
	var b bytes.Buffer
	for b.Len() < size {
		fmt.Fprintf(&b, "%s %s%d; ", words[r.IntN(len(words))], words[r.IntN(len(words))], r.IntN(90))
	}
	return b.Bytes()[:size]
}

func noise(seed uint64, size int) []byte {
	b := make([]byte, size)
	r := rand.New(rand.NewPCG(seed, 2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func from(b []byte) Fetch {
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}

func gone(context.Context) (io.ReadCloser, error) { return nil, fmt.Errorf("no store: %w", ErrGone) }

// whole reads a copy through whichever tier has it.
func whole(t *testing.T, c *Copy) []byte {
	t.Helper()
	if c == nil {
		t.Fatal("there is no copy")
	}
	b, err := c.Read()
	if err != nil {
		t.Fatal(err)
	}
	if b == nil {
		if b, err = c.all(); err != nil {
			t.Fatal(err)
		}
	}
	if int64(len(b)) != c.Size() {
		t.Fatalf("%d bytes, its size is %d", len(b), c.Size())
	}
	return b
}

func decoded(t *testing.T, e Encoding, b []byte) []byte {
	t.Helper()
	r, end, err := decompressor(bytes.NewReader(b), e)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// eventually waits for what a goroutine of the cache does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatal("in 20 s: not " + what)
		}
		runtime.Gosched()
		time.Sleep(time.Millisecond)
	}
}

// TestSingleFlight: many ask at the same time, some of them leave, and the object
// is fetched once.
func TestSingleFlight(t *testing.T) {
	c := open(t, Options{})
	data := text(1, 5000)
	var fetches atomic.Int64
	let := make(chan struct{})
	fetch := func(context.Context) (io.ReadCloser, error) {
		fetches.Add(1)
		<-let
		return io.NopCloser(bytes.NewReader(data)), nil
	}
	o := c.Object(content.IDOf(data))
	leaving, leave := context.WithCancel(t.Context())
	leave()
	if _, err := o.Load(leaving, fetch); !errors.Is(err, context.Canceled) {
		t.Errorf("a client that left got %v", err)
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			cp, err := c.Object(o.ID()).Load(t.Context(), fetch)
			if err != nil || cp.Size() != 5000 {
				t.Error(err)
			}
		})
	}
	close(let)
	wg.Wait()
	if n := fetches.Load(); n != 1 {
		t.Errorf("fetched %d times", n)
	}
	if got := whole(t, o.Copy(Identity)); !bytes.Equal(got, data) {
		t.Error("other bytes than were fetched")
	}
}

func TestWhatDoesNotFit(t *testing.T) {
	c := open(t, Options{})
	data := text(1, 200_000)
	for name, bad := range map[string][]byte{
		"cut off": data[:100_000], "changed": append(bytes.Clone(data[:len(data)-1]), 'x'), "nothing": nil, "longer": append(bytes.Clone(data), 'x'),
	} {
		o := &Object{id: content.IDOf(data), cache: c}
		calls := 0
		fetch := func(context.Context) (io.ReadCloser, error) {
			calls++
			if calls == 2 {
				return io.NopCloser(bytes.NewReader(data)), nil
			}
			return io.NopCloser(bytes.NewReader(bad)), nil
		}
		cp, err := o.Load(t.Context(), fetch)
		if err != nil || !bytes.Equal(whole(t, cp), data) || calls != 2 {
			t.Errorf("%s: %v after %d attempts", name, err, calls)
		}
		os.Remove(cp.path)
	}
	if n := c.Stats.Damaged.Load(); n != 4 {
		t.Errorf("%d damaged objects were counted", n)
	}
	// A store that lies to the end, and one that has nothing.
	o := c.Object(content.IDOf([]byte("other")))
	var mismatch *content.Mismatch
	if _, err := o.Load(t.Context(), from(data)); !errors.As(err, &mismatch) {
		t.Errorf("a store that lies: %v", err)
	}
	if _, err := o.Load(t.Context(), from([]byte("other"))); !errors.As(err, &mismatch) {
		t.Errorf("just after it: %v", err) // nobody is asked for a second
	}
	missing := c.Object(content.IDOf([]byte("missing")))
	if _, err := missing.Load(t.Context(), gone); !errors.Is(err, ErrGone) {
		t.Errorf("an object that is nowhere: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(c.disk.dir, filesArea, "*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left on disk: %v, %v", left, err)
	}
}

// TestStalledSource: a source that never answers, or stops in the middle, is given
// up, and asked again.
func TestStalledSource(t *testing.T) {
	for _, first := range []int{-1, 0, 100_000} { // bytes before it stalls; -1: it does not even answer
		c := open(t, Options{})
		c.patience = 50 * time.Millisecond
		data := text(3, 200_000)
		calls := 0
		fetch := func(ctx context.Context) (io.ReadCloser, error) {
			if calls++; calls > 1 {
				return io.NopCloser(bytes.NewReader(data)), nil
			}
			if first < 0 {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return io.NopCloser(io.MultiReader(bytes.NewReader(data[:first]), readerFunc(func([]byte) (int, error) {
				<-ctx.Done()
				return 0, ctx.Err()
			}))), nil
		}
		cp, err := c.Object(content.IDOf(data)).Load(t.Context(), fetch)
		if err != nil || calls != 2 || !bytes.Equal(whole(t, cp), data) {
			t.Errorf("stalled after %d bytes: %d calls, %v", first, calls, err)
		}
	}
	c := open(t, Options{})
	c.patience = 10 * time.Millisecond
	never := func(ctx context.Context) (io.ReadCloser, error) { <-ctx.Done(); return nil, ctx.Err() }
	if _, err := c.Object(content.IDOf([]byte("x"))).Load(t.Context(), never); !errors.Is(err, errStalled) {
		t.Errorf("a source that never answers: %v", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestRestart: what one process kept the next one serves without the source, if
// it is undamaged.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	small, large := text(1, 3000), text(2, 300_000)
	first := open(t, Options{Dir: dir})
	for _, b := range [][]byte{small, large} {
		o := first.Object(content.IDOf(b))
		if _, err := o.Load(t.Context(), from(b)); err != nil {
			t.Fatal(err)
		}
		o.Want(Zstd)
		eventually(t, "made well", func() bool {
			cp := o.Copy(Zstd)
			return cp != nil && strings.HasSuffix(cp.path, ".zstd")
		})
	}
	manifest := []byte(`{"files":[]}`)
	first.KeepManifest(content.IDOf(manifest), manifest)
	first.Close()

	second := open(t, Options{Dir: dir})
	for _, b := range [][]byte{small, large} {
		o := second.Object(content.IDOf(b))
		cp, err := o.Load(t.Context(), gone)
		if err != nil || !bytes.Equal(whole(t, cp), b) {
			t.Fatal(err)
		}
		o.Make(Zstd)
		if got := decoded(t, Zstd, whole(t, o.Copy(Zstd))); !bytes.Equal(got, b) {
			t.Error("the kept encoding is that of something else")
		}
	}
	if n := second.Stats.Encoded.Load(); n != 0 {
		t.Errorf("%d encodings were made again", n)
	}
	if got := second.Manifest(content.IDOf(manifest)); !bytes.Equal(got, manifest) {
		t.Errorf("the manifest: %q", got)
	}
	second.Close()

	damage := func(path string, how func(b []byte) []byte) {
		path = filepath.Join(dir, path)
		b, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, how(b), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	flip := func(b []byte) []byte { b[len(b)/2] ^= 1; return b }
	cut := func(b []byte) []byte { return b[:len(b)/2] }
	damage("files/"+content.IDOf(small).String(), flip)
	damage("files/"+content.IDOf(small).String()+".zstd", flip)
	damage("files/"+content.IDOf(large).String(), cut)
	damage("files/"+content.IDOf(large).String()+".zstd", cut)
	damage("manifests/"+content.IDOf(manifest).String(), flip)
	third := open(t, Options{Dir: dir})
	for _, b := range [][]byte{small, large} {
		o := third.Object(content.IDOf(b))
		cp, err := o.Load(t.Context(), from(b))
		if err != nil || !bytes.Equal(whole(t, cp), b) {
			t.Fatal(err)
		}
		o.Make(Zstd)
		if got := decoded(t, Zstd, whole(t, o.Copy(Zstd))); !bytes.Equal(got, b) {
			t.Error("a damaged encoding was served")
		}
	}
	if got := third.Manifest(content.IDOf(manifest)); got != nil {
		t.Errorf("a damaged manifest: %q", got)
	}
	if n := third.Stats.Damaged.Load(); n != 5 {
		t.Errorf("%d damaged files were counted, want 5", n)
	}
}

func TestEncodings(t *testing.T) {
	c := open(t, Options{})
	for _, size := range []int{1, 300, 5000, 70_000, 1_500_000} {
		data := text(size, size)
		o := c.Object(content.IDOf(data))
		if _, err := o.Load(t.Context(), from(data)); err != nil {
			t.Fatal(err)
		}
		for _, e := range []Encoding{Gzip, Brotli, Zstd} {
			o.Want(e)
			o.Want(e)
			eventually(t, "settled", func() bool { return o.Settled(e) })
			cp := o.Copy(e)
			if size == 1 {
				if cp != nil {
					t.Errorf("%s of one byte is of use", e)
				}
				continue
			}
			quick := cp.Size()
			if got := decoded(t, e, whole(t, cp)); !bytes.Equal(got, data) {
				t.Errorf("%s of %d bytes is of something else", e, size)
			}
			eventually(t, "made well", func() bool { return !strings.HasSuffix(o.Copy(e).path, "quick") })
			if got := decoded(t, e, whole(t, o.Copy(e))); !bytes.Equal(got, data) {
				t.Errorf("%s of %d bytes, made well, is of something else", e, size)
			}
			if well := o.Copy(e).Size(); well > quick+8 {
				t.Errorf("%s of %d bytes: %d at first, %d later", e, size, quick, well)
			}
		}
	}
	eventually(t, "rid of what was made quickly", func() bool {
		left, _ := filepath.Glob(filepath.Join(c.disk.dir, filesArea, "*-quick"))
		return len(left) == 0
	})
	data := noise(1, 50_000)
	o := c.Object(content.IDOf(data))
	if _, err := o.Load(t.Context(), from(data)); err != nil {
		t.Fatal(err)
	}
	o.Make(Brotli)
	if o.Copy(Brotli) != nil || !o.Settled(Brotli) {
		t.Error("the encoding of noise is of use")
	}
}

// TestTextWithoutRepetitions: half of it is taken away all the same, with one
// processor too.
func TestTextWithoutRepetitions(t *testing.T) {
	for _, improves := range []bool{true, false} {
		t.Run(fmt.Sprint("improves ", improves), func(t *testing.T) { textWithoutRepetitions(t, improves) })
	}
}

func textWithoutRepetitions(t *testing.T, improves bool) {
	c := open(t, Options{})
	c.improves = improves
	data := []byte(hex.EncodeToString(noise(2, 20_000)))
	o := c.Object(content.IDOf(data))
	if _, err := o.Load(t.Context(), from(data)); err != nil {
		t.Fatal(err)
	}
	for _, e := range []Encoding{Gzip, Brotli, Zstd} {
		o.Want(e)
		eventually(t, e.String()+" made well", func() bool { cp := o.Copy(e); return cp != nil && !strings.HasSuffix(cp.path, "quick") })
		cp := o.Copy(e)
		if got := decoded(t, e, whole(t, cp)); !bytes.Equal(got, data) || cp.Size() > int64(len(data))*6/10 {
			t.Errorf("%s of %d bytes takes %d", e, len(data), cp.Size())
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	const room = 1 << 20
	c := open(t, Options{Memory: room})
	hot := text(0, 2000)
	hotObject := c.Object(content.IDOf(hot))
	if _, err := hotObject.Load(t.Context(), from(hot)); err != nil {
		t.Fatal(err)
	}
	var objects []*Object
	for i := range 200 {
		data := text(i+1, 20_000)
		o := c.Object(content.IDOf(data))
		if _, err := o.Load(t.Context(), from(data)); err != nil {
			t.Fatal(err)
		}
		objects = append(objects, o)
		for range 20 {
			hotObject.Copy(Identity).Bytes()
		}
		if u := c.Usage(); u.MemoryBytes > room {
			t.Fatalf("%d bytes in memory", u.MemoryBytes)
		}
	}
	if hotObject.Copy(Identity).Bytes() == nil {
		t.Error("what is hot was evicted")
	}
	if c.Stats.Evicted.Load() < 100 {
		t.Errorf("%d copies were evicted", c.Stats.Evicted.Load())
	}
	for i, o := range objects {
		if got := whole(t, o.Copy(Identity)); !bytes.Equal(got, text(i+1, 20_000)) {
			t.Error("an evicted copy comes back as something else")
		}
	}
}

func TestDiskIsBounded(t *testing.T) {
	c := open(t, Options{Disk: 1 << 20})
	var objects []*Object
	for i := range 30 {
		data := noise(uint64(i), 100_000)
		o := c.Object(content.IDOf(data))
		if _, err := o.Load(t.Context(), from(data)); err != nil {
			t.Fatal(err)
		}
		objects = append(objects, o)
	}
	eventually(t, "below the bound", func() bool { return c.Usage().DiskBytes <= 1<<20 })
	lost := 0
	for i, o := range objects {
		data := noise(uint64(i), 100_000)
		cp := o.Copy(Identity)
		f, err := cp.Open()
		if err != nil {
			lost++
			o.Lost(Identity, cp)
			if cp, err = o.Load(t.Context(), from(data)); err != nil {
				t.Fatal(err)
			}
			if f, err = cp.Open(); err != nil {
				continue // trimmed again meanwhile
			}
		}
		got, err := io.ReadAll(io.NewSectionReader(f, 0, cp.Size()))
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("read back %d bytes, %v", len(got), err)
		}
		f.Release()
	}
	if lost < 15 {
		t.Errorf("%d of 30 files were deleted", lost)
	}
}

// TestBrokenDisk: nothing can be written. What is small is served from memory,
// what is large is refused.
func TestBrokenDisk(t *testing.T) {
	c := open(t, Options{})
	if err := os.RemoveAll(filepath.Join(c.disk.dir, filesArea)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.disk.dir, filesArea), nil, 0o600); err != nil { // it is not made again
		t.Fatal(err)
	}
	small, large := text(1, 5000), text(2, 500_000)
	o := c.Object(content.IDOf(small))
	cp, err := o.Load(t.Context(), from(small))
	if err != nil || !bytes.Equal(whole(t, cp), small) {
		t.Fatal(err)
	}
	o.Make(Gzip)
	if got := decoded(t, Gzip, whole(t, o.Copy(Gzip))); !bytes.Equal(got, small) {
		t.Error("the encoding is that of something else")
	}
	if _, err := c.Object(content.IDOf(large)).Load(t.Context(), from(large)); err == nil {
		t.Error("a large object without a disk")
	}
	if c.Stats.DiskErrors.Load() == 0 {
		t.Error("no error of the disk was counted")
	}
	c.memory.drop(cp)
	if _, err := cp.Read(); err == nil {
		t.Error("a copy that is nowhere can be read")
	}
	o.Lost(Identity, cp)
	if cp, err = o.Load(t.Context(), from(small)); err != nil || !bytes.Equal(whole(t, cp), small) {
		t.Error(err)
	}
}

func TestDeltas(t *testing.T) {
	c := open(t, Options{})
	before := text(1, 60_000)
	after := append(bytes.Clone(before[:30_000]), append([]byte("/* a change */"), before[30_000:]...)...)
	load := func(b []byte) *Object {
		o := c.Object(content.IDOf(b))
		if _, err := o.Load(t.Context(), from(b)); err != nil {
			t.Fatal(err)
		}
		return o
	}
	old, now := load(before), load(after)
	for _, e := range []DeltaEncoding{DictionaryBrotli, DictionaryZstd} {
		now.WantDelta(old, e)
		now.WantDelta(old, e)
		eventually(t, "a delta", func() bool { return now.Delta(old.ID(), e) != nil })
		b := whole(t, now.Delta(old.ID(), e))
		id := old.ID()
		head := deltaMagic[e] + string(id[:])
		if !strings.HasPrefix(string(b), head) {
			t.Fatalf("%s begins with %x", e, b[:40])
		}
		if len(b) > 2000 {
			t.Errorf("%s of a small change has %d bytes", e, len(b))
		}
		body := bytes.NewReader(b[len(head):])
		var r io.Reader
		var err error
		if e == DictionaryBrotli {
			r, err = brrr.NewReaderOptions(body, brrr.ReaderOptions{Dictionaries: [][]byte{before}})
		} else {
			r, err = zstd.NewReader(body, zstd.WithDecoderDictRaw(0, before))
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, after) {
			t.Errorf("%s: %d bytes come out, %v", e, len(got), err)
		}
	}
	other := load(noise(9, 60_000))
	other.WantDelta(old, DictionaryZstd)
	eventually(t, "idle", func() bool { return c.Usage().Queued == 0 })
	if other.Delta(old.ID(), DictionaryZstd) != nil {
		t.Error("a delta that saves nothing is kept")
	}
}

func TestAdd(t *testing.T) {
	c := open(t, Options{})
	for _, size := range []int{0, 10, 100_000} {
		data := noise(3, size)
		o, err := c.Add(bytes.NewReader(data), 1<<20)
		if err != nil || o.ID() != content.IDOf(data) || !bytes.Equal(whole(t, o.Copy(Identity)), data) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	if _, err := c.Add(bytes.NewReader(noise(4, 2000)), 1999); !errors.Is(err, ErrTooLarge) {
		t.Errorf("beyond the limit: %v", err)
	}
}

func TestHitsAllocateNothing(t *testing.T) {
	c := open(t, Options{})
	small, large := text(1, 5000), text(2, 500_000)
	s, l := c.Object(content.IDOf(small)), c.Object(content.IDOf(large))
	for _, o := range []*Object{s, l} {
		b := small
		if o == l {
			b = large
		}
		if _, err := o.Load(t.Context(), from(b)); err != nil {
			t.Fatal(err)
		}
		o.Make(Gzip)
	}
	n := testing.AllocsPerRun(1000, func() {
		s.Want(Gzip)
		if s.Copy(Gzip).Bytes() == nil || s.Copy(Identity).Bytes() == nil {
			t.Fatal("not in memory")
		}
		f, err := l.Copy(Identity).Open()
		if err != nil {
			t.Fatal(err)
		}
		f.Release()
	})
	if n != 0 {
		t.Errorf("a hit allocates %.1f times", n)
	}
}

// TestObjectsGo: what nobody holds is forgotten.
func TestObjectsGo(t *testing.T) {
	c := open(t, Options{})
	for i := range 100 {
		c.Object(content.IDOf(fmt.Append(nil, i)))
	}
	eventually(t, "forgotten", func() bool {
		runtime.GC()
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.objects) == 0
	})
}

func TestClose(t *testing.T) {
	before := runtime.NumGoroutine()
	c := open(t, Options{})
	data := text(1, 100_000)
	o := c.Object(content.IDOf(data))
	block := func(ctx context.Context) (io.ReadCloser, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	done := make(chan error)
	go func() {
		_, err := o.Load(context.Background(), block)
		done <- err
	}()
	eventually(t, "loading", func() bool { o.mu.Lock(); defer o.mu.Unlock(); return o.loading != nil })
	c.Close()
	c.Close()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("a fetch under way ends with %v", err)
	}
	if _, err := c.Object(content.IDOf(nil)).Load(t.Context(), from(nil)); err == nil {
		t.Error("a closed cache fetches")
	}
	eventually(t, "without goroutines", func() bool { return runtime.NumGoroutine() <= before })
}
