// Package httpcache is the option caching of a peer_set: a shared HTTP cache
// (RFC 9111) before the peers.
//
// Requests go in and are answered from what is stored, validated with a peer, or
// handed on; Cache-Status (RFC 9211) says which. Bodies are in the tiers of
// turbo/cache, what is known of responses is in memory, so that it begins empty.
//
// What it promises:
//   - What no-store, private, Vary: * or Set-Cookie stands on is never stored, and
//     what an Authorization was sent for only where the response allows it.
//   - Many requests for one thing that is not here are one request to the peers.
//   - A response of unknown length goes on after at most 1 MiB of it was collected;
//     event streams go on as they come.
//   - An unsafe request that succeeds drops what is stored for its target.
package httpcache

import (
	"container/list"
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/app"
	"edgerouter/turbo/cache"
)

// Defaults of the options.
const (
	defaultMost   = 1 << 30
	defaultObject = 16 << 20
	// mostEntries bounds what is known of responses.
	mostEntries = 100_000
	// mostVariants bounds the responses of one target that differ by Vary.
	mostVariants = 32
	// collected is how much of a response of unknown length is waited for.
	collected = 1 << 20
	// heuristicShare and heuristicMost are of the age that a response without
	// freshness had when it came (RFC 9111 section 4.2.2).
	heuristicShare = 10
	heuristicMost  = 24 * time.Hour
)

// Stats count what happened since the start.
type Stats struct {
	Hits, Misses, Stale, Validated, Bypassed, Collapsed, Stored, Invalidated atomic.Uint64
}

// Cache is the cache of one application. It is safe for concurrent use.
type Cache struct {
	opts  app.Caching
	tiers *cache.Cache
	log   zerolog.Logger
	stats *Stats
	now   func() time.Time

	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup // validations in the background

	mu      sync.Mutex
	closed  bool
	targets map[string]*target
	recent  *list.List // of *entry, the last used first
	bytes   int64
	flights map[string]*flight
}

// target is what is stored for one URL.
type target struct {
	entries []*entry
}

// flight is a request to the peers that others wait for.
type flight struct{ done chan struct{} }

// New makes a cache with the bodies in tiers.
func New(id string, opts app.Caching, tiers *cache.Cache, stats *Stats, log zerolog.Logger) *Cache {
	c := &Cache{
		opts: opts, tiers: tiers, stats: stats, now: time.Now, log: log.With().Str("app", id).Logger(),
		targets: map[string]*target{}, recent: list.New(), flights: map[string]*flight{},
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c
}

// Close waits for what goes on in the background.
func (c *Cache) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.stop()
	c.running.Wait()
}

// Purge drops what is stored for a host and every target that begins with
// prefix, and says how many responses that were. An empty host is every host.
func (c *Cache) Purge(host, prefix string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key := range c.targets {
		h, t, _ := strings.Cut(key, "\x00")
		if (host == "" || h == strings.ToLower(host)) && strings.HasPrefix(t, prefix) {
			n += c.drop(key)
		}
	}
	return n
}

// drop forgets a target. The lock is held.
func (c *Cache) drop(key string) (n int) {
	t := c.targets[key]
	if t == nil {
		return 0
	}
	for _, e := range t.entries {
		c.recent.Remove(e.place)
		c.bytes -= e.cost()
	}
	delete(c.targets, key)
	return len(t.entries)
}

// find returns the stored response that a request selects, and whether there are
// others for its target.
func (c *Cache) find(key string, field func(name string) string) (e *entry, others bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.targets[key]
	if t == nil {
		return nil, false
	}
	for _, e := range t.entries {
		if e.selects(field) {
			c.recent.MoveToFront(e.place)
			return e, true
		}
	}
	return nil, true
}

// put stores a response in the place of the one that the same requests select.
func (c *Cache) put(key string, e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.targets[key]
	if t == nil {
		t = &target{}
		c.targets[key] = t
	}
	e.key = key
	kept := t.entries[:0]
	for _, old := range t.entries {
		if old.sameVariant(e) || len(t.entries) >= mostVariants && len(kept) == 0 && old == t.entries[0] {
			c.recent.Remove(old.place)
			c.bytes -= old.cost()
			continue
		}
		kept = append(kept, old)
	}
	t.entries = append(kept, e)
	e.place = c.recent.PushFront(e)
	c.bytes += e.cost()
	most := c.opts.MaxDisk.Or(defaultMost)
	for c.recent.Len() > 1 && (c.bytes > most || c.recent.Len() > mostEntries) {
		c.forget(c.recent.Back().Value.(*entry))
	}
}

// remove forgets one response, unless it was replaced already.
func (c *Cache) remove(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(e)
}

func (c *Cache) forget(e *entry) {
	t := c.targets[e.key]
	if t == nil {
		return
	}
	for i, x := range t.entries {
		if x == e {
			t.entries = append(t.entries[:i:i], t.entries[i+1:]...)
			c.recent.Remove(e.place)
			c.bytes -= e.cost()
			break
		}
	}
	if len(t.entries) == 0 {
		delete(c.targets, e.key)
	}
}

// lead says whether the caller is the one to ask the peers for key; otherwise
// the flight to wait for.
func (c *Cache) lead(key string) (own, wait *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.flights[key]; f != nil {
		return nil, f
	}
	f := &flight{done: make(chan struct{})}
	c.flights[key] = f
	return f, nil
}

func (c *Cache) land(key string, f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flights[key] == f {
		delete(c.flights, key)
	}
	close(f.done)
}
