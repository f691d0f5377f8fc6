package server

import "testing"

func TestCrowd(t *testing.T) {
	var c crowd
	steps := []struct {
		parked int
		silent bool
	}{
		{0, false}, {500, false}, {500, false}, {500, false}, // too few
		{1500, false}, {3000, false}, // growing
		{3000, false}, {2990, false}, {2990, true}, // steady
		{2990, false}, {2990, false}, {2990, false}, {2990, false}, // dealt with
		{100, false}, {1200, false}, {1200, false}, {1200, false}, {1200, true}, // another one
	}
	for i, s := range steps {
		if got := c.silent(s.parked); got != s.silent {
			t.Errorf("step %d, %d parked: %v, want %v", i, s.parked, got, s.silent)
		}
	}
}
