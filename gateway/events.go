package gateway

import (
	"sync"
	"time"

	"edgerouter/app"
	"edgerouter/upstream"
)

// eventBuffer is how many changes a subscriber may be behind before it misses some.
const eventBuffer = 64

// Event is one applied change.
type Event struct {
	Generation uint64        `json:"generation"`
	At         time.Time     `json:"at"`
	Changes    []AppChange   `json:"changes"`
	Conflicts  []Conflict    `json:"conflicts,omitempty"` // those that are new
	Problems   []app.Problem `json:"problems,omitempty"`  // those that are new
	// Peers are ejections by passive health and returns; such an event has no changes.
	Peers []upstream.PeerChange `json:"peers,omitempty"`
	// Missed is how many events before this one the subscriber was too slow for.
	Missed int `json:"missed,omitempty"`
}

// AppChange is what happened to one application, and which source declares it,
// or did when it was removed.
type AppChange struct {
	app.Change
	Source string `json:"source,omitempty"`
}

// broadcaster hands events to subscribers and never waits for one.
type broadcaster struct {
	mu     sync.Mutex
	closed bool
	subs   map[*subscriber]struct{}
}

type subscriber struct {
	ch     chan Event
	missed int
}

// Subscribe returns a channel of the changes from now on. It holds 64 events; a
// subscriber that is slower misses some, and the next one it gets says how many
// (Missed). cancel ends the subscription; the channel is closed then, and when
// the Gateway is closed.
func (g *Gateway) Subscribe() (events <-chan Event, cancel func()) {
	s := &subscriber{ch: make(chan Event, eventBuffer)}
	b := &g.events
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		close(s.ch)
		return s.ch, func() {}
	}
	if b.subs == nil {
		b.subs = map[*subscriber]struct{}{}
	}
	b.subs[s] = struct{}{}
	return s.ch, func() { b.remove(s) }
}

// PeerChanged hands on what happened to a peer, as an event. It does not wait.
func (g *Gateway) PeerChanged(c upstream.PeerChange) {
	g.events.send(Event{Generation: g.Snapshot().Generation, At: time.Now(), Changes: []AppChange{}, Peers: []upstream.PeerChange{c}})
}

func (b *broadcaster) remove(s *subscriber) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, there := b.subs[s]; there {
		delete(b.subs, s)
		close(s.ch)
	}
}

func (b *broadcaster) send(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.subs {
		e.Missed = s.missed
		select {
		case s.ch <- e:
			s.missed = 0
		default:
			s.missed++
		}
	}
}

func (b *broadcaster) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for s := range b.subs {
		delete(b.subs, s)
		close(s.ch)
	}
}
