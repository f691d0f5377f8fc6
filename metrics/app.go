package metrics

import (
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// The ids of applications that are none.
const (
	// AllApps is the id of the totals. An App with it counts in them alone.
	AllApps = "_all"
	// NotFound is the id of requests that matched nothing.
	NotFound = "appNotFound"
)

// App counts the requests of one application. It is a router.Observer.
//
// An App has counters of its own only: the totals over all applications are
// added up when the set is written out, so that requests of different
// applications, on however many processors, touch no common memory.
type App struct {
	// counts is apart from App so that the totals can keep it for as long as
	// anyone may still count, see requests.drop.
	counts *counts
}

// counts is what an App counts. 10,000 applications with a few series each are
// to fit into a few megabytes, so it starts small.
type counts struct {
	table   atomic.Pointer[counterTable]
	buckets [durationBuckets + 1]atomic.Uint64
	micros  atomic.Uint64 // sum of durations; wraps after 584,000 years of requests

	mu sync.Mutex // held to add a counter
}

// durationBuckets and firstBucket say which buckets durations fall into: the
// first bound, then each twice the one before, then +Inf.
const (
	durationBuckets = 16
	firstBucket     = 250 * time.Microsecond
)

// Observe counts a request that was answered. Durations are kept to the
// microsecond. It takes no lock and does not allocate, except when a code and
// method come for the first time.
func (a *App) Observe(method []byte, code int, d time.Duration) {
	c := a.counts
	k := keyOf(method, code)
	n := c.table.Load().find(k)
	if n == nil {
		n = c.add(k)
	}
	n.count.Add(1)
	if d < 0 {
		d = 0
	}
	c.buckets[bucketOf(d)].Add(1)
	c.micros.Add(uint64(d+500) / 1000)
	// As long as a is in use its counts are not folded into the totals.
	runtime.KeepAlive(a)
}

// bucketOf takes a duration that is not negative. Bounds belong to the bucket
// below them.
func bucketOf(d time.Duration) int {
	if d <= firstBucket {
		return 0
	}
	return min(bits.Len64(uint64(d-1)/uint64(firstBucket)), durationBuckets)
}

// requestCounter is er_requests_ok or er_requests_fail of one code and method.
type requestCounter struct {
	key   key
	count atomic.Uint64
}

// counterTable finds counters by their key: a hash table of open addressing, a
// power of two long, which is never changed once it can be seen and has at
// least one free place.
type counterTable []*requestCounter

// find returns nil when there is no such counter. A nil table is empty.
func (t *counterTable) find(k key) *requestCounter {
	if t == nil {
		return nil
	}
	slots := *t
	for i := k.hash(); ; i++ {
		c := slots[i&uint32(len(slots)-1)]
		if c == nil || c.key == k {
			return c
		}
	}
}

func (c *counts) add(k key) *requestCounter {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.table.Load()
	if found := old.find(k); found != nil {
		return found
	}
	all := append(old.all(), &requestCounter{key: k})
	size := 4
	for size*3 < len(all)*4 {
		size *= 2
	}
	slots := make(counterTable, size)
	for _, n := range all {
		i := n.key.hash()
		for slots[i&uint32(size-1)] != nil {
			i++
		}
		slots[i&uint32(size-1)] = n
	}
	c.table.Store(&slots)
	return all[len(all)-1]
}

// all returns the counters in no order.
func (t *counterTable) all() []*requestCounter {
	if t == nil {
		return nil
	}
	all := make([]*requestCounter, 0, len(*t))
	for _, c := range *t {
		if c != nil {
			all = append(all, c)
		}
	}
	return all
}
