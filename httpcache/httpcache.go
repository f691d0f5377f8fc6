// Package httpcache is the option caching of a peer_set: a shared HTTP cache
// (RFC 9111) before the peers.
//
// Requests go in and are answered from what is stored, validated with a peer, or
// handed on; Cache-Status (RFC 9211) says which. Bodies are in the tiers of
// turbo/cache, what is known of responses is in memory, so that it begins empty.
//
// What it promises:
//   - What no-store, private, Vary: * or Set-Cookie stands on is never stored, and
//     what an Authorization was sent for, or a guard admitted a client for, only
//     where the response allows it.
//   - A response goes only to requests for which the edge said the same to the peer:
//     the scheme, the prefix, the fields that middlewares set.
//   - Many requests for one thing that is not here are one request to the peers. What
//     could not be stored is asked for by each at once, for a minute.
//   - A response of unknown length goes on after at most 1 MiB of it was collected;
//     event streams go on as they come.
//   - An unsafe request that succeeds drops what is stored for its target.
package httpcache

import (
	"container/list"
	"context"
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
	// mostVariants bounds the responses of one target that differ by Vary or by what
	// middlewares put into requests, mostShapes the different lists of names in Vary.
	mostVariants = 2048
	mostShapes   = 8
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
	// Waiting is how many requests wait for another one now.
	Waiting atomic.Int64
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

	mu       sync.Mutex
	closed   bool
	targets  map[string]*target
	recent   *list.List // of *entry, the last used first
	bytes    int64
	flights  map[string]*flight
	dropped  lately    // targets that were dropped
	purged   time.Time // when Purge was last called
	unstored lately    // what was not to be stored, and so is not waited for
}

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
