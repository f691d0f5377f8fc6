package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/metrics"
)

const testStream = "/t-1/x"

func line(n int) string { return fmt.Sprintf(`2026-11-01T12:00:00.000Z Test    {"N":%d}`, n) }

// listState is a state that is the list of what was applied.
type listState struct{ lines []string }

func (s *listState) Restore(b []byte) error {
	if bytes.HasPrefix(b, []byte("bad")) {
		return errors.New("not a list")
	}
	s.lines = nil
	if len(b) > 0 {
		s.lines = strings.Split(string(b), "\n")
	}
	return nil
}
func (s *listState) Apply(e Entry)             { s.lines = append(s.lines, e.Lines()...) }
func (s *listState) Snapshot() ([]byte, error) { return []byte(strings.Join(s.lines, "\n")), nil }

// faulty is a Log that does what the test says before it does its own.
type faulty struct {
	*Memory
	mu   sync.Mutex
	read func(after Cursor, entries []Entry) ([]Entry, error)
	last func() error
	end  int64 // that Last tells; 0: what is so
}

func (f *faulty) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *faulty) Read(ctx context.Context, after Cursor, limit int) ([]Entry, error) {
	entries, err := f.Memory.Read(ctx, after, limit)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.read != nil && err == nil {
		return f.read(after, entries)
	}
	return entries, err
}

func (f *faulty) Last(ctx context.Context, stream string) (Cursor, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last != nil {
		if err := f.last(); err != nil {
			return Cursor{}, err
		}
	}
	if f.end > 0 {
		return Cursor{stream, f.end}, nil
	}
	return f.Memory.Last(ctx, stream)
}

// Wait comes back after a second, as a Log that polls does.
func (f *faulty) Wait(ctx context.Context, after Cursor) error {
	polled, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err := f.Memory.Wait(polled, after)
	if polled.Err() != nil {
		return ctx.Err()
	}
	return err
}

// rig is a follower under test. Its state is told by Changed only.
type rig struct {
	*Follower
	log   bytes.Buffer
	state *listState
	told  []string // the state at the last Changed
	times int
	stop  func()
}

func newRig(log Log, snapshot string) *rig {
	r := &rig{state: &listState{}}
	r.Follower = NewFollower(FollowerOptions{
		Log: log, Stream: testStream, State: r.state, SnapshotPath: snapshot,
		Changed: func(Cursor) { r.told = slices.Clone(r.state.lines); r.times++ },
		Metrics: metrics.NewSet(), Logger: zerolog.New(&r.log),
	})
	return r
}

