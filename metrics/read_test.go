package metrics

import (
	"strconv"
	"testing"
	"time"
)

func TestReadRequests(t *testing.T) {
	s := NewSet()
	for code, n := range map[int]int{200: 5, 304: 1, 404: 3, 499: 1, 500: 2, 503: 1} {
		for range n {
			s.App("shop").Observe([]byte("GET"), code, time.Millisecond)
		}
	}
	s.App("blog").Observe([]byte("GET"), 200, time.Second)
	s.App("gone").Observe([]byte("GET"), 502, time.Second)
	s.DropApp("gone")
	seen := map[string]Counts{}
	all := s.ReadRequests(func(app string, c *Counts) { seen[app] = *c })
	shop := seen["shop"]
	if len(seen) != 2 || shop.OK != 6 || shop.ClientErrors != 4 || shop.ServerErrors != 3 || shop.Total() != 13 || shop.Buckets[2] != 13 {
		t.Errorf("shop: %+v", shop)
	}
	if all.OK != 7 || all.ClientErrors != 4 || all.ServerErrors != 4 || s.ReadRequests(nil) != all {
		t.Errorf("all: %+v", all)
	}
	s.App("shop").Observe([]byte("GET"), 201, time.Millisecond)
	now := s.ReadRequests(nil)
	if d := now.Since(&all); d.OK != 1 || d.Total() != 1 || d.Buckets[2] != 1 {
		t.Errorf("since: %+v", d)
	}
	if d := all.Since(&now); d != all {
		t.Errorf("of an application that came back: %+v", d)
	}
}

func TestQuantile(t *testing.T) {
	at := func(buckets map[int]uint64) *Counts {
		c := &Counts{}
		for i, n := range buckets {
			c.Buckets[i] = n
		}
		return c
	}
	for _, c := range []struct {
		name   string
		counts *Counts
		q      float64
		want   time.Duration
	}{
		{"nothing", at(nil), 0.99, 0},
		{"first bucket", at(map[int]uint64{0: 4}), 0.5, 125 * time.Microsecond},
		{"its end", at(map[int]uint64{0: 4}), 1, 250 * time.Microsecond},
		{"within the second", at(map[int]uint64{0: 1, 1: 1}), 0.75, 375 * time.Microsecond},
		{"over a gap", at(map[int]uint64{0: 1, 5: 1}), 1, 8 * time.Millisecond},
		{"beyond the last bound", at(map[int]uint64{16: 3}), 0.5, 8192 * time.Millisecond},
		{"below 0", at(map[int]uint64{3: 3}), -1, time.Millisecond},
	} {
		if got := c.counts.Quantile(c.q); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// What the admin page costs every two seconds.
func BenchmarkReadRequests10000(b *testing.B) {
	s := NewSet()
	for i := range 10_000 {
		a := s.App("app-" + strconv.Itoa(i))
		a.Observe([]byte("GET"), 200, time.Millisecond)
		a.Observe([]byte("GET"), 404, time.Millisecond)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.ReadRequests(func(string, *Counts) {})
	}
}
