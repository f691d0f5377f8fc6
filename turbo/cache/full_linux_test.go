package cache

import (
	"bytes"
	"strings"
	"syscall"
	"testing"

	"github.com/rs/zerolog"

	"edgerouter/turbo/content"
)

// TestFullDisk: on a file system without room, what is small is served from memory
// and what is large is refused.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=512k"); err != nil {
		t.Skipf("a file system of its own cannot be mounted here (%v)", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }) // after Close, which was registered later
	var said bytes.Buffer
	c, err := Open(Options{Dir: dir, Log: zerolog.New(zerolog.SyncWriter(&said))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	large := text(1, 400_000)
	if cp, err := c.Object(content.IDOf(large)).Load(t.Context(), from(large)); err != nil || !bytes.Equal(whole(t, cp), large) {
		t.Fatal(err)
	}
	more := text(2, 300_000)
	if _, err := c.Object(content.IDOf(more)).Load(t.Context(), from(more)); err == nil {
		t.Error("a file for which there is no room came here")
	}
	for i := range 20 {
		small := text(10+i, 30_000)
		cp, err := c.Object(content.IDOf(small)).Load(t.Context(), from(small))
		if err != nil || !bytes.Equal(whole(t, cp), small) {
			t.Errorf("small file %d: %v", i, err)
		}
	}
	if c.Stats.DiskErrors.Load() == 0 {
		t.Error("no error of the disk was counted")
	}
	c.Close()
	if !strings.Contains(said.String(), "the disk of the cached files is full") || !strings.Contains(said.String(), dir) {
		t.Errorf("the log does not say that it is full:\n%s", said.String())
	}
}
