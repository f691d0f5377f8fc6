package metrics

import (
	"maps"
	"slices"
)

// totals are counts at one moment.
type totals struct {
	requests map[key]uint64
	buckets  [durationBuckets + 1]uint64
	micros   uint64
}

func (t *totals) add(c *counts) {
	for _, n := range c.table.Load().all() {
		t.requests[n.key] += n.count.Load()
	}
	for i := range t.buckets {
		t.buckets[i] += c.buckets[i].Load()
	}
	t.micros += c.micros.Load()
}

func (t *totals) clone() totals {
	c := *t
	c.requests = maps.Clone(t.requests)
	return c
}

// reset makes t the counts of c alone.
func (t *totals) reset(c *counts) {
	clear(t.requests)
	*t = totals{requests: t.requests}
	t.add(c)
}

// keys returns the keys in order.
func (t *totals) keys() []key { return slices.Sorted(maps.Keys(t.requests)) }

func (t *totals) observed() bool { return t.buckets != [durationBuckets + 1]uint64{} }

func (t *totals) seconds() float64 { return float64(t.micros) / 1e6 }
