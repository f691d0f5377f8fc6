package watch

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// patience is how long a test waits for what has to come.
const patience = 10 * time.Second

// follow runs a watch whose poll never helps, and returns what it says.
func follow(t *testing.T, path string, depth int) (<-chan Look, chan<- struct{}) {
	t.Helper()
	looks := make(chan Look, 1000)
	now := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		Run(ctx, Options{Path: path, Depth: depth, Poll: time.Hour, Now: now, Log: zerolog.Nop()}, func(l Look) time.Duration {
			looks <- l
			return 0
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	if l := next(t, looks); !l.All {
		t.Fatalf("the first look is %+v", l)
	}
	return looks, now
}

func next(t *testing.T, looks <-chan Look) Look {
	t.Helper()
	select {
	case l := <-looks:
		return l
	case <-time.After(patience):
		t.Fatal("nothing was noticed")
		return Look{}
	}
}

// until waits for a look at everything, or at one path (at everything else as well
// if it is time for that).
func until(t *testing.T, looks <-chan Look, path string) {
	t.Helper()
	for {
		l := next(t, looks)
		if l.All && path == "" || path != "" && slices.Contains(l.Paths, path) {
			return
		}
	}
}

// quiet waits until the events of what was done before are through.
func quiet(looks <-chan Look) {
	for {
		select {
		case <-looks:
		case <-time.After(100 * time.Millisecond):
			return
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, path, content string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(content), 0o644))
}

func TestFileChanges(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "apps.json")
	put(t, path, "1")
	looks, now := follow(t, path, 0)
	for _, c := range []struct {
		name string
		do   func()
	}{
		{"written in place", func() { put(t, path, "2") }},
		{"renamed over", func() { put(t, path+".new", "3"); must(t, os.Rename(path+".new", path)) }},
		{"removed", func() { must(t, os.Remove(path)) }},
		{"made again", func() { put(t, path, "4") }},
		{"renamed away and made again", func() { must(t, os.Rename(path, path+"~")); put(t, path, "5") }},
		{"made a link", func() {
			put(t, filepath.Join(dir, "far", "target"), "6")
			must(t, os.Remove(path))
			must(t, os.Symlink("far/target", path))
		}},
		{"the link's target written", func() { put(t, filepath.Join(dir, "far", "target"), "7") }},
		{"the link's target replaced", func() {
			put(t, filepath.Join(dir, "far", "new"), "8")
			must(t, os.Rename(filepath.Join(dir, "far", "new"), filepath.Join(dir, "far", "target")))
		}},
	} {
		quiet(looks)
		c.do()
		t.Log(c.name)
		until(t, looks, "")
	}
	quiet(looks)
	put(t, filepath.Join(dir, "neighbour"), "x")
	must(t, os.Chtimes(path, time.Now(), time.Now()))
	select {
	case l := <-looks:
		t.Errorf("a neighbour woke the watch: %+v", l)
	case <-time.After(200 * time.Millisecond):
	}
	now <- struct{}{}
	for l := next(t, looks); !l.All || !l.Asked; l = next(t, looks) {
		t.Logf("look %+v", l)
	}
}

// Kubernetes mounts a folder whose files are links through ..data, and swaps that.
func TestSwappedFolder(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "..v1", "apps.json"), "1")
	must(t, os.Symlink("..v1", filepath.Join(dir, "..data")))
	must(t, os.Symlink("..data/apps.json", filepath.Join(dir, "apps.json")))
	single, _ := follow(t, filepath.Join(dir, "apps.json"), 0)
	folder, _ := follow(t, dir, 0)
	for _, version := range []string{"..v2", "..v3"} {
		put(t, filepath.Join(dir, version, "apps.json"), version)
		quiet(single)
		quiet(folder)
		must(t, os.Symlink(version, filepath.Join(dir, "..data_tmp")))
		must(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
		until(t, single, "")
		until(t, folder, "")
	}
}

