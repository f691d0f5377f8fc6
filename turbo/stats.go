package turbo

import "sync/atomic"

// Stats count what sites answered since the start.
type Stats struct {
	Hits, Misses atomic.Uint64 // files that were here, and that had to be fetched first
	NotModified  atomic.Uint64
	NotFound     atomic.Uint64
	Earlier      atomic.Uint64 // answered from an earlier version (deploy skew)
	Deltas       atomic.Uint64 // sent with the client's dictionary
	Failed       atomic.Uint64 // 503, or handed to the origin
	Switches     atomic.Uint64 // to another version
	Takeovers    atomic.Uint64 // begun
	Ended        atomic.Uint64 // takeovers that the origin ended
	Refused      atomic.Uint64 // advertisements that could not be followed
}
