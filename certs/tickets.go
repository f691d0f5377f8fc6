package certs

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"sync"
	"time"
)

// TicketRotation is how often a new key of session tickets is made, and
// TicketKeys how many are kept: a ticket can be used for two to three rotations.
const (
	TicketRotation = 12 * time.Hour
	TicketKeys     = 3
)

// Tickets holds the keys that session tickets (RFC 5077, RFC 8446 section
// 4.6.1) are encrypted with. They live in memory only.
type Tickets struct {
	keys *tls.Config // only its ticket keys are used

	mu      sync.Mutex
	current [][32]byte // the newest first
}

// NewTickets makes the first key.
func NewTickets() *Tickets {
	t := &Tickets{keys: &tls.Config{}}
	t.Rotate()
	return t
}

// Rotate makes a new key; sessions of the two before it can still be resumed.
func (t *Tickets) Rotate() {
	key := NewTicketKey()
	t.mu.Lock()
	kept := t.current[:min(len(t.current), TicketKeys-1)]
	next := append([][32]byte{key}, kept...)
	t.mu.Unlock()
	t.Use(next)
}

// NewTicketKey makes a key.
func NewTicketKey() (key [32]byte) {
	rand.Read(key[:]) // never fails: crypto/rand ends the process instead
	return key
}

// Use makes these the keys, of which there is at least one: tickets are made with
// the first, and can be used that were made with any.
func (t *Tickets) Use(keys [][32]byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.current = keys
	t.keys.SetSessionTicketKeys(keys)
}

// Run rotates the keys until ctx ends. It is for keys that no other node has.
func (t *Tickets) Run(ctx context.Context) {
	tick := time.NewTicker(TicketRotation)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			t.Rotate()
		}
	}
}