func (r *rig) start(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	r.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func (r *rig) wants(t *testing.T, state FollowerState, numbers ...int) {
	t.Helper()
	synctest.Wait()
	var want []string
	for _, n := range numbers {
		want = append(want, line(n))
	}
	got := r.told
	if len(got) > 0 && strings.Contains(got[0], TypeStreamStarted) {
		got = got[1:]
	}
	s := r.Status()
	if !slices.Equal(got, want) || s.State != state {
		t.Errorf("%s with %v, want %s with %v; error %q\n%s", s.State, got, state, want, s.Error, r.log.String())
	}
}

func appendLines(t *testing.T, l Log, numbers ...int) {
	t.Helper()
	for _, n := range numbers {
		if _, err := l.Append(t.Context(), testStream, line(n)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFollower(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.snapshot")
	synctest.Test(t, func(t *testing.T) {
		log := &faulty{Memory: &Memory{}}
		r := newRig(log, path)
		r.start(t)
		r.wants(t, Following)
		appendLines(t, log, 1, 2)
		r.wants(t, Following, 1, 2)
		if s := r.Status(); s.Version != 2 || s.Head != 2 || s.Lag() != 0 || s.Digest == "" || s.AppliedAt == nil {
			t.Errorf("%+v", s)
		}
		r.stop()
		if s := r.Status(); s.State != Stopped || s.SnapshotVersion != 2 {
			t.Errorf("%+v", s)
		}

		// A second one starts from the snapshot and goes on; its digest is the one
		// of a node that read the whole log.
		appendLines(t, log, 3)
		again := newRig(log, path)
		again.start(t)
		again.wants(t, Following, 1, 2, 3)
		if again.times != 2 {
			t.Errorf("Changed was called %d times, want once from the snapshot and once from the log", again.times)
		}
		whole := newRig(log, "")
		whole.start(t)
		whole.wants(t, Following, 1, 2, 3)
		if a, b := again.Status().Digest, whole.Status().Digest; a != b {
			t.Errorf("digests %s and %s", a, b)
		}
		again.stop()
		whole.stop()
	})
}

// Whatever is delivered again is passed over, and nothing is applied past a gap.
func TestFollowerRedelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &faulty{Memory: &Memory{}}
		appendLines(t, log, 1, 2, 3)
		log.read = func(after Cursor, entries []Entry) ([]Entry, error) { // the last two again, each time
			before, err := log.Memory.Read(context.Background(), Cursor{testStream, after.Version - 2}, 2)
			if after.Version < 0 {
				before = nil
			}
			return append(before, entries...), err
		}
		r := newRig(log, "")
		r.start(t)
		r.wants(t, Following, 1, 2, 3)
		appendLines(t, log, 4)
		r.wants(t, Following, 1, 2, 3, 4)

		log.set(func() {
			log.read = func(_ Cursor, entries []Entry) ([]Entry, error) {
				if len(entries) > 0 {
					entries = entries[1:]
				}
				return entries, nil
			}
		})
		appendLines(t, log, 5, 6)
		r.wants(t, Damaged, 1, 2, 3, 4)
		log.set(func() { log.read = nil })
		time.Sleep(maxRetry)
		r.wants(t, Following, 1, 2, 3, 4, 5, 6)
		r.stop()
	})
}

// A log that is away at the start: with a snapshot its state is in service, and
// without one there is nothing until it comes.
func TestFollowerWithoutLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.snapshot")
	synctest.Test(t, func(t *testing.T) {
		log := &faulty{Memory: &Memory{}}
		appendLines(t, log, 1, 2)
		r := newRig(log, path)
		r.start(t)
		r.wants(t, Following, 1, 2)
		r.stop()

		away := func(Cursor, []Entry) ([]Entry, error) { return nil, fmt.Errorf("%w: it is away", ErrUnavailable) }
		log.read, log.last = away, func() error { return ErrUnavailable }
		with, without := newRig(log, path), newRig(log, "")
		with.start(t)
		without.start(t)
		with.wants(t, Unreachable, 1, 2)
		without.wants(t, Unreachable)
		if without.times != 0 {
			t.Error("a state was told before the log was read")
		}
		time.Sleep(time.Minute)
		if n := strings.Count(with.log.String(), "cannot be followed"); n > 2 {
			t.Errorf("it was logged %d times", n)
		}
		log.set(func() { log.read, log.last = nil, nil })
		appendLines(t, log, 3)
		time.Sleep(2 * maxRetry)
		with.wants(t, Following, 1, 2, 3)
		without.wants(t, Following, 1, 2, 3)

		// Without quorum one node may read, but it says so.
		log.set(func() { log.last = func() error { return fmt.Errorf("%w: no quorum", ErrUnavailable) } })
		time.Sleep(2 * defaultCheckEvery)
		with.wants(t, Unreachable, 1, 2, 3)
		with.stop()
		without.stop()
	})
}

