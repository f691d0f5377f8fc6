package report

import (
	"fmt"
	"math"
	"strings"
)

// Markdown is the whole report. charts maps a scenario to its chart's file name.
func (r *Run) Markdown(charts map[string]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Comparison of %s\n\n", r.Time)
	fmt.Fprintf(&b, "`%s`, commit %s.\n\n", r.Command, r.Commit)
	b.WriteString("Each cell is the median over the rounds, and the range they lie in. A ratio is taken round by round\n" +
		"and then has its own median and range; below 1 means that " + r.Base + " has the smaller figure.\nHow to read the figures: bench/README.md.\n\n")
	b.WriteString("| | |\n| --- | --- |\n")
	for _, f := range r.Machine {
		fmt.Fprintf(&b, "| %s | %s |\n", f.Name, f.Value)
	}
	for _, p := range r.Programs {
		fmt.Fprintf(&b, "| %s | %s |\n", p.Name, p.Version)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "\n%s\n", n)
	}
	for _, s := range r.Scenarios {
		b.WriteString("\n" + r.Section(s))
		if c := charts[s.Name]; c != "" {
			fmt.Fprintf(&b, "\n![%s](%s)\n", s.Title, c)
		}
	}
	return b.String()
}

// Section is one scenario: its table, the ratios, and what went wrong.
func (r *Run) Section(s Scenario) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n\n", s.Title, s.About)
	proxies := r.Proxies(s.Name)
	r.table(&b, s.Columns, "proxy", proxies, func(p, key string) Spread { return r.Of(s.Name, p, key) }, false)
	var others []string
	for _, p := range proxies {
		if p != r.Base {
			others = append(others, p)
		}
	}
	if len(others) > 0 && len(others) < len(proxies) && len(s.Ratios) > 0 {
		b.WriteString("\n")
		r.table(&b, s.Ratios, r.Base+" to", others, func(p, key string) Spread { return r.Ratio(s.Name, r.Base, p, key) }, true)
	}
	if line := r.noise(s.Name); line != "" {
		b.WriteString("\n" + line + "\n")
	}
	for _, line := range r.failures(s.Name) {
		b.WriteString("\n" + line + "\n")
	}
	return b.String()
}

func (r *Run) table(b *strings.Builder, keys []string, corner string, rows []string, cell func(row, key string) Spread, ratio bool) {
	fmt.Fprintf(b, "| %s |", corner)
	for _, k := range keys {
		m := MetricOf(k)
		title := m.Title
		if m.Unit != "" && !ratio {
			title += " (" + m.Unit + ")"
		}
		fmt.Fprintf(b, " %s |", title)
	}
	b.WriteString("\n| --- |" + strings.Repeat(" ---: |", len(keys)) + "\n")
	for _, row := range rows {
		fmt.Fprintf(b, "| %s |", row)
		for _, k := range keys {
			digits := MetricOf(k).Digits
			if ratio {
				digits = 3
			}
			fmt.Fprintf(b, " %s |", cell(row, k).format(digits))
		}
		b.WriteString("\n")
	}
}

func (s Spread) format(digits int) string {
	if s.N == 0 || math.IsNaN(s.Median) {
		return "–"
	}
	median := fmt.Sprintf("%.*f", digits, s.Median)
	low, high := fmt.Sprintf("%.*f", digits, s.Min), fmt.Sprintf("%.*f", digits, s.Max)
	if low == median && high == median {
		return median
	}
	return fmt.Sprintf("**%s** (%s..%s)", median, low, high)
}

// noise says how far a scenario was disturbed, and whether the proxies were what
// limited it.
func (r *Run) noise(scenario string) string {
	var worst, repeats float64
	for _, s := range r.Samples {
		if s.Scenario == scenario {
			worst = max(worst, s.Values["noise"])
			repeats += s.Values["repeats"]
		}
	}
	line := fmt.Sprintf("Others took at most %.0f%% of a core during a measurement that counts; %.0f were made again because of noise.", worst, repeats)
	var idle []string
	for _, sc := range r.Scenarios {
		if sc.Name != scenario || sc.Open {
			continue
		}
		for _, p := range r.Proxies(scenario) {
			if m := r.Of(scenario, p, "proxy_core"); m.N > 0 && m.Median < 95 {
				idle = append(idle, fmt.Sprintf("%s (%.0f%%)", p, m.Median))
			}
		}
	}
	if len(idle) > 0 {
		line += " The load core was the limit and the proxy's core partly idle with " + strings.Join(idle, ", ") +
			": requests a second and latencies say little there, CPU per request stays good."
	}
	return line
}

// failures says for each proxy with failed requests what they were.
func (r *Run) failures(scenario string) []string {
	var lines []string
	for _, p := range r.Proxies(scenario) {
		sum := map[string]int64{}
		first := ""
		for _, s := range r.Samples {
			if s.Scenario != scenario || s.Proxy != p {
				continue
			}
			for k, n := range s.Errors {
				sum[k] += n
			}
			if first == "" {
				first = s.First
			}
		}
		if len(sum) > 0 {
			lines = append(lines, fmt.Sprintf("Failed requests of %s: %v; the first one: %s.", p, sum, first))
		}
	}
	return lines
}
