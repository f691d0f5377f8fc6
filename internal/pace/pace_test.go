package pace

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestPacer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var none Pacer
		p, brisk := New(), Brisk()
		for _, step := range []struct {
			name string
			work time.Duration
			do   func()
			room time.Duration
		}{
			{"the zero pacer makes none", time.Second, func() {
				for range 10 * look {
					none.Step()
					none.Block()
				}
			}, 0},
			{"a slice that is long over", 0, p.Block, longest},
			{"no time has passed", 0, func() {
				for range 10 * look {
					p.Step()
				}
			}, 0},
			{"the slice is not over", slice - 1, p.Block, 0},
			{"the slice is over", 1, p.Block, share * slice},
			{"the clock is not looked at", slice, func() {
				for range look - 1 {
					p.Step()
				}
			}, 0},
			{"it is looked at", 0, p.Step, share * slice},
			{"a long piece", 3 * slice, p.Block, 3 * share * slice},
			{"a very long piece", time.Second, p.Block, longest},
			{"others wait for it, and it is long over", 0, brisk.Block, longest},
			{"others wait for it", slice, brisk.Block, briskShare * slice},
		} {
			time.Sleep(step.work)
			began := time.Now()
			step.do()
			if got := time.Since(began); got != step.room {
				t.Errorf("%s: away for %v, want %v", step.name, got, step.room)
			}
		}
	})
}

// Where the shortest sleep is long, slices are longer, and no longer than the
// longest room allows.
func TestPacerMakesUpForLostTime(t *testing.T) {
	for _, c := range []struct{ lost, want time.Duration }{
		{0, slice},
		{share * slice, slice},
		{share*slice + share, slice + 1},
		{time.Second, longest / share},
	} {
		p := New()
		p.rested(c.lost)
		if p.slice != c.want {
			t.Errorf("after a sleep that was %v too long a slice is %v, want %v", c.lost, p.slice, c.want)
		}
		p.rested(0)
		if p.slice != c.want {
			t.Errorf("after a sleep that was not too long a slice of %v is %v", c.want, p.slice)
		}
	}
}
