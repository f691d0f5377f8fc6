package jetstream

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"edgerouter/bus"
	"edgerouter/bus/bustest"
	"edgerouter/internal/testkit"
	"edgerouter/metrics"
)

// eachStoreFile calls f for the files of a store that hold messages or state.
func eachStoreFile(t *testing.T, folder string, f func(path string, content []byte)) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == lockFile || !strings.Contains(path, streamPrefix) {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f(path, content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// lines is a state that is the list of the events.
type lines struct{ all []string }

func (l *lines) Restore(b []byte) error {
	l.all = nil
	if len(b) > 0 {
		l.all = strings.Split(string(b), "\n")
	}
	return nil
}
func (l *lines) Apply(e bus.Entry)         { l.all = append(l.all, e.Events...) }
func (l *lines) Snapshot() ([]byte, error) { return []byte(strings.Join(l.all, "\n")), nil }

// follow runs a follower until stop; in gets what is in service.
func follow(b *Bus, snapshot string, in *atomic.Pointer[[]string]) (f *bus.Follower, stop func()) {
	state := &lines{}
	f = bus.NewFollower(bus.FollowerOptions{
		Log: b, Stream: damageStream, State: state, SnapshotPath: snapshot, Metrics: metrics.NewSet(), Logger: b.log,
		Changed: func(bus.Cursor) { now := slices.Clone(state.all); in.Store(&now) },
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { f.Run(ctx); close(done) }()
	return f, func() { cancel(); <-done }
}

const damageStream = "/t-9/damage"

// Whatever is done to the files of a store, what was in service stays in service,
// and the log gets back what it lost, each entry in its place.
func TestDamagedStore(t *testing.T) {
	for name, damage := range map[string]func(path string, content []byte) error{
		"truncated": func(path string, content []byte) error { return os.Truncate(path, int64(len(content)/2)) },
		"flipped": func(path string, content []byte) error {
			if len(content) > 0 {
				content[len(content)/2] ^= 0x10
			}
			return os.WriteFile(path, content, 0o600)
		},
		"missing": func(path string, _ []byte) error { return os.Remove(path) },
		"emptied": func(path string, _ []byte) error { return os.Truncate(path, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			folder, snapshot, want := leftBehind(t)
			var in atomic.Pointer[[]string]
			eachStoreFile(t, folder, func(path string, content []byte) {
				if err := damage(path, content); err != nil {
					t.Fatal(err)
				}
			})

			b, _ := start(t, Options{Embedded: Embedded{Folder: folder}})
			f, stop := follow(b, snapshot, &in)
			defer stop()
			defer func() {
				if t.Failed() {
					last, err := b.Last(context.Background(), damageStream)
					entries, readErr := b.Read(context.Background(), bus.Start(damageStream), 100)
					t.Logf("%+v; the log ends with %v, %v; %d entries, %v", f.Status(), last, err, len(entries), readErr)
				}
			}()
			untilIn(t, 15*time.Second, "the log is whole again", func() bool {
				if now := in.Load(); now != nil && !slices.Equal(*now, want) {
					t.Fatalf("in service are %d events, %v", len(*now), *now)
				}
				entries, err := b.Read(t.Context(), bus.Start(damageStream), 100)
				if err != nil || len(entries) != len(want)+1 || f.Status().State != bus.Following {
					return false
				}
				for i, e := range entries[1:] {
					if e.Version != int64(i+1) || !slices.Equal(e.Events, want[i:i+1]) {
						t.Fatalf("version %d is %+v", i+1, e)
					}
				}
				return true
			})
			if at, err := b.Append(deadline(t), damageStream, bustest.Event(1000)); err != nil || at.Version != 51 {
				t.Errorf("the next append: %v, %v", at, err)
			}
		})
	}
}

// A message in the middle or at the end that cannot be read any more is lost for
// the log, which cannot be written to there. A node that has applied it keeps it in
// service, and goes on with what follows.
func TestDamagedMessage(t *testing.T) {
	for name, damage := range map[string]func(path string, content []byte) error{
		"flipped": func(path string, content []byte) error {
			content[len(content)/2] ^= 0x10
			return os.WriteFile(path, content, 0o600)
		},
		"truncated": func(path string, content []byte) error { return os.Truncate(path, int64(len(content)-7)) },
	} {
		t.Run(name, func(t *testing.T) {
			folder, snapshot, want := leftBehind(t)
			var in atomic.Pointer[[]string]
			eachStoreFile(t, folder, func(path string, content []byte) {
				if filepath.Ext(path) == ".blk" {
					if err := damage(path, content); err != nil {
						t.Fatal(err)
					}
				}
			})
			b, _ := start(t, Options{Embedded: Embedded{Folder: folder}})
			f, stop := follow(b, snapshot, &in)
			defer stop()
			<-f.CaughtUp()
			if now := in.Load(); !slices.Equal(*now, want) {
				t.Errorf("in service are %d events", len(*now))
			}
			if _, err := b.Append(deadline(t), damageStream, bustest.Event(50)); err != nil {
				t.Fatal(err)
			}
			want = append(want, bustest.Event(50))
			untilIn(t, 15*time.Second, "the next append is in service", func() bool { return slices.Equal(*in.Load(), want) })
		})
	}
}

// A full disk: appends fail with a reason, what was acknowledged stays, and when
// there is room they work again.
func TestFullDisk(t *testing.T) {
	testkit.Long(t)
	folder := t.TempDir()
	if err := unix.Mount("tmpfs", folder, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("a small disk cannot be mounted: %v; this test needs root", err)
	}
	t.Cleanup(func() { unix.Unmount(folder, unix.MNT_DETACH) })
	b, log := start(t, Options{Embedded: Embedded{Folder: folder}})
	const stream = "/t-9/full"
	last, err := b.Append(deadline(t), stream, bustest.Event(0))
	if err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(folder, "filler")
	if err := os.WriteFile(filler, make([]byte, 8<<20), 0o600); err == nil {
		t.Fatal("the disk is not small")
	}
	big := strings.Replace(bustest.Event(1), "1}", `1,"T":"`+strings.Repeat("x", 100<<10)+`"}`, 1)
	var refused error
	for range 50 {
		at, err := b.Append(shortly(t), stream, big)
		if err != nil {
			refused = err
			break
		}
		last = at
	}
	if !errors.Is(refused, bus.ErrUnavailable) {
		t.Errorf("an append to a full disk: %v", refused)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	until(t, "appends work again", func() bool {
		_, err := b.Append(shortly(t), stream, bustest.Event(2))
		return err == nil
	})
	entries, err := b.Read(deadline(t), bus.Start(stream), 1000)
	if err != nil || int64(len(entries)) < last.Version+2 {
		t.Errorf("%d entries, and version %d was acknowledged; %v", len(entries), last.Version, err)
	}
	for i, e := range entries {
		if e.Version != int64(i) {
			t.Errorf("entry %d has version %d", i, e.Version)
		}
	}
	if !strings.Contains(log.String(), "disk") {
		t.Errorf("the log does not name the disk: %s", log.String())
	}
}

func shortly(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// leftBehind is what a node that has followed 50 events and stopped leaves: its
// store, its snapshot, and the events.
func leftBehind(t *testing.T) (folder, snapshot string, events []string) {
	t.Helper()
	folder, snapshot = t.TempDir(), filepath.Join(t.TempDir(), "snapshot")
	b, _ := start(t, Options{Embedded: Embedded{Folder: folder}})
	for i := range 50 {
		if _, err := b.Append(deadline(t), damageStream, bustest.Event(i)); err != nil {
			t.Fatal(err)
		}
		events = append(events, bustest.Event(i))
	}
	var in atomic.Pointer[[]string]
	f, stop := follow(b, snapshot, &in)
	<-f.CaughtUp()
	stop()
	b.Close()
	return folder, snapshot, events
}
