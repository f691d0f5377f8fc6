package metrics

import (
	"math"
	"slices"
	"sort"
	"strconv"
	"sync/atomic"
)

// Histogram counts values in buckets with upper bounds (le), as Prometheus
// does. Observe takes no lock.
type Histogram struct {
	bounds []float64
	texts  []string // of the le labels, +Inf included
	counts []atomic.Uint64
	sum    atomic.Uint64 // bits of a float64
}

// newHistogram sorts the bounds and leaves out those that are none.
func newHistogram(bounds []float64) *Histogram {
	bounds = slices.DeleteFunc(slices.Clone(bounds), func(b float64) bool { return math.IsNaN(b) || math.IsInf(b, 0) })
	slices.Sort(bounds)
	bounds = slices.Compact(bounds)
	return &Histogram{bounds: bounds, texts: boundTexts(bounds), counts: make([]atomic.Uint64, len(bounds)+1)}
}

// Observe counts a value. NaN is not counted: it would make the sum useless.
func (h *Histogram) Observe(v float64) {
	if math.IsNaN(v) {
		return
	}
	h.counts[sort.SearchFloat64s(h.bounds, v)].Add(1)
	for {
		old := h.sum.Load()
		if h.sum.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+v)) {
			return
		}
	}
}

func (h *Histogram) append(b []byte, family, labels string) []byte {
	counts := make([]uint64, len(h.counts))
	for i := range counts {
		counts[i] = h.counts[i].Load()
	}
	return appendHistogram(b, family, labels, h.texts, counts, math.Float64frombits(h.sum.Load()))
}

func boundTexts(bounds []float64) []string {
	texts := make([]string, len(bounds)+1)
	for i, b := range bounds {
		texts[i] = strconv.FormatFloat(b, 'g', -1, 64)
	}
	texts[len(bounds)] = "+Inf"
	return texts
}

// appendHistogram writes the lines of one histogram. counts are those of each
// bucket alone, the last that of +Inf.
func appendHistogram[L text](b []byte, family string, labels L, texts []string, counts []uint64, sum float64) []byte {
	total := uint64(0)
	for i, n := range counts {
		total += n
		b = append(b, family...)
		b = append(b, "_bucket{"...)
		if len(labels) > 0 {
			b = append(b, labels...)
			b = append(b, ',')
		}
		b = append(b, `le="`...)
		b = append(b, texts[i]...)
		b = append(b, `"} `...)
		b = strconv.AppendUint(b, total, 10)
		b = append(b, '\n')
	}
	b = appendSeries(b, family, "_sum", labels)
	b = append(strconv.AppendFloat(b, sum, 'g', -1, 64), '\n')
	b = appendSeries(b, family, "_count", labels)
	return append(strconv.AppendUint(b, total, 10), '\n')
}
