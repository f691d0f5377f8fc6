package turbo

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/app"
	"edgerouter/internal/bucket"
	"edgerouter/internal/s3test"
	"edgerouter/internal/testkit"
	"edgerouter/turbo/cache"
	"edgerouter/turbo/content"
	"edgerouter/turbo/store"
)

const (
	fiveGB = 5 << 30
	// fiveGBID is the id of 5 GB of zeros.
	fiveGBID = "fwbGI1KuvYElsqGEHiueH_y-1gLzgcPcsyACAOOD0dU"
	// allocations bounds what serving or refusing 5 GB may allocate, with all that the
	// listener and the client of a test take.
	allocations = 32 << 20
)

// sparse makes a file of 5 GB that takes no room on the disk.
func sparse(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
	if err == nil {
		err = errors.Join(f.Truncate(fiveGB), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestHugeLies: an object and a manifest that have 5 GB where the store should have
// something small are refused before they are read, without memory and disk for them.
func TestHugeLies(t *testing.T) {
	lies := func(t *testing.T, s store.Store, path func(store.Area, string) string) {
		small := []byte("small")
		manifest := deployed(t, s, map[string][]byte{"huge.bin": small, "ok.txt": []byte("ok")})
		dir := t.TempDir()
		c, err := cache.Open(cache.Options{Dir: dir, Disk: 1 << 30, Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		e := New(s, c, zerolog.Nop())
		t.Cleanup(func() { e.Close(); c.Close() })
		b := listen(t, true, backend(t, e, app.TurbochargerOpts{Manifest: manifest}).Handler(true))
		if resp, body := b.ask("GET", "/ok.txt"); resp.StatusCode != 200 || string(body) != "ok" {
			t.Fatalf("%d %q", resp.StatusCode, body)
		}
		sparse(t, path(store.Files, content.IDOf(small).String()))
		n := testkit.Allocated(func() {
			if resp, body := b.ask("GET", "/huge.bin"); resp.StatusCode != 503 || len(body) > 1000 {
				t.Errorf("%d with %d bytes", resp.StatusCode, len(body))
			}
		})
		if n > allocations {
			t.Errorf("%d bytes were allocated for a file", n)
		}
		if c.Stats.FetchErrors.Load() != 1 || c.Stats.Fetched.Load() != 1 || c.Usage().DiskBytes > 1<<20 {
			t.Errorf("%d errors, %d objects fetched, %+v", c.Stats.FetchErrors.Load(), c.Stats.Fetched.Load(), c.Usage())
		}
		sparse(t, path(store.Manifests, manifest))
		id, err := content.ParseID(manifest)
		if err != nil {
			t.Fatal(err)
		}
		n = testkit.Allocated(func() {
			if _, _, err := store.Manifest(t.Context(), s, id); err == nil || !strings.Contains(err.Error(), "it has 5368709120 bytes, and at most 209715200 are read") {
				t.Error(err)
			}
		})
		if n > allocations {
			t.Errorf("%d bytes were allocated for a manifest", n)
		}
	}
	t.Run("folder", func(t *testing.T) {
		dir := t.TempDir()
		s, err := store.OpenFolder(dir)
		if err != nil {
			t.Fatal(err)
		}
		lies(t, s, func(area store.Area, name string) string { return filepath.Join(dir, string(area), name) })
	})
	t.Run("s3", func(t *testing.T) {
		server := s3test.Start(t, "huge")
		lies(t, store.InBucket(bucket.Open(server.Config, "huge")), func(area store.Area, name string) string {
			return filepath.Join(server.Folder, "huge", "turbocharger", string(area), name)
		})
	})
}

// TestHugeFile serves a file of 5 GB out of the disk copy of an earlier process, in
// parts and as a whole until the client leaves, and allocates next to nothing for it.
func TestHugeFile(t *testing.T) {
	testkit.Long(t)
	id, err := content.ParseID(fiveGBID)
	if err != nil {
		t.Fatal(err)
	}
	data, manifest, err := content.Encode(content.Metadata{Project: "huge"}, []content.File{{Path: "/huge.bin", ID: id}})
	if err != nil {
		t.Fatal(err)
	}
	s := emptyFolder(t)
	if err := s.Put(t.Context(), store.Manifests, manifest, store.Bytes(data, "application/json")); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	e := testEngine(t, s, dir)
	sparse(t, filepath.Join(dir, "files", fiveGBID))
	b := listen(t, true, backend(t, e, app.TurbochargerOpts{Manifest: manifest.String()}).Handler(true))
	n := testkit.Allocated(func() {
		// A request waits half a minute for it to be checked, and is told to come again.
		for end := time.Now().Add(3 * time.Minute); ; {
			resp, err := http.Head(fmt.Sprintf("http://%s/huge.bin", b.addr)) // ask has less patience
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode == 200 && resp.ContentLength == fiveGB {
				break
			}
			if resp.StatusCode != 503 || time.Now().After(end) {
				t.Fatalf("%d with %d bytes", resp.StatusCode, resp.ContentLength)
			}
		}
		for _, c := range []struct{ ask, got string }{
			{"bytes=5368709110-", "bytes 5368709110-5368709119/5368709120"},
			{"bytes=-3", "bytes 5368709117-5368709119/5368709120"},
			{"bytes=4294967295-4294967297", "bytes 4294967295-4294967297/5368709120"},
			{"bytes=5368709120-", "bytes */5368709120"},
		} {
			resp, body := b.ask("GET", "/huge.bin", "Range: "+c.ask)
			if got := resp.Header.Get("Content-Range"); got != c.got || len(body) > 1000 {
				t.Errorf("%s: %d, %q with %d bytes, want %q", c.ask, resp.StatusCode, got, len(body), c.got)
			}
		}
		resp, err := http.Get(fmt.Sprintf("http://%s/huge.bin", b.addr))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if n, err := io.CopyN(io.Discard, resp.Body, 256<<20); err != nil || resp.StatusCode != 200 || resp.ContentLength != fiveGB {
			t.Errorf("%d with %d of %d bytes, %v", resp.StatusCode, n, resp.ContentLength, err)
		}
	})
	if n > allocations {
		t.Errorf("%d bytes were allocated", n)
	}
	t.Logf("%d bytes were allocated", n)
}
