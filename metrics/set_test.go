package metrics

import (
	"errors"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"

	vm "github.com/VictoriaMetrics/metrics"
)

func TestWritePrometheus(t *testing.T) {
	s := NewSet()
	s.Help("er_b_total", "Two\nlines and a \\.")
	s.Counter("er_b_total").Add(3)
	s.Counter(Name("er_b_total", "x", "2")).Inc()
	s.Counter(Name("er_b_total", "x", "10")).Add(1e9)
	s.CounterFunc("er_c_total", func() uint64 { return math.MaxUint64 })
	s.Gauge("er_b", func() float64 { return 1.5 })
	s.Gauge(Name("er_gauge", "v", "nan"), func() float64 { return math.NaN() })
	s.Gauge(Name("er_gauge", "v", "inf"), func() float64 { return math.Inf(-1) })
	s.Gauge(Name("er_gauge", "v", "big"), func() float64 { return 1 << 60 })
	s.Gauge("er_set", nil).Set(-7)
	h := s.Histogram(Name("er_h_seconds", "k", "v"), []float64{2, 0.5, 2, math.Inf(1), math.NaN(), -1})
	for _, v := range []float64{-2, -1, 0.5, 0.6, 2, 2.5, math.NaN()} {
		h.Observe(v)
	}
	s.App("a").Observe([]byte("GET"), 200, 0)

	const want = `# TYPE er_b gauge
er_b 1.5
# HELP er_b_total Two\nlines and a \\.
# TYPE er_b_total counter
er_b_total 3
er_b_total{x="10"} 1000000000
er_b_total{x="2"} 1
# TYPE er_c_total counter
er_c_total 18446744073709551615
# TYPE er_gauge gauge
er_gauge{v="big"} 1.152921504606847e+18
er_gauge{v="inf"} -Inf
er_gauge{v="nan"} NaN
# TYPE er_h_seconds histogram
er_h_seconds_bucket{k="v",le="-1"} 2
er_h_seconds_bucket{k="v",le="0.5"} 3
er_h_seconds_bucket{k="v",le="2"} 5
er_h_seconds_bucket{k="v",le="+Inf"} 6
er_h_seconds_sum{k="v"} 2.6
er_h_seconds_count{k="v"} 6
# HELP er_request_duration_seconds Time from the request's header to the end of the response.
# TYPE er_request_duration_seconds histogram
er_request_duration_seconds_bucket{app="_all",le="0.00025"} 1
`
	var b strings.Builder
	s.WritePrometheus(&b)
	if !strings.HasPrefix(b.String(), want) {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	const tail = `# HELP er_requests_ok Requests that were answered with a status below 400.
# TYPE er_requests_ok counter
er_requests_ok{app="_all",code="200",method="GET"} 1
er_requests_ok{app="a",code="200",method="GET"} 1
# TYPE er_set gauge
er_set -7
`
	if !strings.HasSuffix(b.String(), tail) {
		t.Errorf("got\n%s\nwant at the end\n%s", b.String(), tail)
	}
	written(t, s)
}

func TestEmptySet(t *testing.T) {
	samples := written(t, NewSet())
	if len(samples) != durationBuckets+3 || value(samples, familyDuration+"_count", "app", "_all") != 0 {
		t.Errorf("an empty set shows %v", samples)
	}
}

func TestRegistration(t *testing.T) {
	s := NewSet()
	for range 2 {
		s.Counter("c").Inc()
		s.Histogram("h", []float64{1}).Observe(1)
		s.Gauge("g", nil).Inc()
	}
	s.Counter(`c{a="1", b="2"}`).Inc()
	s.Counter(`c{a="1",b="2",}`).Inc()
	first := written(t, s)
	if value(first, "c") != 2 || value(first, "c", "a", "1", "b", "2") != 2 || value(first, "h_count") != 2 || value(first, "g") != 2 {
		t.Errorf("asked for again, a metric is another one: %v", first)
	}
	s.Gauge("f", func() float64 { return 1 })
	s.Gauge("f", func() float64 { return 2 })
	s.CounterFunc("d", func() uint64 { return 1 })
	s.CounterFunc("d", func() uint64 { return 2 })
	samples := written(t, s)
	if value(samples, "f") != 2 || value(samples, "d") != 2 {
		t.Errorf("a function does not take the place of the one before: %v", samples)
	}
	s.Gauge("f", nil).Set(3)
	if got := value(written(t, s), "f"); got != 3 {
		t.Errorf("a gauge to be set after one with a function shows %v", got)
	}
	if got := value(written(t, s), familyRefused); got != -1 {
		t.Errorf("%v registrations were refused", got)
	}
}

func TestRefusedRegistrations(t *testing.T) {
	s := NewSet()
	s.Counter("c").Inc()
	s.Histogram("h", nil)
	s.Counter("late_sum").Inc()
	s.CounterFunc("func", func() uint64 { return 1 })
	refused := []func(){
		func() { s.Gauge("c", nil).Set(1) },
		func() { s.CounterFunc("c", func() uint64 { return 9 }) },
		func() { s.Counter("func").Inc() },
		func() { s.Histogram("c", nil).Observe(1) },
		func() { s.Counter("h").Inc() },
		func() { s.Counter("h_count").Inc() },
		func() { s.Counter("h_bucket").Inc() },
		func() { s.Histogram("late", nil).Observe(1) },
		func() { s.Histogram(`x{le="1"}`, nil).Observe(1) },
		func() { s.Histogram(`x{a="1",le="1"}`, nil).Observe(1) },
		func() { s.Counter("er_requests_ok").Inc() },
		func() { s.Counter("er_requests_fail{}").Inc() },
		func() { s.Histogram("er_request_duration_seconds", nil) },
		func() { s.Counter("er_request_duration_seconds_sum").Inc() },
		func() { s.Counter(familyRefused).Inc() },
	}
	for _, name := range badNames {
		refused = append(refused, func() { s.Counter(name).Inc() })
	}
	for _, f := range refused {
		f()
	}
	samples := written(t, s)
	if got := value(samples, familyRefused); got != float64(len(refused)) {
		t.Errorf("%v registrations were refused, want %d", got, len(refused))
	}
	if value(samples, "c") != 1 || value(samples, "func") != 1 || value(samples, "late_sum") != 1 || value(samples, "h_count") != 0 {
		t.Errorf("what was there before has changed: %v", samples)
	}
}

func TestUnregister(t *testing.T) {
	s := NewSet()
	a := s.Counter(Name("c", "x", "1"))
	s.Counter(Name("c", "x", "2")).Inc()
	s.Histogram("h", nil)
	s.Unregister(Name("c", "x", "1"))
	s.Unregister(Name("c", "x", "1"))
	s.Unregister("h")
	s.Unregister("unknown")
	s.Unregister("{")
	a.Inc()
	samples := written(t, s)
	if value(samples, "c", "x", "1") != -1 || value(samples, "c", "x", "2") != 1 || value(samples, "h_count") != -1 {
		t.Errorf("left are %v", samples)
	}
	s.Counter(Name("c", "x", "3")).Add(3)
	if got := value(written(t, s), "c", "x", "3"); got != 3 {
		t.Errorf("a series that came after the first output shows %v", got)
	}
	s.Unregister(Name("c", "x", "2"))
	s.Unregister(Name("c", "x", "3"))
	s.Gauge("c", nil) // the name is free again, for another kind too
	s.Counter("h_count")
	if samples := written(t, s); value(samples, "c") != 0 || value(samples, "h_count") != 0 {
		t.Errorf("after all were gone: %v", samples)
	}
}

// A function may use the set that it is registered in.
func TestFunctionsMayUseTheSet(t *testing.T) {
	s := NewSet()
	s.Gauge("g", func() float64 {
		s.App("x").Observe([]byte("GET"), 200, 0)
		s.Counter("from_g").Inc()
		s.Unregister("other")
		return 1
	})
	written(t, s)
	if got := value(written(t, s), "from_g"); got < 1 {
		t.Errorf("from_g = %v", got)
	}
}

type failing struct{ writes int }

func (f *failing) Write(p []byte) (int, error) {
	f.writes++
	return 0, errors.New("gone")
}

func TestWriterThatFails(t *testing.T) {
	s := NewSet()
	for i := range 3000 {
		s.Counter(Name("some_long_name_of_a_counter", "n", strings.Repeat("x", 50)+string(rune('a'+i%26))+string(rune('a'+i/26%26))+string(rune('a'+i/676)))).Inc()
	}
	var f failing
	s.WritePrometheus(&f)
	if f.writes != 1 {
		t.Errorf("%d writes to a writer that fails", f.writes)
	}
	written(t, s) // in several pieces
}

func TestConcurrentUse(t *testing.T) {
	s := NewSet()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 200 {
				label := string(rune('a' + i%26))
				s.Counter(Name("c", "x", label)).Inc()
				s.Gauge(Name("g", "x", label), func() float64 { return 1 })
				s.CounterFunc(Name("f", "x", label), func() uint64 { return 1 })
				s.Histogram(Name("h", "x", label), []float64{1}).Observe(float64(i))
				s.Help("c", label)
				if i%7 == 0 {
					s.Unregister(Name("c", "x", label))
					s.Unregister(Name("g", "x", label))
				}
				if i%20 == 0 {
					written(t, s)
				}
			}
		})
	}
	wg.Wait()
}

