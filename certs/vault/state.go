package vault

import (
	"encoding/json"
	"fmt"
	"time"

	"edgerouter/bus"
)

// The events of the stream.
const (
	typePut      = "VaultPut"
	typeDeleted  = "VaultDeleted"
	typeLocked   = "VaultLocked"
	typeHeld     = "VaultLocksHeld"
	typeUnlocked = "VaultUnlocked"
)

type (
	put struct {
		Key   string
		Value []byte
	} // sealed; base64 in JSON
	deleted struct{ Key string }
	locked  struct {
		Name, Owner  string
		LeaseSeconds int
	}
	held struct {
		Owner        string
		LeaseSeconds int
	}
	unlocked struct{ Name, Owner string }
)

func event(typ string, data any) (string, error) {
	e, err := bus.NewEvent(time.Now(), typ, data)
	return e.Line(), err
}

// contents is what the stream adds up to.
type contents struct {
	Items map[string]item
	Locks map[string]lock
}

type item struct {
	Sealed   []byte
	Modified time.Time
	Version  int64
}

func (i item) info(key string) Info {
	return Info{Key: key, Modified: i.Modified, Size: len(i.Sealed), Version: i.Version}
}

// lock is a lease as this node sees it.
type lock struct {
	Owner   string
	Version int64 // of the entry that took it
	Lease   time.Duration
	heard   time.Time // by this node's clock; never of another one
}

func (c *contents) clear() {
	c.Items, c.Locks = map[string]item{}, map[string]lock{}
}

// Restore implements bus.State. Leases begin anew: nobody knows how old they are.
func (v *Vault) Restore(snapshot []byte) error {
	next := contents{}
	next.clear()
	if snapshot != nil {
		if err := json.Unmarshal(snapshot, &next); err != nil {
			return fmt.Errorf("the snapshot of the vault: %w", err)
		}
	}
	now := time.Now()
	for name, l := range next.Locks {
		l.heard = now
		next.Locks[name] = l
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.state, v.applied = next, -1
	return nil
}

// Snapshot implements bus.State.
func (v *Vault) Snapshot() ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return json.Marshal(v.state)
}

// Apply implements bus.State. What cannot be read is passed over: it is not from
// a vault.
func (v *Vault) Apply(e bus.Entry) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.applied = e.Version
	for _, text := range e.Events {
		if event, err := bus.ParseEvent(text); err == nil {
			v.state.apply(e.Version, event, time.Now())
		}
	}
}

func (c *contents) apply(version int64, e bus.Event, now time.Time) {
	switch e.Type {
	case typePut:
		if p, ok := read[put](e); ok && p.Key != "" {
			c.Items[p.Key] = item{p.Value, e.Time, version}
		}
	case typeDeleted:
		if d, ok := read[deleted](e); ok {
			delete(c.Items, d.Key)
		}
	case typeLocked:
		// Who wrote it had seen everything before it, or the append had failed.
		if l, ok := read[locked](e); ok && l.Name != "" {
			c.Locks[l.Name] = lock{l.Owner, version, lease(l.LeaseSeconds), now}
		}
	case typeHeld:
		if h, ok := read[held](e); ok {
			for name, l := range c.Locks {
				if l.Owner == h.Owner {
					l.heard, l.Lease = now, lease(h.LeaseSeconds)
					c.Locks[name] = l
				}
			}
		}
	case typeUnlocked:
		if u, ok := read[unlocked](e); ok && c.Locks[u.Name].Owner == u.Owner {
			delete(c.Locks, u.Name)
		}
	}
}

func read[T any](e bus.Event) (out T, ok bool) {
	return out, json.Unmarshal(e.Data, &out) == nil
}

// lease bounds what an event may ask for.
func lease(seconds int) time.Duration {
	return min(max(time.Duration(seconds)*time.Second, time.Second), maxLease)
}
