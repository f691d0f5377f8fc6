package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/bus"
	"edgerouter/metrics"
)

const stream = "/t-1/vault"

var secret = []byte("0123456789abcdef0123456789abcdef")

func open(t *testing.T, log bus.Log, owner string, change ...func(*Options)) *Vault {
	t.Helper()
	o := Options{Log: log, Stream: stream, Secret: secret, Owner: owner, Metrics: metrics.NewSet(), Logger: zerolog.Nop()}
	for _, f := range change {
		f(&o)
	}
	v, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// run runs a vault until the test, or what is returned, ends it.
func run(t *testing.T, v *Vault) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = v.Run(ctx)
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}

func TestPutGetDelete(t *testing.T) {
	log := &bus.Memory{}
	a, b := open(t, log, "a"), open(t, log, "b")
	run(t, a)
	run(t, b)
	ctx := t.Context()
	if err := a.Put(ctx, map[string][]byte{"x/1": []byte("one"), "x/2": []byte("two"), "xy": nil}); err != nil {
		t.Fatal(err)
	}
	if got, err := a.Get("x/1"); err != nil || string(got) != "one" {
		t.Errorf("a writer's own value: %q %v", got, err)
	}
	if err := b.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Get("x/2"); err != nil || string(got) != "two" {
		t.Errorf("on another node: %q %v", got, err)
	}
	if got := b.List("x/"); len(got) != 2 || got[0].Key != "x/1" || got[0].Modified.IsZero() {
		t.Errorf("list: %+v", got)
	}
	if err := b.Delete(ctx, "x"); err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(ctx, "not there"); err != nil {
		t.Errorf("deleting what is not there: %v", err)
	}
	if _, err := b.Get("x/1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after it was deleted: %v", err)
	}
	if _, err := b.Get("xy"); err != nil {
		t.Errorf("a key that only begins the same is gone: %v", err)
	}
	if _, err := b.Stat("x/1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat: %v", err)
	}
	if err := a.Put(ctx, map[string][]byte{"big": make([]byte, MaxValue+1)}); err == nil {
		t.Error("a value that is too large is taken")
	}
	if err := a.Put(ctx, map[string][]byte{"full": make([]byte, MaxValue)}); err != nil {
		t.Errorf("the largest value: %v", err)
	}
}

func TestReplace(t *testing.T) {
	log := &bus.Memory{}
	a, b := open(t, log, "a"), open(t, log, "b")
	run(t, a)
	run(t, b)
	var wg sync.WaitGroup
	won := make(chan string, 2)
	for _, v := range []*Vault{a, b} {
		wg.Go(func() {
			if done, err := v.Replace(t.Context(), "k", -1, []byte(v.opts.Owner)); err != nil {
				t.Error(err)
			} else if done {
				won <- v.opts.Owner
			}
		})
	}
	wg.Wait()
	close(won)
	var winners []string
	for w := range won {
		winners = append(winners, w)
	}
	if len(winners) != 1 {
		t.Fatalf("winners: %v", winners)
	}
	if got, err := a.Get("k"); err != nil || string(got) != winners[0] {
		t.Errorf("%q %v, want %s", got, err, winners[0])
	}
}

// Neither the bus nor the snapshot has a value in the clear, and a snapshot is
// enough to read it.
func TestEncryptedAtRest(t *testing.T) {
	log := &bus.Memory{}
	path := filepath.Join(t.TempDir(), "vault.snapshot")
	kept := func(o *Options) { o.SnapshotPath = path }
	v := open(t, log, "a", kept)
	stop := run(t, v)
	secretValue := []byte("-----BEGIN EC PRIVATE KEY-----")
	if err := v.Put(t.Context(), map[string][]byte{"k": secretValue}); err != nil {
		t.Fatal(err)
	}
	stop()
	snapshot, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := log.Read(t.Context(), bus.Start(stream), 10)
	if err != nil {
		t.Fatal(err)
	}
	if all := append(snapshot, fmt.Sprint(entries)...); bytes.Contains(all, secretValue) {
		t.Error("the value is in the clear")
	}

	gone := &bus.Memory{}
	gone.Close()
	again := open(t, gone, "a", kept)
	ready := make(chan struct{}, 1)
	again.Watch(func() { ready <- struct{}{} })
	run(t, again)
	<-ready
	if got, err := again.Get("k"); err != nil || !bytes.Equal(got, secretValue) {
		t.Errorf("from the snapshot: %q %v", got, err)
	}
	if err := again.Put(t.Context(), map[string][]byte{"k": nil}); err == nil {
		t.Error("writing without a bus is no error")
	}

	wrong := open(t, log, "b", func(o *Options) { o.Secret = []byte("another secret, as long as it has to be") })
	run(t, wrong)
	if err := wrong.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := wrong.Get("k"); !errors.Is(err, ErrSecret) {
		t.Errorf("with another secret: %v", err)
	}
	if _, err := New(Options{Secret: []byte("short")}); err == nil {
		t.Error("a short secret is taken")
	}
}

