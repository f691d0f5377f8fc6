package metrics

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestObserve(t *testing.T) {
	s := NewSet()
	a, b, none := s.App("a"), s.App("b"), s.App(NotFound)
	if s.App("a") != a {
		t.Error("a second App with the same id")
	}
	s.App("idle")
	a.Observe([]byte("GET"), 200, time.Millisecond)
	a.Observe([]byte("GET"), 200, 3*time.Second)
	a.Observe([]byte("GET"), 404, 0)
	a.Observe([]byte("get"), 399, 0)
	a.Observe([]byte("BREW"), 400, time.Hour)
	b.Observe([]byte("GET"), 200, -time.Second)
	b.Observe([]byte("PURGE"), 7, 0)
	b.Observe([]byte("POST"), 1234567, 1500*time.Nanosecond)
	none.Observe([]byte("GET"), 404, 0)
	s.App(AllApps).Observe([]byte("TRACE"), 204, 0)

	samples := written(t, s)
	for _, tt := range []struct {
		family, app, code, method string
		want                      float64
	}{
		{familyOK, "a", "200", "GET", 2},
		{familyFail, "a", "404", "GET", 1},
		{familyOK, "a", "399", "OTHER", 1},
		{familyFail, "a", "400", "OTHER", 1},
		{familyOK, "a", "404", "GET", -1},
		{familyFail, "a", "200", "GET", -1},
		{familyOK, "b", "200", "GET", 1},
		{familyOK, "b", "other", "OTHER", 1},
		{familyFail, "b", "other", "POST", 1},
		{familyFail, "appNotFound", "404", "GET", 1},
		{familyOK, "_all", "200", "GET", 3},
		{familyFail, "_all", "404", "GET", 2},
		{familyOK, "_all", "204", "TRACE", 1},
		{familyFail, "_all", "other", "POST", 1},
	} {
		if got := value(samples, tt.family, "app", tt.app, "code", tt.code, "method", tt.method); got != tt.want {
			t.Errorf("%s{%s,%s,%s} = %v, want %v", tt.family, tt.app, tt.code, tt.method, got, tt.want)
		}
	}
	for _, tt := range []struct {
		name, app string
		want      float64
	}{
		{"_count", "a", 5}, {"_sum", "a", 3603.001}, {"_count", "b", 3}, {"_sum", "b", 0.000002}, {"_count", "_all", 10}, {"_count", "idle", -1},
	} {
		if got := value(samples, familyDuration+tt.name, "app", tt.app); got != tt.want {
			t.Errorf("%s{%s} = %v, want %v", tt.name, tt.app, got, tt.want)
		}
	}
	for le, want := range map[string]float64{"0.00025": 2, "0.0005": 2, "0.001": 3, "2.048": 3, "4.096": 4, "8.192": 4, "+Inf": 5} {
		if got := value(samples, familyDuration+"_bucket", "app", "a", "le", le); got != want {
			t.Errorf("le=%s: %v, want %v", le, got, want)
		}
	}
}

func TestMethods(t *testing.T) {
	for i, name := range methods {
		if name != "OTHER" && methodIndex([]byte(name)) != i {
			t.Errorf("%s is counted as %s", name, methods[methodIndex([]byte(name))])
		}
	}
	for _, name := range []string{"", "get", "GETT", "OTHER", "PROPFIND", "\x00"} {
		if got := methods[methodIndex([]byte(name))]; got != "OTHER" {
			t.Errorf("%q is counted as %s", name, got)
		}
	}
}

func TestBuckets(t *testing.T) {
	texts := boundTexts(durationBounds())
	if got := strings.Join(texts, " "); got != "0.00025 0.0005 0.001 0.002 0.004 0.008 0.016 0.032 0.064 0.128 0.256 0.512 1.024 2.048 4.096 8.192 +Inf" {
		t.Errorf("bounds are %s", got)
	}
	for i, bound := range durationBounds() {
		d := time.Duration(bound * 1e9)
		if bucketOf(d) != i || bucketOf(d-1) != i || bucketOf(d+1) != i+1 {
			t.Errorf("around %v: buckets %d, %d, %d; want %d, %d, %d", d, bucketOf(d-1), bucketOf(d), bucketOf(d+1), i, i, i+1)
		}
	}
	for d, want := range map[time.Duration]int{0: 0, 1: 0, time.Hour: durationBuckets, 1<<63 - 1: durationBuckets} {
		if got := bucketOf(d); got != want {
			t.Errorf("%v is in bucket %d", d, got)
		}
	}
}