func TestFollowerSnapshotDamage(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"flipped":   func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"truncated": func(b []byte) []byte { return b[:len(b)-3] },
		"empty":     func([]byte) []byte { return nil },
		"of a later version": func(b []byte) []byte {
			return bytes.Replace(b, []byte(snapshotMagic+" 1 "), []byte(snapshotMagic+" 2 "), 1)
		},
		"unusable state": func([]byte) []byte {
			b, _ := Snapshot{Cursor: Cursor{testStream, 1}, State: []byte("bad")}.encode()
			return b
		},
		"nothing to compare": func([]byte) []byte {
			b, _ := Snapshot{Cursor: Cursor{testStream, 2}, State: []byte(line(9))}.encode()
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.snapshot")
			synctest.Test(t, func(t *testing.T) {
				log := &faulty{Memory: &Memory{}}
				appendLines(t, log, 1, 2)
				r := newRig(log, path)
				r.start(t)
				r.wants(t, Following, 1, 2)
				r.stop()
				content, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, damage(content), 0o600); err != nil {
					t.Fatal(err)
				}
				r = newRig(log, path)
				r.start(t)
				time.Sleep(maxRetry)
				r.wants(t, Following, 1, 2)
				r.stop()
				if _, err := os.Stat(path + ".unusable"); err != nil {
					t.Error(err)
				}
				if !strings.Contains(r.log.String(), path) {
					t.Errorf("the log does not name the file: %s", r.log.String())
				}
				if s, err := readSnapshot(path, testStream); err != nil || s.Version != 2 {
					t.Errorf("a good one was not written: %v, %v", s.Cursor, err)
				}
			})
		})
	}
}

func TestFollowerSnapshotCannotBeWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file", "x.snapshot")
	if err := os.WriteFile(filepath.Dir(path), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		log := &faulty{Memory: &Memory{}}
		r := newRig(log, path)
		r.start(t)
		for n := range 5 {
			appendLines(t, log, n)
			time.Sleep(defaultSnapshotEvery)
		}
		r.wants(t, Following, 0, 1, 2, 3, 4)
		r.stop()
		if n := strings.Count(r.log.String(), "snapshot"); n == 0 || strings.Count(r.log.String(), "was not written") != 1 {
			t.Errorf("want it told once: %s", r.log.String())
		}
	})
}

// shorten makes a Memory lose its end, and what is there another log.
func lose(m *Memory, entries int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.streams[testStream] = m.streams[testStream][:len(m.streams[testStream])-entries]
}

func TestFollowerLogLostItsEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.snapshot")
	synctest.Test(t, func(t *testing.T) {
		log := &faulty{Memory: &Memory{}}
		appendLines(t, log, 1, 2, 3, 4)
		r := newRig(log, path)
		r.start(t)
		r.wants(t, Following, 1, 2, 3, 4)

		lose(log.Memory, 2) // while it is followed
		time.Sleep(2*defaultCheckEvery + time.Second)
		r.wants(t, Following, 1, 2, 3, 4)
		whole := newRig(log, "")
		whole.start(t)
		whole.wants(t, Following, 1, 2, 3, 4)
		if !strings.Contains(r.log.String(), "appended them again") {
			t.Error(r.log.String())
		}
		whole.stop()
		r.stop()

		lose(log.Memory, 5) // all of it, while nobody looked
		r = newRig(log, path)
		r.start(t)
		time.Sleep(maxRetry)
		r.wants(t, Following, 1, 2, 3, 4)
		r.stop()
	})
}

func TestFollowerOtherLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.snapshot")
	synctest.Test(t, func(t *testing.T) {
		log, other := &faulty{Memory: &Memory{}}, &faulty{Memory: &Memory{}}
		appendLines(t, log, 1, 2, 3)
		r := newRig(log, path)
		r.start(t)
		r.wants(t, Following, 1, 2, 3)
		r.stop()

		appendLines(t, other, 7, 8, 9, 10)
		r = newRig(other, path)
		r.start(t)
		r.wants(t, Following, 7, 8, 9, 10)
		r.stop()
		if !strings.Contains(r.log.String(), "another log") {
			t.Error(r.log.String())
		}

		// One that ends before, and was never this node's.
		shorter := &faulty{Memory: &Memory{}}
		appendLines(t, shorter, 20, 21)
		r = newRig(shorter, path)
		r.start(t)
		time.Sleep(maxRetry)
		r.wants(t, Following, 20, 21)
		r.stop()
	})
}

