package deploy

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"edgerouter/internal/bucket"
	"edgerouter/internal/s3test"
	"edgerouter/turbo/content"
	"edgerouter/turbo/store"
)

const givenManifest = "EaTUYaox0knEQXt5pYiUvKLdcCi1gCXpt51L5aSXCz8"

func given(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("../testdata/site.tar")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func folder(t testing.TB) *store.Folder {
	t.Helper()
	s, err := store.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// stores are an empty folder and, where there is a server, an empty bucket.
func stores(t *testing.T, test func(t *testing.T, s store.Store)) {
	t.Run("folder", func(t *testing.T) { test(t, folder(t)) })
	t.Run("s3", func(t *testing.T) {
		server := s3test.Start(t, "sites")
		test(t, store.InBucket(bucket.Open(server.Config, "sites")))
	})
}

// TestGivenSite deploys the given tar and gets the given ids.
// TestRefusedNamesSendNothing: what a deploy refuses is found before anything is
// sent, also in what can be read only once.
func TestRefusedNamesSendNothing(t *testing.T) {
	for _, last := range []string{"../up.txt", "a.txt", "/absolute.txt", "b\\c.txt"} {
		for _, once := range []bool{false, true} {
			var b bytes.Buffer
			w := tar.NewWriter(&b)
			for _, name := range []string{"a.txt", "z.txt", last} {
				w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: 1})
				w.Write([]byte("x"))
			}
			w.Close()
			s, err := store.OpenFolder(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			var in io.Reader = bytes.NewReader(b.Bytes())
			if once {
				in = io.MultiReader(in)
			}
			if _, err := Tar(t.Context(), s, "p", in, Options{Temp: t.TempDir()}); !errors.Is(err, ErrTar) {
				t.Errorf("%q: %v", last, err)
			}
			_ = s.List(t.Context(), store.Files, func(store.Item) error { t.Errorf("%q: a file was sent", last); return nil })
		}
	}
}

// TestLeftovers: prune removes what a killed deploy left half written, and leaves
// what one that is under way is writing.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	s, err := store.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	old, young := filepath.Join(dir, "files", ".new-1"), filepath.Join(dir, "manifests", ".new-2")
	for _, path := range []string{old, young} {
		if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := time.Now().Add(-48 * time.Hour)
	if err := os.Chtimes(old, before, before); err != nil {
		t.Fatal(err)
	}
	if _, err := Prune(t.Context(), s, PruneOptions{Keep: 1, DryRun: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); err != nil {
		t.Error("a dry run has deleted")
	}
	if _, err := Prune(t.Context(), s, PruneOptions{Keep: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); err == nil {
		t.Error("an old leftover is there still")
	}
	if _, err := os.Stat(young); err != nil {
		t.Error("a deploy under way has lost its file")
	}
}

func TestGivenSite(t *testing.T) {
	at, err := time.Parse(time.RFC3339Nano, "2026-11-22T07:33:53.921554625Z")
	if err != nil {
		t.Fatal(err)
	}
	plain := given(t)
	var gz, zs bytes.Buffer
	w := gzip.NewWriter(&gz)
	w.Write(plain)
	w.Close()
	z, _ := zstd.NewWriter(&zs)
	z.Write(plain)
	z.Close()
	stores(t, func(t *testing.T, s store.Store) {
		for i, c := range []struct {
			name string
			tar  []byte
		}{{"plain", plain}, {"gzip", gz.Bytes()}, {"zstd", zs.Bytes()}} {
			r, err := Tar(t.Context(), s, "demo", bytes.NewReader(c.tar), Options{Now: func() time.Time { return at }})
			if err != nil || r.Manifest.String() != givenManifest {
				t.Fatalf("%s: manifest %s, %v", c.name, r.Manifest, err)
			}
			want := Progress{Files: 5, Bytes: 7045}
			if i == 0 {
				want.Sent, want.SentBytes = 5, 7045
			}
			if r.Progress != want {
				t.Errorf("%s: %+v, want %+v", c.name, r.Progress, want)
			}
		}
		var ids []string
		err := s.List(t.Context(), store.Files, func(i store.Item) error {
			ids = append(ids, i.ID.String())
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir("../testdata/store/files")
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, e := range entries {
			want = append(want, e.Name())
		}
		slices.Sort(ids)
		slices.Sort(want)
		if !slices.Equal(ids, want) {
			t.Errorf("the store has\n%q, want\n%q", ids, want)
		}

		id, _ := content.ParseID(givenManifest)
		dir := filepath.Join(t.TempDir(), "new", "site")
		for _, sent := range []int{5, 0} {
			p, err := Download(t.Context(), s, id, dir, nil)
			if err != nil || p.Files != 5 || p.Sent != sent {
				t.Fatalf("downloaded %+v, %v", p, err)
			}
		}
		if b, err := os.ReadFile(filepath.Join(dir, "docs/index.html")); err != nil || content.IDOf(b).String() != "JWOWW-s8BMRr5ifwVEar0ccdedTiFpky94KIVHwyxbs" {
			t.Errorf("docs/index.html: %q, %v", b, err)
		}
		if _, _, err := store.Manifest(t.Context(), s, content.IDOf(nil)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a manifest that is not there: %v", err)
		}
	})
}

type entry struct {
	name, body string
	kind       byte
	link       string
}

func makeTar(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Size: int64(len(e.body)), Mode: 0o644, Typeflag: e.kind, Linkname: e.link}
		if e.kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, e.body)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestBadTars(t *testing.T) {
	good := makeTar(t, entry{name: "a", body: strings.Repeat("x", 600)}, entry{name: "b", body: strings.Repeat("y", 600)})
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	w.Write(good)
	w.Close()
	flipped := bytes.Clone(gz.Bytes())
	flipped[len(flipped)-6] ^= 1
	for _, c := range []struct {
		name string
		tar  []byte
		want string
	}{
		{"nothing", nil, "it is empty"},
		{"text", []byte(strings.Repeat("this is not a tar ", 100)), "invalid tar header"},
		{"a zip", []byte("PK\x03\x04xxxxxxxx"), "it is a zip"},
		{"no files", makeTar(t, entry{name: "css/", kind: tar.TypeDir}), "no files in it"},
		{"dots", makeTar(t, entry{name: "a/../../etc/passwd", body: "x"}), `no ".."`},
		{"dots alone", makeTar(t, entry{name: "../x", body: "x"}), `no ".."`},
		{"absolute", makeTar(t, entry{name: "/etc/passwd", body: "x"}), "absolute"},
		{"a symbolic link", makeTar(t, entry{name: "a", kind: tar.TypeSymlink, link: "/etc/passwd"}), "is a link to"},
		{"a hard link", makeTar(t, entry{name: "a", body: ""}, entry{name: "b", kind: tar.TypeLink, link: "a"}), "is a link to"},
		{"a device", makeTar(t, entry{name: "null", kind: tar.TypeChar}), "is no file"},
		{"a pipe", makeTar(t, entry{name: "p", kind: tar.TypeFifo}), "is no file"},
		{"twice", makeTar(t, entry{name: "a", body: "1"}, entry{name: "./a", body: "2"}), "is in it twice"},
		{"a backslash", makeTar(t, entry{name: `a\b`, body: "x"}), "backslashes"},
		{"a line end", makeTar(t, entry{name: "a\nb", body: "x"}), "control"},
		{"cut off in a file", good[:700], "breaks off in /a"},
		{"cut off between files", good[:512+1024], "no end"},
		{"cut off before the end", good[:2*(512+1024)], "no end"},
		{"gzip cut off", gz.Bytes()[:len(gz.Bytes())/2], "unexpected EOF"},
		{"gzip with a wrong checksum", flipped, "checksum"},
	} {
		s := folder(t)
		_, err := Tar(t.Context(), s, "p", bytes.NewReader(c.tar), Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		err = s.List(t.Context(), store.Manifests, func(i store.Item) error { return fmt.Errorf("manifest %s was written", i.ID) })
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := Tar(t.Context(), folder(t), "p", bytes.NewReader(good), Options{}); err != nil {
		t.Error(err)
	}
}

func FuzzTar(f *testing.F) {
	f.Add(makeTar(f, entry{name: "a/b.css", body: "x"}, entry{name: "./c", body: strings.Repeat("y", 600)}))
	f.Add(makeTar(f, entry{name: "../a", body: "x"}))
	f.Add([]byte{0x1f, 0x8b, 8})
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 4})
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = readTar(bytes.NewReader(data), func(path string, size int64, r io.Reader) error {
			if err := content.CheckPath(path); err != nil {
				t.Errorf("%q: %v", path, err)
			}
			if size < 0 {
				t.Errorf("%q has %d bytes", path, size)
			}
			if size > 1<<20 {
				return errors.New("large")
			}
			return nil
		})
	})
}

// faulty is a store whose writes fail when fail says so.
type faulty struct {
	store.Store
	puts atomic.Int64
	fail func(n int64) error
}

func (f *faulty) Put(ctx context.Context, area store.Area, id content.ID, o store.Object) error {
	if err := f.fail(f.puts.Add(1)); err != nil {
		return err
	}
	return f.Store.Put(ctx, area, id, o)
}

// TestBrokenDeploy is broken off and done again: the second run sends only what
// is missing.
func TestBrokenDeploy(t *testing.T) {
	var entries []entry
	for i := range 200 {
		entries = append(entries, entry{name: fmt.Sprintf("f%03d.txt", i), body: fmt.Sprint("file ", i)})
	}
	data := makeTar(t, entries...)
	s := folder(t)
	ctx, cancel := context.WithCancel(t.Context())
	broken := &faulty{Store: s, fail: func(n int64) error {
		if n == 100 {
			cancel()
			return errors.New("the line is cut")
		}
		return nil
	}}
	first, err := Tar(ctx, broken, "p", bytes.NewReader(data), Options{})
	if err == nil {
		t.Fatal("a broken deploy succeeded")
	}
	second, err := Tar(t.Context(), s, "p", bytes.NewReader(data), Options{})
	if err != nil || second.Files != 200 || second.Sent > 200-first.Sent || second.Sent < 200-first.Sent-Parallel {
		t.Errorf("the first run sent %d, the second %d of %d: %v", first.Sent, second.Sent, second.Files, err)
	}
	denied := &faulty{Store: folder(t), fail: func(int64) error { return fmt.Errorf("writing: %w", bucket.ErrDenied) }}
	began := time.Now()
	if _, err := Tar(t.Context(), denied, "p", bytes.NewReader(data), Options{}); !errors.Is(err, bucket.ErrDenied) || time.Since(began) > 5*time.Second {
		t.Errorf("denied: %v after %v", err, time.Since(began))
	}
}

// TestLargeFile goes through a temporary file and, in S3, in parts.
func TestLargeFile(t *testing.T) {
	large := make([]byte, 70<<20)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(large)
	data := makeTar(t, entry{name: "large.bin", body: string(large)}, entry{name: "again.bin", body: string(large)}, entry{name: "empty", body: ""})
	stores(t, func(t *testing.T, s store.Store) {
		temp := t.TempDir()
		result, err := Tar(t.Context(), s, "p", bytes.NewReader(data), Options{Temp: temp})
		if err != nil || result.Sent != 2 || result.Files != 3 {
			t.Fatalf("%+v, %v", result, err)
		}
		if left, _ := os.ReadDir(temp); len(left) > 0 {
			t.Errorf("%d temporary files are left", len(left))
		}
		got, err := s.Get(t.Context(), store.Files, content.IDOf(large))
		if err != nil {
			t.Fatal(err)
		}
		defer got.Close()
		if b, err := io.ReadAll(got); err != nil || !bytes.Equal(b, large) {
			t.Errorf("%d bytes come back, %v", len(b), err)
		}
	})
}

func TestDamagedStore(t *testing.T) {
	s := folder(t)
	r, err := Tar(t.Context(), s, "p", bytes.NewReader(makeTar(t, entry{name: "a", body: "content"})), Options{})
	if err != nil {
		t.Fatal(err)
	}
	path := strings.TrimPrefix(s.String(), "file://")
	if err := os.WriteFile(filepath.Join(path, "files", content.IDOf([]byte("content")).String()), []byte("other"), 0o644); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var mismatch *content.Mismatch
	if _, err := Download(t.Context(), s, r.Manifest, dir, nil); !errors.As(err, &mismatch) {
		t.Errorf("a file that is another one: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%v is left of it", left)
	}
	// A folder that leads out of the one that was named.
	outside := t.TempDir()
	r, err = Tar(t.Context(), s, "p", bytes.NewReader(makeTar(t, entry{name: "out/b", body: "b"})), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	if _, err := Download(t.Context(), s, r.Manifest, dir, nil); err == nil {
		t.Error("a file was written through a symbolic link")
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("%v was written outside", left)
	}
}

func TestPrune(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store) {
		now := time.Now()
		var ids []content.ID
		for i := range 5 {
			r, err := Tar(t.Context(), s, "p", bytes.NewReader(makeTar(t, entry{name: "same", body: "same"}, entry{name: "v", body: fmt.Sprint("version ", i)})),
				Options{Now: func() time.Time { return now.Add(time.Duration(i) * time.Minute) }})
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, r.Manifest)
		}
		other, err := Tar(t.Context(), s, "other", bytes.NewReader(makeTar(t, entry{name: "o", body: "other"})), Options{Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Prune(t.Context(), s, PruneOptions{}); err == nil {
			t.Error("keeping nothing is allowed")
		}
		if p, err := Prune(t.Context(), s, PruneOptions{Keep: 1}); err != nil || p.Manifests+p.Files != 0 {
			t.Errorf("what has just been deployed is deleted: %+v, %v", p, err)
		}
		later := func() time.Time { return now.Add(48 * time.Hour) }
		opts := PruneOptions{Keep: 2, Also: []content.ID{ids[0]}, Now: later, DryRun: true}
		want := Pruned{Manifests: 2, Files: 2, Bytes: 18, KeptManifests: 4, KeptFiles: 5}
		for range 2 {
			if p, err := Prune(t.Context(), s, opts); err != nil || p != want {
				t.Errorf("%+v, %v, want %+v", p, err, want)
			}
			opts.DryRun = false
		}
		for _, id := range []content.ID{ids[0], ids[3], ids[4], other.Manifest} {
			if _, err := Download(t.Context(), s, id, t.TempDir(), nil); err != nil {
				t.Errorf("what was kept is not whole: %v", err)
			}
		}
		if p, err := Prune(t.Context(), s, opts); err != nil || p.Manifests+p.Files != 0 {
			t.Errorf("a second time: %+v, %v", p, err)
		}
	})
}

// onlyOnce is a pipe: it cannot be read again.
type onlyOnce struct{ io.Reader }

// A small tar from a pipe needs no folder for temporary files, as there is none in
// the image.
func TestSmallPipeNeedsNoFolder(t *testing.T) {
	const nowhere = "/nowhere/at/all"
	if _, err := Tar(t.Context(), folder(t), "p", onlyOnce{bytes.NewReader(given(t))}, Options{Temp: nowhere}); err != nil {
		t.Error(err)
	}
	large := onlyOnce{io.MultiReader(bytes.NewReader(given(t)), bytes.NewReader(make([]byte, 2*inMemory)))}
	if _, err := Tar(t.Context(), folder(t), "p", large, Options{Temp: nowhere}); err == nil || !strings.Contains(err.Error(), nowhere) {
		t.Errorf("a large one: %v", err)
	}
}
