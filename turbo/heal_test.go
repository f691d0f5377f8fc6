package turbo

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/rs/zerolog"

	"edgerouter/app"
	"edgerouter/turbo/cache"
)

// TestCacheHeals damages the copies on disk while they are served and between two
// starts: flips of one bit, truncation, more bytes, other files, no folder. No
// answer has a wrong byte, and what was damaged is logged, counted and had again.
func TestCacheHeals(t *testing.T) {
	s := emptyFolder(t)
	random := rand.New(rand.NewPCG(1, 2))
	files := map[string][]byte{}
	for i, size := range []int{100, 9_000, 60_000, 70_000, 300_000} {
		text, binary := make([]byte, size), make([]byte, size)
		for j := range text {
			text[j] = "abcdefgh \n"[random.IntN(10)]
			binary[j] = byte(random.Uint32())
		}
		files[fmt.Sprintf("text%d.txt", i)], files[fmt.Sprintf("binary%d.bin", i)] = text, binary
	}
	manifest := deployed(t, s, files)
	damage := map[string]func(path string, info os.FileInfo) error{
		"flip": func(path string, info os.FileInfo) error {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			b, at := make([]byte, 1), random.Int64N(info.Size())
			f.ReadAt(b, at)
			b[0] ^= 1 << random.IntN(8)
			_, err = f.WriteAt(b, at)
			return err
		},
		"truncate": func(path string, info os.FileInfo) error { return os.Truncate(path, info.Size()/2) },
		"append": func(path string, info os.FileInfo) error {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteString("more")
			return err
		},
		"remove": func(path string, _ os.FileInfo) error { return os.Remove(path) },
		"other":  func(path string, info os.FileInfo) error { return os.WriteFile(path, make([]byte, info.Size()), 0o600) },
		"folder": nil,
	}
	for how, each := range damage {
		t.Run(how, func(t *testing.T) {
			dir := t.TempDir()
			var log logged
			open := func() (*cache.Cache, *Engine, *bed) {
				// Little memory, so that much is read from disk.
				c, err := cache.Open(cache.Options{Dir: dir, Memory: 100_000, Log: zerolog.New(&log)})
				if err != nil {
					t.Fatal(err)
				}
				e := New(s, c, zerolog.Nop())
				return c, e, listen(t, true, backend(t, e, app.TurbochargerOpts{Manifest: manifest}).Handler(true))
			}
			read := func(b *bed, when string) {
				t.Helper()
				for name, want := range files {
					for _, accept := range []string{"", "gzip"} {
						resp, body := b.ask("GET", "/"+name, "Accept-Encoding: "+accept)
						if resp.Header.Get("Content-Encoding") == "gzip" {
							z, err := gzip.NewReader(bytes.NewReader(body))
							if err == nil {
								body, err = io.ReadAll(z)
							}
							if err != nil {
								t.Errorf("%s: %s in gzip: %v", when, name, err)
								continue
							}
						}
						if resp.StatusCode != 200 || !bytes.Equal(body, want) {
							t.Errorf("%s: %s with %q: %d, %d wrong bytes or other length %d", when, name, accept, resp.StatusCode, len(body), len(want))
						}
					}
				}
			}
			hit := func() {
				if each == nil {
					if err := os.RemoveAll(dir); err != nil {
						t.Fatal(err)
					}
					return
				}
				paths, _ := filepath.Glob(filepath.Join(dir, "*", "*"))
				for _, path := range paths {
					if info, err := os.Stat(path); err == nil && !strings.HasPrefix(info.Name(), ".new-") {
						if err := each(path, info); err != nil && !os.IsNotExist(err) {
							t.Fatal(err)
						}
					}
				}
			}
			c, e, b := open()
			read(b, "at first")
			eventually(t, "encodings", func() bool { return c.Usage().Queued == 0 })
			read(b, "encoded")
			for range 3 {
				hit()
				read(b, "damaged while it serves")
				read(b, "and again")
			}
			if n := c.Stats.Damaged.Load(); n == 0 && how != "remove" && how != "folder" {
				t.Error("nothing was counted")
			}
			if how != "remove" && how != "folder" && !strings.Contains(log.take(), "is damaged") {
				t.Error("nothing was logged")
			}
			e.Close()
			c.Close()
			hit()
			c, e, b = open()
			defer c.Close()
			defer e.Close()
			read(b, "damaged between two starts")
		})
	}
}