func TestFolderChanges(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "apps")
	put(t, filepath.Join(dir, "a.json"), "1")
	put(t, filepath.Join(dir, "sub", "b.json"), "1")
	looks, _ := follow(t, dir, 1)
	quiet(looks)
	for _, path := range []string{"a.json", "new.json", "sub/b.json", "sub/new.json"} {
		path = filepath.Join(dir, path)
		put(t, path, "2")
		until(t, looks, path)
		quiet(looks)
	}
	must(t, os.Remove(filepath.Join(dir, "a.json")))
	until(t, looks, filepath.Join(dir, "a.json"))
	quiet(looks)

	// The folder is replaced by another one of its name.
	other := dir + ".other"
	put(t, filepath.Join(other, "c.json"), "1")
	must(t, os.Rename(dir, dir+".old"))
	must(t, os.Rename(other, dir))
	until(t, looks, "")
	quiet(looks)
	put(t, filepath.Join(dir, "c.json"), "2")
	until(t, looks, filepath.Join(dir, "c.json"))
}

func TestPathMadeLater(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "one", "two", "apps.json")
	looks, _ := follow(t, path, 0)
	for _, d := range []string{"one", "one/two"} {
		must(t, os.Mkdir(filepath.Join(dir, d), 0o755))
		until(t, looks, "")
		quiet(looks)
	}
	put(t, path, "1")
	until(t, looks, "")
}

func TestAgainAndPoll(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	var looks []Look
	Run(ctx, Options{Path: t.TempDir(), Poll: time.Second, Log: zerolog.Nop()}, func(l Look) time.Duration {
		looks = append(looks, l)
		if len(looks) == 4 {
			cancel()
		}
		if len(looks) == 2 {
			return time.Millisecond
		}
		return 0
	})
	if len(looks) != 4 || !looks[1].All || looks[2].All || len(looks[2].Paths) != 0 || !looks[3].All { // everything, everything, asked for, everything
		t.Errorf("looks %+v", looks)
	}
}

func TestLinkLoop(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Symlink("b", filepath.Join(dir, "a")))
	must(t, os.Symlink("a", filepath.Join(dir, "b")))
	find(filepath.Join(dir, "a"), 0) // must end
}

func TestNothingIsLeft(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		ctx, cancel := context.WithCancel(context.Background())
		Run(ctx, Options{Path: t.TempDir(), Log: zerolog.Nop()}, func(Look) time.Duration { cancel(); return 0 })
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	var b strings.Builder
	buf := make([]byte, 1<<16)
	b.Write(buf[:runtime.Stack(buf, true)])
	t.Errorf("goroutines: %d before, %d after\n%s", before, runtime.NumGoroutine(), b.String())
}

// A path relative to the working directory is watched as an absolute one is: the
// poll of an hour does not bring the change.
func TestRelativePaths(t *testing.T) {
	for _, c := range []struct{ path, file string }{
		{"apps.json", "apps.json"}, {"./apps.json", "apps.json"}, {"sub/apps.json", "sub/apps.json"},
		{"../apps.json", "../apps.json"}, {"later/apps.json", "later/apps.json"}, {".", "apps.json"}, {"sub", "sub/apps.json"},
	} {
		t.Run(c.path, func(t *testing.T) {
			dir := t.TempDir()
			must(t, os.MkdirAll(filepath.Join(dir, "work", "sub"), 0o755))
			t.Chdir(filepath.Join(dir, "work"))
			looks, _ := follow(t, c.path, 0)
			next(t, looks)
			quiet(looks)
			for _, content := range []string{"1", "2"} {
				put(t, c.file, content)
				next(t, looks)
				quiet(looks)
				must(t, os.WriteFile(c.file+"~", []byte(content+"x"), 0o644)) // editors rename
				quiet(looks)
				must(t, os.Rename(c.file+"~", c.file))
				next(t, looks)
				quiet(looks)
			}
		})
	}
}
