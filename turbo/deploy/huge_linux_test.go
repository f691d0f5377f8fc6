package deploy

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"edgerouter/internal/testkit"
	"edgerouter/turbo/store"
)

// fiveGB is the size of a file that nobody has the memory for.
const fiveGB = 5 << 30

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// hugeTar is a tar with one file of 5 GB, of which length bytes come.
func hugeTar(t *testing.T, length int64) io.Reader {
	t.Helper()
	var head bytes.Buffer
	if err := tar.NewWriter(&head).WriteHeader(&tar.Header{Name: "huge.bin", Size: fiveGB, Mode: 0o644, Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	return io.MultiReader(&head, io.LimitReader(zeros{}, length))
}

// TestHugeFile deploys a file of 5 GB that does not come to its end, and one that the
// folder of temporary files has no room for: the error says which, what came goes
// away, no manifest is there, and memory does not grow with the file. (What does come
// to its end goes the same way; see TestLargeFile.)
func TestHugeFile(t *testing.T) {
	s := folder(t)
	temp := t.TempDir()
	refused := func(what string, data io.Reader, want string) {
		t.Helper()
		n := testkit.Allocated(func() {
			if _, err := Tar(t.Context(), s, "p", data, Options{Temp: temp}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", what, err, want)
			}
		})
		if n > 8<<20 {
			t.Errorf("%s: %d bytes were allocated", what, n)
		}
		if left, _ := os.ReadDir(temp); len(left) > 0 {
			t.Errorf("%s: %d temporary files are left", what, len(left))
		}
		for _, area := range []store.Area{store.Files, store.Manifests} {
			if err := s.List(t.Context(), area, func(store.Item) error { return errors.New("something was written") }); err != nil {
				t.Errorf("%s: %s: %v", what, area, err)
			}
		}
	}
	refused("cut off", hugeTar(t, 20<<20), "it breaks off in /huge.bin")
	if err := syscall.Mount("tmpfs", temp, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("a file system of its own cannot be mounted here (%v)", err)
	}
	defer syscall.Unmount(temp, syscall.MNT_DETACH)
	refused("no room", hugeTar(t, fiveGB+1024), "keeping the tar until its names are checked: write")
	refused("no room", hugeTar(t, fiveGB+1024), "no space left on device (TMPDIR names the folder)")
}