func TestWriteProcess(t *testing.T) {
	var b strings.Builder
	WriteProcess(&b)
	samples, err := parseText(b.String())
	if err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	names := []string{"go_goroutines", "go_memstats_heap_alloc_bytes", "go_gc_duration_seconds_count"}
	if runtime.GOOS == "linux" {
		names = append(names, "process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds")
	}
	for _, name := range names {
		if value(samples, name) < 0 {
			t.Errorf("%s is missing", name)
		}
	}
	if !strings.Contains(b.String(), "# TYPE process_cpu_seconds_total counter\n") || !strings.Contains(b.String(), "# TYPE go_gc_duration_seconds summary\n") {
		t.Errorf("types are missing in\n%s", b.String())
	}
}

// What the process shows must be one valid text with what a set shows.
func TestProcessAndSetTogether(t *testing.T) {
	var b strings.Builder
	s := NewSet()
	s.App("x").Observe([]byte("GET"), 200, 0)
	s.WritePrometheus(&b)
	WriteProcess(&b)
	if _, err := parseText(b.String()); err != nil {
		t.Errorf("%v in\n%s", err, b.String())
	}
}

func TestGlobalSetIsNotUsed(t *testing.T) {
	s := NewSet()
	s.Counter("er_private").Inc()
	s.App("private").Observe([]byte("GET"), 200, 0)
	s.Gauge("er_private_gauge", func() float64 { return 1 })
	if names := vm.ListMetricNames(); len(names) != 0 {
		t.Errorf("the global set has %v", names)
	}
}

func BenchmarkHistogram(b *testing.B) {
	h := NewSet().Histogram("h", durationBounds())
	b.ReportAllocs()
	for b.Loop() {
		h.Observe(0.0123)
	}
}
