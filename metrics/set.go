package metrics

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	vm "github.com/VictoriaMetrics/metrics"
)

// Set is a set of metrics. All its methods may be called at the same time.
type Set struct {
	mu       sync.Mutex
	families map[string]*family
	help     map[string]string
	refused  vm.Counter // registrations under a name that cannot be used

	requests
}

// The families of the requests and that of what could not be registered.
const (
	familyOK       = "er_requests_ok"
	familyFail     = "er_requests_fail"
	familyDuration = "er_request_duration_seconds"
	familyRefused  = "er_metric_registrations_refused_total"
)

// NewSet returns a set without metrics.
func NewSet() *Set {
	s := &Set{
		families: map[string]*family{},
		help: map[string]string{
			familyOK:       "Requests that were answered with a status below 400.",
			familyFail:     "Requests that were answered with a status of 400 and above.",
			familyDuration: "Time from the request's header to the end of the response.",
			familyRefused:  "Metrics that are missing here because their name is malformed or has another kind.",
		},
	}
	s.requests.init()
	return s
}

// family is the series of one name.
type family struct {
	name   string
	kind   string // as in the TYPE line
	series map[string]metric
	// sorted are the series in order, nil after a change. Once made it is never
	// written to, so that it can be read without the lock.
	sorted []series
}

type series struct {
	labels string // without braces
	metric
}

// Counter returns the counter with that name, which Name makes, and registers it
// when it is not there. A name that is malformed, or whose family has another
// kind, gives a counter that works and is not shown; such names are counted in
// er_metric_registrations_refused_total.
func (s *Set) Counter(name string) *vm.Counter {
	return register(s, name, "counter", func() counter { return counter{new(vm.Counter)} }).Counter
}

// CounterFunc registers a counter whose value f returns. Where there is one of
// that name already, f takes its place. Names are as for Counter; f must not
// block and is called from whoever writes the set out.
func (s *Set) CounterFunc(name string, f func() uint64) {
	register(s, name, "counter", func() *counterFunc { return new(counterFunc) }).set(f)
}

// Gauge registers a gauge whose value f returns; where there is one of that name
// already, f takes its place. Without f the gauge that is returned is there to
// be set. Names and f are as for CounterFunc.
func (s *Set) Gauge(name string, f func() float64) *vm.Gauge {
	return register(s, name, "gauge", func() *gauge { return new(gauge) }).set(f)
}

// Histogram returns the histogram with that name and registers it when it is not
// there. bounds are the upper bounds of the buckets besides +Inf; they count
// only at registration. Names are as for Counter.
func (s *Set) Histogram(name string, bounds []float64) *Histogram {
	return register(s, name, "histogram", func() *Histogram { return newHistogram(bounds) })
}

// Unregister takes a series out of the set. Those who hold it may go on using
// it.
func (s *Set) Unregister(name string) {
	familyName, labels, err := splitName(name)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.families[familyName]
	if f == nil {
		return
	}
	if _, ok := f.series[labels]; ok {
		delete(f.series, labels)
		f.sorted = nil
	}
	if len(f.series) == 0 {
		delete(s.families, familyName)
	}
}

// Help sets the help text of a family.
func (s *Set) Help(family, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.help[family] = text
}

// register returns the metric of that name, or a new one that stays out of the
// set when the name cannot be used.
func register[M metric](s *Set, name, kind string, fresh func() M) M {
	familyName, labels, err := splitName(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.families[familyName]
	if err != nil || s.taken(familyName, kind) || f != nil && f.kind != kind || kind == "histogram" && hasLabel(labels, "le") {
		s.refused.Inc()
		return fresh()
	}
	if f == nil {
		f = &family{name: familyName, kind: kind, series: map[string]metric{}}
		s.families[familyName] = f
	}
	switch m := f.series[labels].(type) {
	case nil:
		added := fresh()
		f.series[labels] = added
		f.sorted = nil
		return added
	case M:
		return m
	}
	s.refused.Inc() // a counter with and one without a function
	return fresh()
}

// taken says whether the lines of a family would be taken for those of another:
// a histogram x writes x_bucket, x_sum and x_count.
func (s *Set) taken(name, kind string) bool {
	switch name {
	case familyOK, familyFail, familyDuration, familyRefused:
		return true
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(name, suffix); ok {
			if f := s.families[base]; base == familyDuration || f != nil && f.kind == "histogram" {
				return true
			}
		}
		if kind == "histogram" && s.families[name+suffix] != nil {
			return true
		}
	}
	return false
}

func hasLabel(labels, name string) bool {
	return strings.HasPrefix(labels, name+`="`) || strings.Contains(labels, `",`+name+`="`)
}

// inOrder returns the series sorted. The set's lock is held.
func (f *family) inOrder() []series {
	if f.sorted == nil {
		f.sorted = make([]series, 0, len(f.series))
		for labels, m := range f.series {
			f.sorted = append(f.sorted, series{labels, m})
		}
		slices.SortFunc(f.sorted, func(a, b series) int { return cmp.Compare(a.labels, b.labels) })
	}
	return f.sorted
}
