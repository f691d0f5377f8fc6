package vault

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"edgerouter/bus"
)

// How long an owner may be silent before others take its locks. It tells that it
// is there three times in that time. Who holds a lock for longer, as ACME does
// while it waits to try again, is given more time and needs to tell less often.
const (
	minLease = 12 * time.Second
	maxLease = 30 * time.Minute
	// leaseShare is the part of the time that a lock has been held that becomes its
	// lease.
	leaseShare = 4
	// perLease is how often an owner tells in the time of a lease.
	perLease = 3
)

// ErrNotHeld is returned by Unlock for a lock that this process does not hold,
// such as one that it has lost.
var ErrNotHeld = errors.New("this node does not hold the lock")

// beats is what this process holds.
type beats struct {
	mu   sync.Mutex
	held map[string]time.Time // lock -> since when
	wake chan struct{}
	init sync.Once
}

func (b *beats) setup() {
	b.init.Do(func() { b.held, b.wake = map[string]time.Time{}, make(chan struct{}, 1) })
}

func (b *beats) add(name string) {
	b.setup()
	b.mu.Lock()
	b.held[name] = time.Now()
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *beats) remove(name string) bool {
	b.setup()
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.held[name]
	delete(b.held, name)
	return ok
}

// next is the lease that the youngest lock needs; 0: nothing is held.
func (b *beats) next(now time.Time) (d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, since := range b.held {
		lease := min(max(now.Sub(since)/leaseShare, minLease), maxLease)
		if d == 0 || lease < d {
			d = lease
		}
	}
	return d.Truncate(time.Second)
}

// Lock takes a lock, and waits for as long as another process, or another part of
// this one, has it.
func (v *Vault) Lock(ctx context.Context, name string) error {
	for {
		at, err := v.level(ctx)
		if err != nil {
			return fmt.Errorf("locking %q: %w", name, err)
		}
		v.mu.Lock()
		l, taken := v.state.Locks[name]
		moved := v.moved
		v.mu.Unlock()
		if left := l.Lease - time.Since(l.heard); taken && left > 0 {
			if err := wait(ctx, moved, left); err != nil {
				return fmt.Errorf("locking %q, which %s holds: %w", name, l.Owner, err)
			}
			continue
		}
		text, err := event(typeLocked, locked{name, v.opts.Owner, int(minLease / time.Second)})
		if err != nil {
			return err
		}
		next, err := v.opts.Log.AppendAfter(ctx, at, text)
		if errors.Is(err, bus.ErrConflict) {
			continue
		}
		if err != nil {
			return fmt.Errorf("locking %q: %w", name, err)
		}
		if taken {
			v.opts.Logger.Warn().Str("lock", name).Str("owner", l.Owner).Dur("lease", l.Lease).
				Msg("the owner of a lock has not been heard of for its lease; this node has taken it over")
		}
		v.beats.add(name)
		return v.reach(ctx, next)
	}
}

// wait returns at a change, after d, or when ctx ends.
func wait(ctx context.Context, moved <-chan struct{}, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-moved:
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// Unlock gives a lock back.
func (v *Vault) Unlock(ctx context.Context, name string) error {
	if !v.beats.remove(name) {
		return fmt.Errorf("unlocking %q: %w", name, ErrNotHeld)
	}
	text, err := event(typeUnlocked, unlocked{name, v.opts.Owner})
	if err != nil {
		return err
	}
	at, err := v.opts.Log.Append(ctx, v.opts.Stream, text)
	if err != nil {
		return fmt.Errorf("unlocking %q: %w; it is free when its lease ends", name, err)
	}
	return v.reach(ctx, at)
}

// Holder tells who has a lock; empty: nobody.
func (v *Vault) Holder(name string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	if l, ok := v.state.Locks[name]; ok && time.Since(l.heard) < l.Lease {
		return l.Owner
	}
	return ""
}

// keepLocks tells the others that this process is there, for as long as it holds
// anything.
func (v *Vault) keepLocks(ctx context.Context) {
	v.beats.setup()
	for {
		lease := v.beats.next(time.Now())
		if lease == 0 {
			select {
			case <-v.beats.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		if wait(ctx, nil, lease/perLease) != nil {
			return
		}
		if lease = v.beats.next(time.Now()); lease == 0 {
			continue
		}
		text, err := event(typeHeld, held{v.opts.Owner, int(lease / time.Second)})
		if err != nil {
			continue
		}
		tell, cancel := context.WithTimeout(ctx, lease/perLease)
		if _, err := v.opts.Log.Append(tell, v.opts.Stream, text); err != nil && ctx.Err() == nil {
			v.opts.Logger.Warn().Err(err).Str("stream", v.opts.Stream).Msg("the locks of this node cannot be kept: the bus does not answer")
		}
		cancel()
	}
}