// What is longer ago than the node remembers cannot be put back.
func TestFollowerLogLostTooMuch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.snapshot")
	synctest.Test(t, func(t *testing.T) {
		log := &faulty{Memory: &Memory{}}
		var numbers []int
		for n := range maxRecent + 50 {
			numbers = append(numbers, n)
		}
		appendLines(t, log, numbers...)
		r := newRig(log, path)
		r.start(t)
		r.wants(t, Following, numbers...)
		r.stop()
		lose(log.Memory, maxRecent+10)
		r = newRig(log, path)
		r.start(t)
		time.Sleep(shortFor / 2)
		r.wants(t, Unreachable, numbers...)
		time.Sleep(shortFor/2 + 2*maxRetry)
		r.wants(t, Damaged, numbers...)
		if s := r.Status(); !strings.Contains(s.Error, path) {
			t.Errorf("the error does not say what to do: %s", s.Error)
		}
		r.stop()
	})
}

// A node that led the cluster until it was cut off tells an end that is long
// past. Nothing is damaged then, and nothing is appended again.
func TestFollowerOldEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &faulty{Memory: &Memory{}}
		var numbers []int
		for n := range maxRecent + 50 {
			numbers = append(numbers, n)
		}
		appendLines(t, log, numbers...)
		r := newRig(log, "")
		r.start(t)
		r.wants(t, Following, numbers...)

		// The entries can be read: the node goes on.
		log.set(func() { log.end = 3 })
		time.Sleep(3 * defaultCheckEvery)
		appendLines(t, log, 1000)
		numbers = append(numbers, 1000)
		time.Sleep(maxRetry)
		r.wants(t, Following, numbers...)

		// They cannot, for a while: not even those that this node would append again.
		for _, end := range []int64{3, int64(len(numbers)) - 5} {
			log.set(func() {
				log.end = end
				log.read = func(after Cursor, entries []Entry) ([]Entry, error) {
					return slices.DeleteFunc(entries, func(e Entry) bool { return e.Version > end }), nil
				}
			})
			time.Sleep(shortFor / 2)
			r.wants(t, Unreachable, numbers...)
			log.set(func() { log.end, log.read = 0, nil })
			time.Sleep(2 * maxRetry)
			r.wants(t, Following, numbers...)
		}
		r.stop()
		if last, err := log.Memory.Last(t.Context(), testStream); err != nil || last.Version != int64(len(numbers)) {
			t.Errorf("the log ends with %v, %v, want version %d", last, err, len(numbers))
		}
		if strings.Contains(r.log.String(), "damaged") {
			t.Error(r.log.String())
		}
	})
}

func TestFollowerMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &Memory{}
		appendLines(t, log, 1)
		set := metrics.NewSet()
		f := NewFollower(FollowerOptions{
			Log: &faulty{Memory: log}, Stream: testStream, State: &listState{}, Changed: func(Cursor) {}, Metrics: set, Logger: zerolog.Nop(),
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { f.Run(ctx); close(done) }()
		<-f.CaughtUp()
		synctest.Wait()
		var out bytes.Buffer
		set.WritePrometheus(&out)
		for _, want := range []string{
			`er_bus_up{stream="/t-1/x"} 1`, `er_bus_version{stream="/t-1/x"} 1`, `er_bus_lag_entries{stream="/t-1/x"} 0`,
			`er_bus_applied_total{stream="/t-1/x"} 2`, `er_bus_snapshot_version{stream="/t-1/x"} -1`,
		} {
			if !strings.Contains(out.String(), want+"\n") {
				t.Errorf("no %s in\n%s", want, out.String())
			}
		}
		cancel()
		<-done
	})
}
