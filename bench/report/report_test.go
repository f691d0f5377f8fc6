package report

import (
	"encoding/xml"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestSpreadOf(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want Spread
	}{
		{[]float64{5}, Spread{5, 5, 5, 1}},
		{[]float64{3, 1, 2}, Spread{2, 1, 3, 3}},
		{[]float64{4, 1, 3, 2}, Spread{2.5, 1, 4, 4}},
		{[]float64{7, 7, 7, 100, 7}, Spread{7, 7, 100, 5}},
		{[]float64{-1, 0, 1}, Spread{0, -1, 1, 3}},
	} {
		in := append([]float64{}, c.in...)
		if got := SpreadOf(in); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.in, got, c.want)
		}
		if !cmp.Equal(in, c.in) {
			t.Errorf("%v was changed to %v", c.in, in)
		}
	}
	if got := SpreadOf(nil); got.N != 0 || !math.IsNaN(got.Median) {
		t.Errorf("of nothing: %+v", got)
	}
}

// example is three rounds, the last of which was twice as slow for everyone.
func example() *Run {
	r := &Run{
		Time: "2026-11-22 12:00 UTC", Command: "bench compare", Commit: "abc123", Base: "ours",
		Machine:   []Fact{{"CPU", "two of them"}},
		Programs:  []Program{{"ours", "dev"}, {"theirs", "1.2"}, {"absent", "0"}},
		Scenarios: []Scenario{{Name: "small", Title: "Small <keep-alive>", About: "What it is.", Columns: []string{"cpu_us", "rps", "proxy_core", "made_up"}, Ratios: []string{"cpu_us", "rps"}}},
		Notes:     []string{"Left out: absent."},
	}
	add := func(round int, proxy string, cpu, rps, core float64) {
		r.Samples = append(r.Samples, Sample{Scenario: "small", Proxy: proxy, Round: round, Values: map[string]float64{"cpu_us": cpu, "rps": rps, "proxy_core": core, "noise": float64(round), "repeats": 1}})
	}
	add(0, "theirs", 10, 1000, 99)
	add(0, "ours", 11, 900, 80)
	add(1, "ours", 9, 1100, 81)
	add(1, "theirs", 10, 1000, 99)
	add(2, "theirs", 20, 500, 99)
	add(2, "ours", 24, 400, 82)
	r.Samples[5].Errors, r.Samples[5].First = map[string]int64{"status": 2}, "status: 502"
	return r
}

func TestRatioIsTakenRoundByRound(t *testing.T) {
	r := example()
	got := r.Ratio("small", "ours", "theirs", "cpu_us")
	want := Spread{Median: 1.1, Min: 0.9, Max: 1.2, N: 3}
	if math.Abs(got.Median-want.Median) > 1e-9 || math.Abs(got.Min-want.Min) > 1e-9 || math.Abs(got.Max-want.Max) > 1e-9 || got.N != 3 {
		t.Errorf("%+v, want %+v", got, want)
	}
	// A round that only one of them has does not count, nor does division by 0.
	r.Samples = append(r.Samples,
		Sample{Scenario: "small", Proxy: "ours", Round: 3, Values: map[string]float64{"cpu_us": 100}},
		Sample{Scenario: "small", Proxy: "ours", Round: 4, Values: map[string]float64{"cpu_us": 100}},
		Sample{Scenario: "small", Proxy: "theirs", Round: 4, Values: map[string]float64{"cpu_us": 0}},
		Sample{Scenario: "other", Proxy: "theirs", Round: 3, Values: map[string]float64{"cpu_us": 1}})
	if got := r.Ratio("small", "ours", "theirs", "cpu_us"); got.N != 3 {
		t.Errorf("%d rounds count, want 3", got.N)
	}
	if got := r.Ratio("small", "ours", "nobody", "cpu_us"); got.N != 0 {
		t.Errorf("a ratio to nobody: %+v", got)
	}
}

func TestMarkdownGolden(t *testing.T) {
	r := example()
	golden(t, "report.md", []byte(r.Markdown(map[string]string{"small": "chart-small.svg"})))
}

func TestChartGolden(t *testing.T) {
	r := example()
	b, err := r.Chart(r.Scenarios[0])
	if err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(strings.NewReader(string(b)))
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
	}
	golden(t, "chart.svg", b)
	if _, err := r.Chart(Scenario{Name: "empty", Columns: []string{"cpu_us"}}); err == nil {
		t.Error("a chart of nothing")
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (go test ./bench/... -update rewrites it):\n%s", file, diff)
	}
}

func TestFormat(t *testing.T) {
	for _, c := range []struct {
		s      Spread
		digits int
		want   string
	}{
		{Spread{1.234, 1.1, 1.5, 3}, 2, "**1.23** (1.10..1.50)"},
		{Spread{0.4, 0, 0.4, 3}, 0, "0"},
		{Spread{2, 2, 2, 1}, 1, "2.0"},
		{SpreadOf(nil), 1, "–"},
	} {
		if got := c.s.format(c.digits); got != c.want {
			t.Errorf("%+v: %q, want %q", c.s, got, c.want)
		}
	}
}

func TestMergeCountsRoundsOn(t *testing.T) {
	a, b := example(), example()
	b.Scenarios = append(b.Scenarios, Scenario{Name: "large"})
	b.Programs = append(b.Programs, Program{"more", "3"})
	m := Merge([]*Run{a, b})
	if len(m.Samples) != 12 || len(m.Scenarios) != 2 || len(m.Programs) != 4 {
		t.Errorf("%d samples, %d scenarios, %d programs", len(m.Samples), len(m.Scenarios), len(m.Programs))
	}
	if s := m.Ratio("small", "ours", "theirs", "cpu_us"); s.N != 6 {
		t.Errorf("%d rounds, want 6", s.N)
	}
	if len(a.Samples) != 6 || a.Samples[5].Round != 2 || b.Samples[0].Round != 0 {
		t.Error("the runs were changed")
	}
}