func TestManyCodes(t *testing.T) {
	s := NewSet()
	a := s.App("a")
	for code := -5; code < 1100; code++ {
		for _, m := range append(methods[:], "X", "Y") {
			a.Observe([]byte(m), code, 0)
		}
	}
	if n := len(a.counts.table.Load().all()); n != 902*10 {
		t.Errorf("%d combinations are counted apart", n)
	}
	samples := written(t, s)
	if got := value(samples, familyFail, "app", "a", "code", "555", "method", "OTHER"); got != 3 {
		t.Errorf("555 OTHER: %v", got)
	}
	if got := value(samples, familyOK, "app", "a", "code", "other", "method", "GET"); got != 105 {
		t.Errorf("other GET: %v", got)
	}
}

func TestDropApp(t *testing.T) {
	s := NewSet()
	a := s.App("a")
	a.Observe([]byte("GET"), 200, time.Second)
	s.App("b").Observe([]byte("GET"), 200, time.Second)
	s.DropApp("a")
	s.DropApp("a")
	s.DropApp("never")

	check := func(when string, total float64) {
		t.Helper()
		samples := written(t, s)
		if got := value(samples, familyOK, "app", "a", "code", "200", "method", "GET"); got != -1 {
			t.Errorf("%s: the dropped series is back with %v", when, got)
		}
		if got := value(samples, familyDuration+"_count", "app", "a"); got != -1 {
			t.Errorf("%s: the dropped histogram is back with %v", when, got)
		}
		if got := value(samples, familyOK, "app", "_all", "code", "200", "method", "GET"); got != total {
			t.Errorf("%s: the total is %v, want %v", when, got, total)
		}
		if got := value(samples, familyDuration+"_sum", "app", "_all"); got != total {
			t.Errorf("%s: the total duration is %v, want %v", when, got, total)
		}
	}
	check("dropped", 2)
	a.Observe([]byte("GET"), 200, time.Second)
	check("late request", 3)
	a = nil
	collectUntil(t, func() bool {
		s.appsMu.Lock()
		defer s.appsMu.Unlock()
		return len(s.gone) == 1 // that of _all is left
	})
	check("collected", 3)

	s.App("a").Observe([]byte("GET"), 500, 0)
	samples := written(t, s)
	if got := value(samples, familyFail, "app", "a", "code", "500", "method", "GET"); got != 1 {
		t.Errorf("an App with the old id has %v", got)
	}
	if got := value(samples, familyOK, "app", "a", "code", "200", "method", "GET"); got != -1 {
		t.Errorf("an App with the old id has its old count %v", got)
	}
}

func collectUntil(t *testing.T, done func() bool) {
	t.Helper()
	for range 1000 {
		runtime.GC()
		runtime.Gosched()
		if done() {
			return
		}
	}
	t.Fatal("the garbage collector does not find it")
}

func TestReservedApps(t *testing.T) {
	s := NewSet()
	none, all := s.App(NotFound), s.App(AllApps)
	s.DropApp(NotFound)
	s.DropApp(AllApps)
	none.Observe([]byte("GET"), 404, 0)
	all.Observe([]byte("GET"), 404, 0)
	samples := written(t, s)
	if got := value(samples, familyFail, "app", NotFound, "code", "404", "method", "GET"); got != 1 {
		t.Errorf("appNotFound: %v", got)
	}
	if got := value(samples, familyFail, "app", AllApps, "code", "404", "method", "GET"); got != 2 {
		t.Errorf("_all: %v", got)
	}
}

