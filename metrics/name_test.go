package metrics

import (
	"strings"
	"testing"
)

var badNames = []string{
	"", "1a", "a-b", "é", "a b", "a{", "a{b}", "a{b=}", "a{b=c}", `a{b="c}`, `a{b="c"`, `a{b="c"}x`, `a{b="c"d="e"}`, `a{b="c",b="d"}`, `a{1="c"}`, `a{b:c="d"}`,
	`a{b="\x"}`, `a{b="\`, "a{b=\"\n\"}", "a{b=\"\xff\"}", `a{b="c",,}`, `a}`, `{b="c"}`, `a{,}`, `a{ b ="c"}`,
}

func TestName(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"a"}, "a"},
		{[]string{"a", "b", "c"}, `a{b="c"}`},
		{[]string{"a", "b", "c", "d", ""}, `a{b="c",d=""}`},
		{[]string{"a", "b"}, `a{b=""}`},
		{[]string{"a", "b", "\\ \" \n \t \xff é"}, "a{b=\"\\\\ \\\" \\n \t \uFFFD é\"}"},
	} {
		if got := Name(tt.args[0], tt.args[1:]...); got != tt.want {
			t.Errorf("Name(%q) = %s, want %s", tt.args, got, tt.want)
		}
	}
}

func TestSplitName(t *testing.T) {
	for name, want := range map[string]string{
		"a": "a|", "a:b_1": "a:b_1|", "a{}": "a|", `a{b="c"}`: `a|b="c"`, `a{b="c",}`: `a|b="c"`, `a{ b="c" , d="}," }`: `a|b="c",d="},"`, `a{b="\\\"\n"}`: `a|b="\\\"\n"`,
	} {
		family, labels, err := splitName(name)
		if got := family + "|" + labels; got != want || err != nil {
			t.Errorf("splitName(%s) = %s, %v; want %s", name, got, err, want)
		}
	}
	for _, name := range badNames {
		if family, labels, err := splitName(name); err == nil {
			t.Errorf("splitName(%q) = %q, %q", name, family, labels)
		}
	}
}

// FuzzName checks that whatever the values are the text stays valid and carries
// them.
func FuzzName(f *testing.F) {
	f.Add("a", "b")
	f.Add("\\", "\"\n")
	f.Add("\xff", `",x="`)
	f.Fuzz(func(t *testing.T, x, y string) {
		s := NewSet()
		s.Help("c", x)
		s.Counter(Name("c", "x", x, "y", y)).Inc()
		s.Histogram(Name("h", "x", x), []float64{1}).Observe(1)
		s.App(x).Observe([]byte(y), len(y), 0)
		samples := written(t, s)
		x, y = strings.ToValidUTF8(x, "\uFFFD"), strings.ToValidUTF8(y, "\uFFFD")
		if value(samples, "c", "x", x, "y", y) != 1 || value(samples, "h_count", "x", x) != 1 || value(samples, familyDuration+"_count", "app", x) != 1 {
			t.Errorf("got %v", samples)
		}
	})
}

// FuzzCounter checks that no name can spoil the text.
func FuzzCounter(f *testing.F) {
	for _, name := range badNames {
		f.Add(name)
	}
	f.Add(`a{b="c",d="e"}`)
	f.Add("er_requests_ok")
	f.Fuzz(func(t *testing.T, name string) {
		s := NewSet()
		s.Counter(name).Inc()
		s.Gauge(name, nil)
		s.Histogram(name+"_x", nil).Observe(1)
		s.Counter(name + "_x_sum").Inc()
		written(t, s)
		s.Unregister(name)
		s.Unregister(name + "_x")
		s.Unregister(name + "_x_sum")
		for _, sample := range written(t, s) {
			if sample.family != familyDuration && sample.name != familyRefused {
				t.Errorf("%q left %v", name, sample)
			}
		}
	})
}
