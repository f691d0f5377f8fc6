// Package share lets the limits of the nodes of a cluster count together.
//
// Limits of package middleware join an Exchange; every fifth of a second it tells
// the other nodes what was counted here and takes in what they tell. Both ways go
// through functions that the caller gives it; the package knows nothing of the
// bus. Nothing is asked during a request: a limit decides by what it knows, which
// is its own count and what the others told last. So the sum is approximate, by
// what the others let in since then, and a lost message loosens a limit for a
// moment and never closes it.
//
// Two kinds are told in two ways. Of a rate, a node tells the tokens that were
// taken since it told last, and the others take them out of their own buckets: what
// was let in too much is made up for later, and over time the cluster keeps to
// the limit. Of requests in flight, a node tells how many there are, each time
// anew; what a node does not repeat, or all of it once the node is silent, counts
// no more.
//
// Clients are told by hashes under a secret key, so that no message names one and
// no client can find another with the same hash. What is told and what is
// remembered of others is bounded; see the constants.
package share

import "time"

const (
	// every is how often a node tells what has changed.
	every = 200 * time.Millisecond
	// silentAfter is when what a node told last counts no more.
	silentAfter = 2 * time.Second

	// maxCounts bounds what a node tells of each kind at one time, the largest
	// counts first: 45 KB.
	maxCounts = 4096
	// maxMessage bounds a message, in bytes. NATS takes up to 1 MB.
	maxMessage = 32 << 10
	// maxCount bounds one count; no limit is far above it in the time of a message.
	maxCount = 1 << 30
	// maxPeers bounds the other nodes, and maxHeld the counts that are kept of each.
	maxPeers = 64
	maxHeld  = 2 * maxCounts
)

// Kind says how counts of a limit are told.
type Kind uint8

const (
	// Rate tells tokens that were taken since the last time.
	Rate Kind = 1
	// InFlight tells how many requests there are.
	InFlight Kind = 2
)

// Limit is one limit of this node as the exchange sees it. Its functions may be
// called at any time and from several goroutines, but not from within one another.
type Limit struct {
	kind Kind
	// own calls add with each key and what was counted here: for Rate since the
	// last call, for InFlight now.
	own func(add func(key uint64, n int64))
	// heard takes in what others told: for Rate tokens that were taken, for
	// InFlight by how much there are more or less.
	heard func(key uint64, n int64)
}