// The totals must not go down or lose a request while applications come and go
// under load.
func TestTotalsUnderChange(t *testing.T) {
	s := NewSet()
	const workers, rounds = 4, 300
	var counting, scraping sync.WaitGroup
	stop := make(chan struct{})
	scraping.Go(func() {
		last := 0.0
		for {
			now := max(value(written(t, s), familyOK, "app", "_all", "code", "200", "method", "GET"), 0)
			if now < last {
				t.Errorf("the total went down from %v to %v", last, now)
			}
			last = now
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	for w := range workers {
		counting.Go(func() {
			for i := range rounds {
				id := fmt.Sprintf("app-%d", (w+i)%3)
				a := s.App(id)
				for range 10 {
					a.Observe([]byte("GET"), 200, time.Millisecond)
				}
				s.DropApp(id)
				a.Observe([]byte("GET"), 200, time.Millisecond)
				if i%100 == 0 {
					runtime.GC()
				}
			}
		})
	}
	counting.Wait()
	close(stop)
	scraping.Wait()
	samples := written(t, s)
	if got := value(samples, familyOK, "app", "_all", "code", "200", "method", "GET"); got != workers*rounds*11 {
		t.Errorf("%v requests in the totals, want %v", got, workers*rounds*11)
	}
	if got := value(samples, familyDuration+"_count", "app", "_all"); got != workers*rounds*11 {
		t.Errorf("%v durations in the totals, want %v", got, workers*rounds*11)
	}
	collectUntil(t, func() bool {
		s.appsMu.Lock()
		defer s.appsMu.Unlock()
		return len(s.gone) == 1
	})
	if got := value(written(t, s), familyOK, "app", "_all", "code", "200", "method", "GET"); got != workers*rounds*11 {
		t.Errorf("%v requests in the totals after collection", got)
	}
}

func TestAppIDs(t *testing.T) {
	s := NewSet()
	ids := []string{"", "a\"b", `back\slash`, "line\nbreak", "é世", "bad\xffutf8", "Zebra", "_all", "aaa", "zzz", `"},x{y="`}
	for _, id := range ids {
		s.App(id).Observe([]byte("GET"), 200, 0)
	}
	samples := written(t, s)
	for _, id := range ids {
		want := 1.0
		if id == AllApps {
			want = float64(len(ids))
		}
		if got := value(samples, familyOK, "app", strings.ToValidUTF8(id, "\uFFFD"), "code", "200", "method", "GET"); got != want {
			t.Errorf("%q: %v", id, got)
		}
	}
	last := ""
	for _, sample := range samples {
		if sample.name == familyOK {
			if label := escapeLabel(sample.labels["app"]); label < last {
				t.Errorf("%q comes after %q", label, last)
			} else {
				last = label
			}
		}
	}
	if s.App("bad\xffutf8") != s.App("bad\uFFFDutf8") {
		t.Error("two applications would share a series")
	}
}

func TestObserveDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s := NewSet()
	a := s.App("a")
	h := s.Histogram("h", []float64{1, 2, 3})
	get, post := []byte("GET"), []byte("POST")
	if n := testing.AllocsPerRun(1000, func() {
		a.Observe(get, 200, time.Millisecond)
		a.Observe(post, 503, time.Second)
		h.Observe(2.5)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// 10,000 applications take under 4 KB each, with the codes and methods that one
// usually has.
func TestMemoryOfAnApp(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes memory of its own")
	}
	const n = 10_000
	memory := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("application-%05d", i)
	}
	before := memory()
	s := NewSet()
	for _, id := range ids {
		a := s.App(id)
		for _, code := range []int{200, 304, 404} {
			a.Observe([]byte("GET"), code, time.Millisecond)
			a.Observe([]byte("POST"), code, time.Millisecond)
		}
	}
	s.WritePrometheus(new(discard))
	each := (memory() - before) / n
	t.Logf("%d bytes for each application", each)
	if each > 4096 {
		t.Errorf("%d bytes for each application", each)
	}
	runtime.KeepAlive(s)
}

type discard struct{ n int }

func (d *discard) Write(p []byte) (int, error) {
	d.n += len(p)
	return len(p), nil
}

func BenchmarkObserve(b *testing.B) {
	get := []byte("GET")
	b.Run("one", func(b *testing.B) {
		a := NewSet().App("a")
		b.ReportAllocs()
		for b.Loop() {
			a.Observe(get, 200, 1234567)
		}
	})
	b.Run("codes=8", func(b *testing.B) {
		a := NewSet().App("a")
		codes := []int{200, 201, 204, 301, 304, 400, 404, 500}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			a.Observe(get, codes[i&7], time.Duration(i&0xfffff))
		}
	})
	b.Run("parallel/one-app", func(b *testing.B) {
		a := NewSet().App("a")
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				a.Observe(get, 200, 1234567)
			}
		})
	})
	b.Run("parallel/apps", func(b *testing.B) {
		s := NewSet()
		var mu sync.Mutex
		n := 0
		b.RunParallel(func(pb *testing.PB) {
			mu.Lock()
			n++
			a := s.App(fmt.Sprint(n))
			mu.Unlock()
			for pb.Next() {
				a.Observe(get, 200, 1234567)
			}
		})
	})
}

func BenchmarkWritePrometheus(b *testing.B) {
	s := NewSet()
	for i := range 10_000 {
		a := s.App(fmt.Sprintf("application-%05d", i))
		a.Observe([]byte("GET"), 200, time.Millisecond)
		a.Observe([]byte("POST"), 404, time.Millisecond)
	}
	b.ReportAllocs()
	for b.Loop() {
		var d discard
		s.WritePrometheus(&d)
		b.SetBytes(int64(d.n))
	}
}
