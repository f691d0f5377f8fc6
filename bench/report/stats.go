package report

import (
	"math"
	"slices"
)

// Spread is the median of some figures and the range they lie in.
type Spread struct {
	Median, Min, Max float64
	N                int
}

// SpreadOf is the spread of v; N is 0 when v is empty. With an even number of
// figures the median is the mean of the middle two.
func SpreadOf(v []float64) Spread {
	if len(v) == 0 {
		return Spread{Median: math.NaN(), Min: math.NaN(), Max: math.NaN()}
	}
	s := slices.Clone(v)
	slices.Sort(s)
	mid := len(s) / 2
	median := s[mid]
	if len(s)%2 == 0 {
		median = (s[mid-1] + s[mid]) / 2
	}
	return Spread{Median: median, Min: s[0], Max: s[len(s)-1], N: len(s)}
}

// Of is the spread of a metric over the rounds of a scenario.
func (r *Run) Of(scenario, proxy, key string) Spread {
	var v []float64
	for _, f := range r.values(scenario, proxy, key) {
		v = append(v, f)
	}
	return SpreadOf(v)
}

// Ratio is the spread of a's figure divided by b's, taken round by round: what
// disturbs a whole round disturbs both and falls out. Rounds that only one of
// them has, or in which b's figure is 0, are left out.
func (r *Run) Ratio(scenario, a, b, key string) Spread {
	of, to := r.values(scenario, a, key), r.values(scenario, b, key)
	var v []float64
	for round, x := range of {
		if y, ok := to[round]; ok && y != 0 {
			v = append(v, x/y)
		}
	}
	return SpreadOf(v)
}
