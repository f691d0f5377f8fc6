package metrics

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// sample is a line of the text format.
type sample struct {
	name   string
	labels map[string]string
	value  float64
	family string
}

var sampleLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[^"]|"(?:[^"\\]|\\.)*")*)\})? (\S+)$`)
var labelPair = regexp.MustCompile(`^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:, *|$)`)

// parseText reads the Prometheus text format as strictly as its description and
// says what is wrong with it: each family once, its comments first, its series
// together, no series twice, histograms complete and cumulative, families in
// order.
func parseText(text string) (samples []sample, err error) {
	fail := func(line string, format string, args ...any) ([]sample, error) {
		return nil, fmt.Errorf("%q: %s", line, fmt.Sprintf(format, args...))
	}
	if !utf8.ValidString(text) {
		return fail("", "not UTF-8")
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		return fail("", "no line break at the end")
	}
	kinds := map[string]string{}
	helped, started := map[string]bool{}, map[string]bool{}
	seen := map[string]bool{}
	var families []string
	enter := func(family string) bool { // false: it was left before
		if n := len(families); n > 0 && families[n-1] == family {
			return true
		}
		if slices.Contains(families, family) {
			return false
		}
		families = append(families, family)
		return true
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if comment, ok := strings.CutPrefix(line, "# "); ok {
			fields := strings.SplitN(comment, " ", 3)
			if len(fields) < 3 || fields[0] != "HELP" && fields[0] != "TYPE" {
				return fail(line, "neither HELP nor TYPE")
			}
			if !enter(fields[1]) || kinds[fields[1]] != "" || started[fields[1]] {
				return fail(line, "not at the beginning of its family")
			}
			if fields[0] == "HELP" {
				if helped[fields[1]] {
					return fail(line, "second HELP")
				}
				helped[fields[1]] = true
			} else if kinds[fields[1]] = fields[2]; !slices.Contains([]string{"counter", "gauge", "histogram", "summary"}, fields[2]) {
				return fail(line, "unknown TYPE")
			}
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil {
			return fail(line, "not a sample")
		}
		s := sample{name: m[1], family: m[1], labels: map[string]string{}}
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base, ok := strings.CutSuffix(s.name, suffix); ok && (kinds[base] == "histogram" || kinds[base] == "summary" && suffix != "_bucket") {
				s.family = base
			}
		}
		var order []string
		for rest := m[2]; rest != ""; {
			p := labelPair.FindStringSubmatch(rest)
			if p == nil {
				return fail(line, "labels at %q", rest)
			}
			if _, twice := s.labels[p[1]]; twice {
				return fail(line, "label %s twice", p[1])
			}
			s.labels[p[1]] = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n").Replace(p[2])
			order = append(order, p[1]+"="+s.labels[p[1]])
			rest = rest[len(p[0]):]
		}
		if s.value, err = strconv.ParseFloat(m[3], 64); err != nil {
			return fail(line, "value: %v", err)
		}
		slices.Sort(order)
		if id := s.name + strings.Join(order, "\x00"); seen[id] {
			return fail(line, "the series comes twice")
		} else {
			seen[id] = true
		}
		if !enter(s.family) {
			return fail(line, "the series of its family are not together")
		}
		started[s.family] = true
		if kinds[s.family] == "counter" && (s.value < 0 || math.IsNaN(s.value)) {
			return fail(line, "negative counter")
		}
		if kinds[s.family] == "histogram" && s.family == s.name {
			return fail(line, "a histogram without suffix")
		}
		samples = append(samples, s)
	}
	if !slices.IsSorted(families) {
		return fail("", "families are not in order: %v", families)
	}
	for _, f := range families {
		if kinds[f] == "histogram" {
			if err := checkHistogram(f, samples); err != nil {
				return nil, err
			}
		}
		if (kinds[f] != "" || helped[f]) && !slices.ContainsFunc(samples, func(s sample) bool { return s.family == f }) {
			return fail(f, "a family without series")
		}
	}
	return samples, nil
}

// checkHistogram wants the buckets of each histogram in ascending order,
// cumulative and followed by _sum and _count.
func checkHistogram(family string, samples []sample) error {
	state, le, count, of := "", math.Inf(-1), 0.0, ""
	for _, s := range samples {
		if s.family != family {
			continue
		}
		var rest []string
		for k, v := range s.labels {
			if k != "le" {
				rest = append(rest, k+"="+v)
			}
		}
		slices.Sort(rest)
		id := fmt.Sprint(rest)
		if state == "" {
			le, count, of = math.Inf(-1), 0, id
		}
		if id != of {
			return fmt.Errorf("%s%v begins before the one before it has ended", family, s.labels)
		}
		switch {
		case s.name == family+"_bucket" && state != "sum":
			bound, err := strconv.ParseFloat(s.labels["le"], 64)
			if err != nil || bound <= le || s.value < count {
				return fmt.Errorf("%s%v: bound or count goes down", family, s.labels)
			}
			state, le, count = "bucket", bound, s.value
		case s.name == family+"_sum" && state == "bucket" && math.IsInf(le, 1):
			state = "sum"
		case s.name == family+"_count" && state == "sum" && s.value == count:
			state = ""
		default:
			return fmt.Errorf("%s%v is out of place", s.name, s.labels)
		}
	}
	if state != "" {
		return fmt.Errorf("%s is incomplete", family)
	}
	return nil
}

// texts of a set, checked.
func written(t testing.TB, s *Set) []sample {
	t.Helper()
	var b strings.Builder
	s.WritePrometheus(&b)
	samples, err := parseText(b.String())
	if err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	return samples
}

// value of a series, -1 when it is not there. labels are as in Name.
func value(samples []sample, name string, labels ...string) float64 {
	for _, s := range samples {
		if s.name != name || len(s.labels) != len(labels)/2 {
			continue
		}
		same := true
		for i := 0; i < len(labels); i += 2 {
			v, ok := s.labels[labels[i]]
			same = same && ok && v == labels[i+1]
		}
		if same {
			return s.value
		}
	}
	return -1
}

// The checker itself has to find what is wrong.
func TestParseText(t *testing.T) {
	for _, text := range []string{
		"a 1", "a\n", "a x\n", "1a 2\n", "a{b} 1\n", "a{b=\"c} 1\n", "a{b=\"\\x\"} 1\n", "a{b=\"1\",b=\"2\"} 1\n", "a 1\na 2\n", "b 1\na 1\n",
		"a 1\nb 1\na{x=\"1\"} 1\n", "a 1\n# TYPE a counter\n", "# TYPE a counter\na -1\n", "# TYPE a cat\na 1\n", "# HELP a x\n# HELP a x\na 1\n", "# TYPE a counter\n",
		"# TYPE a histogram\na_bucket{le=\"1\"} 1\na_sum 1\na_count 1\n", "# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 2\n",
		"# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n", "# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\n",
		"a 1\n\n", "a  1\n", "a{b=\"\xff\"} 1\n", "# EOF\n",
	} {
		if samples, err := parseText(text); err == nil {
			t.Errorf("%q is taken for %v", text, samples)
		}
	}
	good := "# HELP a x\n# TYPE a histogram\na_bucket{x=\"1\",le=\"0.5\"} 1\na_bucket{x=\"1\",le=\"+Inf\"} 1\na_sum{x=\"1\"} 1\na_count{x=\"1\"} 1\n" +
		"# TYPE b counter\nb{c=\"\\\\\\\"\\n,}\"} 1\nb{c=\"2\"} 1e+06\nb_c NaN\n"
	if samples, err := parseText(good); err != nil || value(samples, "b", "c", "\\\"\n,}") != 1 {
		t.Errorf("%v, %v", samples, err)
	}
}
