package certs

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"sync"
	"time"
)

// TLSOptions are the settings of the TLS listener.
type TLSOptions struct {
	// MinVersion is tls.VersionTLS12 (also when 0) or tls.VersionTLS13.
	MinVersion uint16
	// NextProtos are offered by ALPN (RFC 7301); nil means http/1.1 alone.
	NextProtos []string
	// Tickets encrypt sessions for resumption; nil turns session tickets off.
	Tickets *Tickets
}

// TLSConfig is the configuration of a TLS listener that takes its certificates
// from the store. It may be cloned; its Certificates must stay empty.
func (s *Store) TLSConfig(opts TLSOptions) *tls.Config {
	if opts.MinVersion == 0 {
		opts.MinVersion = tls.VersionTLS12
	}
	if opts.NextProtos == nil {
		opts.NextProtos = []string{"http/1.1"}
	}
	cfg := &tls.Config{
		MinVersion:             opts.MinVersion,
		NextProtos:             opts.NextProtos,
		GetCertificate:         s.GetCertificate,
		SessionTicketsDisabled: opts.Tickets == nil,
	}
	if opts.Tickets != nil {
		// The hooks stay good in a clone, where keys set on the Config itself
		// would stay behind and never be rotated.
		cfg.WrapSession = opts.Tickets.keys.EncryptTicket
		cfg.UnwrapSession = opts.Tickets.keys.DecryptTicket
	}
	return cfg
}

// TicketRotation is how often Tickets makes a new key, and ticketKeys how many
// are kept: a ticket can be used for one to two rotations after it was made.
const (
	TicketRotation = 12 * time.Hour
	ticketKeys     = 3
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
	var key [32]byte
	rand.Read(key[:]) // never fails: crypto/rand ends the process instead
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := t.current[:min(len(t.current), ticketKeys-1)]
	t.current = append([][32]byte{key}, kept...)
	t.keys.SetSessionTicketKeys(t.current)
}

// Run rotates the keys until ctx ends.
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
