package metrics

import (
	"edgerouter/internal/pace"
	"math"
	"time"
)

// Counts are the requests of an application, or of all together, at one moment.
// They only grow while the application is there, and what is read of several
// counters is not of one instant.
type Counts struct {
	OK           uint64 // below 400
	ClientErrors uint64 // 400 to 499
	ServerErrors uint64 // 500 and above
	// Buckets are the durations, each bucket alone; see Quantile.
	Buckets [durationBuckets + 1]uint64
}

// Total is the number of requests.
func (c *Counts) Total() uint64 { return c.OK + c.ClientErrors + c.ServerErrors }

// Since is what was counted after an earlier moment. Where a counter is lower
// than it was, its application was taken away and came back, and everything
// there is was counted since.
func (c *Counts) Since(earlier *Counts) Counts {
	if c.Total() < earlier.Total() {
		return *c
	}
	less := func(now, then uint64) uint64 { return now - min(now, then) }
	d := Counts{
		OK: less(c.OK, earlier.OK), ClientErrors: less(c.ClientErrors, earlier.ClientErrors),
		ServerErrors: less(c.ServerErrors, earlier.ServerErrors),
	}
	for i := range d.Buckets {
		d.Buckets[i] = less(c.Buckets[i], earlier.Buckets[i])
	}
	return d
}

// Quantile estimates the duration that a share q (0 to 1) of the requests did
// not exceed: within its bucket linearly, as histogram_quantile of Prometheus
// does. It is 0 without requests, and the last bound for what is beyond it.
func (c *Counts) Quantile(q float64) time.Duration {
	total := uint64(0)
	for _, n := range c.Buckets {
		total += n
	}
	rank, below := math.Max(q, 0)*float64(total), uint64(0)
	for i, n := range c.Buckets {
		if n == 0 || float64(below+n) < rank {
			below += n
			continue
		}
		if i == durationBuckets {
			break
		}
		upper, lower := firstBucket<<i, time.Duration(0)
		if i > 0 {
			lower = firstBucket << (i - 1)
		}
		return lower + time.Duration((rank-float64(below))/float64(n)*float64(upper-lower))
	}
	if total == 0 {
		return 0
	}
	return firstBucket << (durationBuckets - 1)
}

func (c *Counts) add(from *counts) {
	for _, n := range from.table.Load().all() {
		c.count(n.key, n.count.Load())
	}
	for i := range c.Buckets {
		c.Buckets[i] += from.buckets[i].Load()
	}
}

func (c *Counts) count(k key, n uint64) {
	switch code := k >> 4; {
	case code < 400:
		c.OK += n
	case code < 500:
		c.ClientErrors += n
	default:
		c.ServerErrors += n
	}
}

// ReadRequests gives each, unless it is nil, what every application has counted,
// by label value in order, and returns the sum over all, those that are gone
// among them. It does so without a lock and makes room for requests meanwhile;
// each must not keep its argument.
func (s *Set) ReadRequests(each func(app string, c *Counts)) Counts {
	apps, past := s.requests.snapshot()
	all := Counts{Buckets: past.buckets}
	for k, n := range past.requests {
		all.count(k, n)
	}
	var one Counts
	room := pace.New()
	for _, a := range apps {
		room.Step()
		one = Counts{}
		one.add(a.counts)
		all.OK += one.OK
		all.ClientErrors += one.ClientErrors
		all.ServerErrors += one.ServerErrors
		for i, n := range one.Buckets {
			all.Buckets[i] += n
		}
		if each != nil {
			each(a.label, &one)
		}
	}
	return all
}
