package pace

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestPacer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var none Pacer
		for range 10 * look {
			none.Step()
			none.Block()
		}
		if time.Since(began) != 0 {
			t.Error("the zero pacer makes room")
		}
		p := New()
		for range 10 * look {
			p.Step() // no time has passed: the slice is not over
		}
		if time.Since(began) != 0 {
			t.Error("room is made before the slice is over")
		}
		time.Sleep(slice)
		for range look {
			p.Step()
		}
		if got := time.Since(began); got != slice+room {
			t.Errorf("steps: away after %v, want %v", got, slice+room)
		}
		time.Sleep(slice)
		p.Block()
		if got := time.Since(began); got != 2*(slice+room) {
			t.Errorf("block: away after %v, want %v", got, 2*(slice+room))
		}
	})
}
