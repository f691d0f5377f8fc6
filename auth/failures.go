package auth

import (
	"encoding/binary"
	"hash/maphash"
	"net"
	"sync/atomic"
	"time"
)

// How often an address may fail: a burst, then one attempt for each interval.
const (
	failureBurst    = 10
	failureInterval = time.Second
	// goodFor is how long an address that has shown the right token is not
	// locked out by failures of its neighbours.
	goodFor = time.Hour
)

const (
	tick    = 100 * time.Millisecond
	buckets = 1024
	ways    = 8 // entries of a bucket: one cache line
)

// Failures counts failed attempts of client addresses in a table of fixed size
// (64 KiB), whatever number of addresses comes along. It is made once and shared
// by all gates; it works without locks and without a goroutine of its own.
//
// An IPv4 address counts for itself, an IPv6 address with its /64, which is what
// one client is given. When the table is full the entries that say least are
// overwritten first.
//
// An entry is a tag of 32 bits, from a hash with a random seed, and a point in
// time in ticks since start. For failures the time is when all of them will be
// forgiven (the "theoretical arrival time" of the generic cell rate algorithm),
// so that one word holds the whole state of a token bucket. For an address that
// is known to be good it is when that ends.
type Failures struct {
	seed  maphash.Seed
	start time.Time
	table [buckets][ways]atomic.Uint64
}

// NewFailures returns an empty table.
func NewFailures() *Failures {
	return &Failures{seed: maphash.MakeSeed(), start: time.Now()}
}

// Scope returns a number that keeps the addresses of one gate apart.
func (f *Failures) Scope(name string) uint64 { return maphash.String(f.seed, name) }

// client identifies an address within a scope: its bucket and two tags.
type client struct {
	bucket     uint32
	fail, good uint32
}

func (f *Failures) client(scope uint64, ip net.IP) client {
	var key [17]byte
	binary.LittleEndian.PutUint64(key[:], scope)
	if v4 := ip.To4(); v4 != nil {
		key[8] = 4
		copy(key[9:], v4)
	} else {
		key[8] = 6
		copy(key[9:], ip[:min(8, len(ip))])
	}
	h := maphash.Bytes(f.seed, key[:])
	// Tag 0 is an empty entry, and the two tags of an address must differ.
	tag := uint32(h>>32) | 2
	return client{bucket: uint32(h) % buckets, fail: tag &^ 1, good: tag | 1}
}

// at returns a point in time in ticks since start; never 0. The zero Time means
// now, which costs less than time.Now.
func (f *Failures) at(t time.Time) (now uint32) {
	var since time.Duration
	if t.IsZero() {
		since = time.Since(f.start)
	} else {
		since = t.Sub(f.start)
	}
	return uint32(max(0, since/tick)) + 1
}

// wait returns how long the address has to wait for its next attempt; 0: none.
func (f *Failures) wait(c client, now uint32) time.Duration {
	limit := now + uint32((failureBurst-1)*failureInterval/tick)
	until := f.load(c.bucket, c.fail)
	if until <= limit {
		return 0
	}
	return time.Duration(until-limit) * tick
}

// failed counts an attempt that was refused.
func (f *Failures) failed(c client, now uint32) {
	f.update(c.bucket, c.fail, func(until uint32) uint32 {
		return max(until, now) + uint32(failureInterval/tick)
	})
}

func (f *Failures) knownGood(c client, now uint32) bool {
	return f.load(c.bucket, c.good) > now
}

// succeeded notes that the address has shown the right token. It writes at most
// twice in goodFor.
func (f *Failures) succeeded(c client, now uint32) {
	if f.load(c.bucket, c.good) > now+uint32(goodFor/tick/2) {
		return
	}
	f.update(c.bucket, c.good, func(uint32) uint32 { return now + uint32(goodFor/tick) })
}

func (f *Failures) load(bucket, tag uint32) uint32 {
	for i := range f.table[bucket] {
		if e := f.table[bucket][i].Load(); uint32(e>>32) == tag {
			return uint32(e)
		}
	}
	return 0
}

// update replaces the time of an entry, which is 0 when there is none yet.
func (f *Failures) update(bucket, tag uint32, next func(until uint32) uint32) {
	b := &f.table[bucket]
	for {
		// The entry of the tag, else the one that expires first.
		at, old := 0, b[0].Load()
		for i := range b {
			e := b[i].Load()
			if uint32(e>>32) == tag {
				at, old = i, e
				break
			}
			if uint32(e) < uint32(old) {
				at, old = i, e
			}
		}
		var until uint32
		if uint32(old>>32) == tag {
			until = uint32(old)
		}
		if b[at].CompareAndSwap(old, uint64(tag)<<32|uint64(next(until))) {
			return
		}
	}
}