func TestValuesAreBoundToTheirKeys(t *testing.T) {
	b, err := newBox(secret)
	if err != nil {
		t.Fatal(err)
	}
	sealed := b.seal("a", []byte("value"))
	if _, err := b.open("b", sealed); err == nil {
		t.Error("a value can be moved to another key")
	}
	for n := range sealed {
		if _, err := b.open("a", sealed[:n]); err == nil {
			t.Errorf("the first %d bytes are taken for all", n)
		}
	}
}

func TestLockExcludes(t *testing.T) {
	log := &bus.Memory{}
	var inside, most int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, name := range []string{"a", "b", "c"} {
		v := open(t, log, name)
		run(t, v)
		for range 2 { // also two goroutines of one node
			wg.Go(func() {
				for range 5 {
					if err := v.Lock(t.Context(), "k"); err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					inside++
					most = max(most, inside)
					mu.Unlock()
					mu.Lock()
					inside--
					mu.Unlock()
					if err := v.Unlock(t.Context(), "k"); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	if most != 1 {
		t.Errorf("%d at once had the lock", most)
	}
}

// The lock of a node that is killed is free after its lease; one that lives
// keeps it for as long as it likes.
func TestLockOfADeadNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &bus.Memory{}
		a, b := open(t, log, "a"), open(t, log, "b")
		killA, stopB := run(t, a), run(t, b)
		defer stopB()
		if err := a.Lock(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if err := b.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := b.Holder("k"); got != "a" {
			t.Fatalf("after an hour the holder is %q", got)
		}
		if last, _ := log.Last(t.Context(), stream); last.Version > 150 {
			t.Errorf("%d entries for a lock of one hour", last.Version)
		}
		if err := a.Unlock(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		if err := a.Lock(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		killA()
		began := time.Now()
		if err := b.Lock(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited < minLease/2 || waited > minLease+time.Second {
			t.Errorf("taken over after %v", waited)
		}
		if err := a.Unlock(context.Background(), "other"); !errors.Is(err, ErrNotHeld) {
			t.Errorf("unlocking what is not held: %v", err)
		}
		if got := b.Holder("k"); got != "b" {
			t.Errorf("the holder is %q", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := b.Lock(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a second time: %v", err)
		}
	})
}

// Whatever is in the stream, applying it ends with contents that can be saved
// and restored.
func FuzzApply(f *testing.F) {
	f.Add(typePut, `{"Key":"a","Value":"AAAA"}`)
	f.Add(typeDeleted, `{"Key":"a"}`)
	f.Add(typeLocked, `{"Name":"a","Owner":"b","LeaseSeconds":-5}`)
	f.Add(typeHeld, `{"Owner":"b","LeaseSeconds":99999999999}`)
	f.Add(typeUnlocked, `{"Name":5}`)
	f.Fuzz(func(t *testing.T, typ, data string) {
		v, err := New(Options{Log: &bus.Memory{}, Stream: stream, Secret: secret, Owner: "a", Metrics: metrics.NewSet(), Logger: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{`VaultLocked    {"Name":"a","Owner":"b","LeaseSeconds":5}`, typ + "    " + data} {
			v.Apply(bus.Entry{Events: []string{"2026-11-01T12:12:00.000Z " + text}})
		}
		for _, i := range v.List("") {
			_, _ = v.Get(i.Key)
		}
		for _, l := range v.state.Locks {
			if l.Lease < time.Second || l.Lease > maxLease {
				t.Errorf("a lease of %v", l.Lease)
			}
		}
		saved, err := v.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Restore(saved); err != nil {
			t.Fatal(err)
		}
	})
}
