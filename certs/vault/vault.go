// Package vault is a small key-value store that all nodes of a cluster share,
// encrypted, with locks: the place for what belongs to the cluster and is
// secret, such as ACME accounts and certificates' private keys.
//
// It is kept in a stream of the event bus. Put, Delete and Lock append to it;
// Get and List read from the memory of this node, which follows it. A writer's
// own writes are there when Put returns; those of other nodes come as the bus
// delivers them. While the bus cannot be reached, reading works and writing fails.
//
// Values are encrypted with a key that is made of the cluster's secret, and bound
// to their name (seal.go). Neither the bus nor the snapshot has them in the clear.
//
// A lock is a lease. Its owner is heard of again and again (lock.go); one that is
// silent for too long, by the clock of who waits and not by the owner's, has lost
// it.
package vault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/bus"
	"edgerouter/metrics"
)

// Options of a Vault.
type Options struct {
	Log bus.Log
	// Stream is /t-N/vault.
	Stream string
	// Secret is what all nodes have in common.
	Secret []byte
	// Owner names this process in locks; it must not be the name of another one,
	// nor of this node before a restart.
	Owner string
	// SnapshotPath is a file in the data directory; empty: none is kept.
	SnapshotPath string
	Metrics      *metrics.Set
	Logger       zerolog.Logger
}

// ErrSecret is returned for a value that was encrypted with another secret.
var ErrSecret = errors.New("it was encrypted with another cluster secret: give this node the secret that the others have (--bus-secret-file)")

// MaxValue bounds a value; an entry of the bus with its encoding has room for more.
const MaxValue = 256 << 10

// MaxKey bounds a key.
const MaxKey = 512

// Vault is the store. Its methods may be called from any goroutine.
type Vault struct {
	opts     Options
	box      box
	follower *bus.Follower
	beats    beats

	mu       sync.Mutex
	state    contents
	applied  int64         // version up to which the state is there
	moved    chan struct{} // closed at the next change
	watchers []func()
}

// New makes a vault; nothing can be read before Run.
func New(opts Options) (*Vault, error) {
	box, err := newBox(opts.Secret)
	if err != nil {
		return nil, err
	}
	v := &Vault{opts: opts, box: box, applied: -1, moved: make(chan struct{})}
	v.state.clear()
	v.follower = bus.NewFollower(bus.FollowerOptions{
		Log: opts.Log, Stream: opts.Stream, State: v, Changed: v.changed,
		SnapshotPath: opts.SnapshotPath, Metrics: opts.Metrics, Logger: opts.Logger,
	})
	return v, nil
}

// Watch has f called after every change, from one goroutine. It is called before Run.
func (v *Vault) Watch(f func()) { v.watchers = append(v.watchers, f) }

// Run follows the stream and keeps this process's locks until ctx ends.
func (v *Vault) Run(ctx context.Context) error {
	var running sync.WaitGroup
	running.Go(func() { v.keepLocks(ctx) })
	defer running.Wait()
	return v.follower.Run(ctx)
}

// CaughtUp is closed once the vault has been level with the bus.
func (v *Vault) CaughtUp() <-chan struct{} { return v.follower.CaughtUp() }

// Status tells how the stream is followed.
func (v *Vault) Status() bus.FollowerStatus { return v.follower.Status() }

func (v *Vault) changed(at bus.Cursor) {
	v.mu.Lock()
	v.applied = at.Version
	close(v.moved)
	v.moved = make(chan struct{})
	v.mu.Unlock()
	for _, f := range v.watchers {
		f()
	}
}

// Get reads a value; fs.ErrNotExist when there is none.
func (v *Vault) Get(key string) ([]byte, error) {
	item, ok := v.find(key)
	if !ok {
		return nil, fmt.Errorf("%q in the vault: %w", key, fs.ErrNotExist)
	}
	value, err := v.box.open(key, item.Sealed)
	if err != nil {
		return nil, fmt.Errorf("%q in the vault: %w", key, err)
	}
	return value, nil
}

func (v *Vault) find(key string) (item, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	i, ok := v.state.Items[key]
	return i, ok
}

