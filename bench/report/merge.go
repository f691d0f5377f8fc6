package report

import "slices"

// Merge puts runs together into one: the description of the first, the scenarios
// and programs of all, and their samples with the rounds counted on.
func Merge(runs []*Run) *Run {
	sum := *runs[0]
	sum.Scenarios, sum.Programs = slices.Clone(sum.Scenarios), slices.Clone(sum.Programs)
	sum.Samples, sum.Notes = slices.Clone(sum.Samples), slices.Clone(sum.Notes)
	for _, r := range runs[1:] {
		for _, s := range r.Scenarios {
			if !slices.ContainsFunc(sum.Scenarios, func(have Scenario) bool { return have.Name == s.Name }) {
				sum.Scenarios = append(sum.Scenarios, s)
			}
		}
		for _, p := range r.Programs {
			if !slices.ContainsFunc(sum.Programs, func(have Program) bool { return have.Name == p.Name }) {
				sum.Programs = append(sum.Programs, p)
			}
		}
		rounds := 0
		for _, s := range sum.Samples {
			rounds = max(rounds, s.Round+1)
		}
		for _, s := range r.Samples {
			s.Round += rounds
			sum.Samples = append(sum.Samples, s)
		}
		sum.Notes = append(sum.Notes, r.Notes...)
	}
	return &sum
}
