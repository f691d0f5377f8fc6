package metrics

import (
	"bytes"
	"io"
	"slices"
	"strings"

	vm "github.com/VictoriaMetrics/metrics"
)

// WriteProcess writes what VictoriaMetrics/metrics tells of the process and the
// Go runtime (process_* and go_*, open and possible file descriptors included)
// in Prometheus text format: in order, and with a TYPE where it is certain. The
// names do not meet those of a Set, whose names begin with er_.
//
// With many open connections counting them takes a few milliseconds, so this is
// for scrapes, not for requests.
func WriteProcess(w io.Writer) {
	var raw bytes.Buffer
	vm.WriteProcessMetrics(&raw)
	vm.WriteFDMetrics(&raw)
	writeTyped(w, raw.String())
}

// writeTyped writes the lines of text, which has no comments and no empty
// families, ordered by family and otherwise as they came.
func writeTyped(w io.Writer, text string) {
	lines := map[string][]string{}
	for line := range strings.Lines(text) {
		if family := familyOf(line); family != "" {
			lines[family] = append(lines[family], line)
		}
	}
	families := make([]string, 0, len(lines))
	for family := range lines {
		families = append(families, family)
	}
	slices.Sort(families)
	out := output{w: w}
	for _, family := range families {
		out.begin(family, processKind(family), "")
		for _, line := range lines[family] {
			out.add(func(b []byte) []byte { return append(b, line...) })
		}
	}
	out.flush()
}

// summaryFamily is the only one of its kind; its lines are its quantiles, _sum
// and _count.
const summaryFamily = "go_gc_duration_seconds"

// familyOf is empty for what is no sample.
func familyOf(line string) string {
	n := strings.IndexAny(line, "{ ")
	if n <= 0 || line[0] == '#' {
		return ""
	}
	family := line[:n]
	if strings.TrimSuffix(strings.TrimSuffix(family, "_sum"), "_count") == summaryFamily {
		return summaryFamily
	}
	return family
}

// processKind is empty, which means untyped, where the lines do not make up what
// a TYPE would promise: the runtime's histograms come without _sum and _count,
// and a gauge does not end with _count.
func processKind(family string) string {
	switch {
	case family == summaryFamily:
		return "summary"
	case strings.HasSuffix(family, "_bucket"), strings.HasSuffix(family, "_count"):
		return ""
	case strings.HasSuffix(family, "_total"):
		return "counter"
	}
	return "gauge"
}
