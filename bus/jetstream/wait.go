package jetstream

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"edgerouter/bus"
)

// news is what is known of the ends of streams, from appends of this process and
// from what the server republishes.
type news struct {
	mu      sync.Mutex
	last    map[string]int64
	changed chan struct{}
}

// heard notes that a stream has a version.
func (n *news) heard(stream string, version int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if known, ok := n.last[stream]; ok && version == known {
		return
	}
	if n.last == nil {
		n.last = map[string]int64{}
	}
	n.last[stream] = version
	n.wakeLocked()
}

// wake makes everyone look.
func (n *news) wake() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wakeLocked()
}

func (n *news) wakeLocked() {
	if n.changed != nil {
		close(n.changed)
		n.changed = nil
	}
}

// get returns the last version that was heard of, and a channel that is closed at
// the next news.
func (n *news) get(stream string) (int64, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.changed == nil {
		n.changed = make(chan struct{})
	}
	last, ok := n.last[stream]
	if !ok {
		last = -1
	}
	return last, n.changed
}

// subscribe listens to what is appended, to what nodes tell of themselves and to
// what they count together.
func (b *Bus) subscribe(nc *nats.Conn) error {
	_, err := nc.Subscribe(appendedSubjects+">", func(m *nats.Msg) {
		if seq, err := strconv.ParseInt(m.Header.Get("Nats-Sequence"), 10, 64); err == nil {
			b.news.heard(appendedStream(m.Subject), seq-1)
		}
	})
	if err != nil {
		return err
	}
	if _, err = nc.Subscribe(nodeSubjects+"*", b.nodes.receive); err != nil {
		return err
	}
	_, err = nc.Subscribe(limitSubjects+"*", b.receiveLimits)
	return err
}

// Wait implements bus.Log. What was heard of may not be in this node's copy yet;
// that is looked for a few times before the caller is sent to look.
func (b *Bus) Wait(ctx context.Context, after bus.Cursor) error {
	poll := pollEmbedded
	if b.opts.external() {
		poll = pollExternal
	}
	over := time.NewTimer(poll)
	defer over.Stop()
	look := time.NewTimer(poll)
	defer look.Stop()
	for again := time.Millisecond; ; {
		last, changed := b.news.get(after.Stream)
		if last > after.Version {
			if entries, err := b.read(ctx, after, 1); err != nil || len(entries) > 0 {
				return nil
			}
			look.Reset(again)
			again = min(2*again, 10*time.Millisecond)
		}
		select {
		case <-changed:
		case <-look.C:
		case <-over.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-b.ctx.Done():
			return bus.ErrClosed
		}
	}
}