// Info is what is known of a value without decrypting it.
type Info struct {
	Key      string
	Modified time.Time
	Size     int
	Version  int64 // of the entry that wrote it
}

// Stat tells about a value; fs.ErrNotExist when there is none.
func (v *Vault) Stat(key string) (Info, error) {
	i, ok := v.find(key)
	if !ok {
		return Info{}, fmt.Errorf("%q in the vault: %w", key, fs.ErrNotExist)
	}
	return i.info(key), nil
}

// List tells about the values whose keys begin with a prefix, by key.
func (v *Vault) List(prefix string) (out []Info) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(v.state.Items)) {
		if strings.HasPrefix(key, prefix) {
			i := v.state.Items[key]
			out = append(out, i.info(key))
		}
	}
	return out
}

// Put writes values, all of them or none, and returns when this node has them.
func (v *Vault) Put(ctx context.Context, values map[string][]byte) error {
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if len(key) == 0 || len(key) > MaxKey || len(values[key]) > MaxValue {
			return fmt.Errorf("%.60q in the vault: the key has to have 1 to %d bytes, the value at most %d, and it has %d", key, MaxKey, MaxValue, len(values[key]))
		}
		text, err := event(typePut, put{Key: key, Value: v.box.seal(key, values[key])})
		if err != nil {
			return err
		}
		lines = append(lines, text)
	}
	at, err := v.opts.Log.Append(ctx, v.opts.Stream, lines...)
	if err != nil {
		return fmt.Errorf("writing %q into the vault: %w", slices.Sorted(maps.Keys(values))[0], err)
	}
	return v.reach(ctx, at)
}

// Delete removes a value, or, with everything below it, a folder: the keys that
// go on with "/". What is not there is no error.
func (v *Vault) Delete(ctx context.Context, key string) error {
	var lines []string
	for _, i := range v.List(key) {
		if i.Key != key && !strings.HasPrefix(i.Key, key+"/") {
			continue
		}
		text, err := event(typeDeleted, deleted{Key: i.Key})
		if err != nil {
			return err
		}
		lines = append(lines, text)
	}
	if len(lines) == 0 {
		return nil
	}
	at, err := v.opts.Log.Append(ctx, v.opts.Stream, lines...)
	if err != nil {
		return fmt.Errorf("removing %q from the vault: %w", key, err)
	}
	return v.reach(ctx, at)
}

// Replace writes a value if the one that is there is still the one of a version,
// -1 for none, and says whether it did.
func (v *Vault) Replace(ctx context.Context, key string, version int64, value []byte) (done bool, err error) {
	for {
		at, err := v.level(ctx)
		if err != nil {
			return false, err
		}
		now := int64(-1)
		if i, ok := v.find(key); ok {
			now = i.Version
		}
		if now != version {
			return false, nil
		}
		text, err := event(typePut, put{Key: key, Value: v.box.seal(key, value)})
		if err != nil {
			return false, err
		}
		next, err := v.opts.Log.AppendAfter(ctx, at, text)
		if errors.Is(err, bus.ErrConflict) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("writing %q into the vault: %w", key, err)
		}
		return true, v.reach(ctx, next)
	}
}

// Sync brings this node level with the bus as it is now.
func (v *Vault) Sync(ctx context.Context) error {
	_, err := v.level(ctx)
	return err
}

// level waits until this node has what the bus has, and returns that position.
func (v *Vault) level(ctx context.Context) (bus.Cursor, error) {
	last, err := v.opts.Log.Last(ctx, v.opts.Stream)
	if err != nil {
		return last, fmt.Errorf("the end of %s: %w", v.opts.Stream, err)
	}
	return last, v.reach(ctx, last)
}

// reach waits until this node has applied a position.
func (v *Vault) reach(ctx context.Context, at bus.Cursor) error {
	for {
		v.mu.Lock()
		there, moved := v.applied >= at.Version, v.moved
		v.mu.Unlock()
		if there {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("waiting for version %d of %s: %w", at.Version, at.Stream, ctx.Err())
		}
	}
}
