// Package tickets shares the keys of TLS session tickets between the nodes of a
// cluster, so that a session that was begun on one node is resumed on any other.
//
// The keys are one value in the cluster's vault. Every node uses what is there;
// the first one to find that the newest key is 12 hours old, or that there is
// none, puts a new one before it and drops the oldest. Until the vault has been
// read, and when it has nothing that this node can use, a node has keys of its
// own: then sessions are resumed on this node only.
package tickets

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/certs"
	"edgerouter/certs/vault"
)

// key is where the keys are in the vault.
const key = "tls/session-tickets"

// checkEvery is how often the age of the newest key is looked at.
const checkEvery = time.Minute

// Shared keeps the keys of Tickets those of the cluster.
type Shared struct {
	vault   *vault.Vault
	tickets *certs.Tickets
	log     zerolog.Logger
	changed chan struct{} // of capacity 1
	version int64         // of the keys in use
	told    string
}

// saved is the value in the vault; the newest key is the first.
type saved struct{ Keys []ticketKey }

type ticketKey struct {
	Made time.Time
	Key  []byte
}

// New makes a Shared; nothing happens before Run.
func New(v *vault.Vault, t *certs.Tickets, log zerolog.Logger) *Shared {
	s := &Shared{vault: v, tickets: t, log: log, changed: make(chan struct{}, 1), version: -1}
	v.Watch(func() {
		select {
		case s.changed <- struct{}{}:
		default:
		}
	})
	return s
}

// Run uses the keys of the vault, and makes new ones when it is time, until ctx ends.
func (s *Shared) Run(ctx context.Context) {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	caughtUp := s.vault.CaughtUp()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.changed:
			s.use()
			continue // only the clock makes new keys, not what others write
		case <-caughtUp:
			caughtUp = nil
		case <-tick.C:
			if caughtUp != nil {
				continue
			}
		}
		s.rotate(ctx, time.Now())
	}
}

// load reads the keys and the version that they have; -1: there are none.
func (s *Shared) load() (keys saved, version int64, err error) {
	info, err := s.vault.Stat(key)
	if errors.Is(err, fs.ErrNotExist) {
		return keys, -1, nil
	}
	if err != nil {
		return keys, -1, err
	}
	value, err := s.vault.Get(key)
	if err == nil {
		err = json.Unmarshal(value, &keys)
	}
	return keys, info.Version, err
}

// use takes the keys of the vault, if they are not those in use.
func (s *Shared) use() saved {
	keys, version, err := s.load()
	if err != nil {
		if s.told != err.Error() {
			s.told = err.Error()
			s.log.Warn().Err(err).Msg("the cluster's keys of TLS session tickets cannot be used; sessions are resumed on this node only")
		}
		return saved{}
	}
	var list [][32]byte
	for _, k := range keys.Keys {
		if len(k.Key) == 32 {
			list = append(list, [32]byte(k.Key))
		}
	}
	if len(list) > 0 && version != s.version {
		s.version, s.told = version, ""
		s.tickets.Use(list)
	}
	return keys
}

// rotate puts a new key before the others when the newest is old enough.
func (s *Shared) rotate(ctx context.Context, now time.Time) {
	keys, version, err := s.load()
	if err != nil {
		s.use() // tells it
		return
	}
	if len(keys.Keys) > 0 && now.Sub(keys.Keys[0].Made) < certs.TicketRotation {
		s.use()
		return
	}
	made := certs.NewTicketKey()
	keys.Keys = append([]ticketKey{{now.UTC(), made[:]}}, keys.Keys[:min(len(keys.Keys), certs.TicketKeys-1)]...)
	value, _ := json.Marshal(keys) // always encodes
	ctx, cancel := context.WithTimeout(ctx, checkEvery/2)
	defer cancel()
	// Another node may be faster; then its key is the new one.
	if _, err := s.vault.Replace(ctx, key, version, value); err != nil {
		s.log.Debug().Err(err).Msg("a new key of TLS session tickets could not be shared; it is tried again")
		return
	}
	s.use()
}
