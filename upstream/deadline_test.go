package upstream

import (
	"testing"
	"testing/synctest"
	"time"
)

type counter int

func (c *counter) Cancel() { *c++ }

// TestDeadline: it cancels what is watched when the time is over, once, and
// nothing that was released or that belongs to a request that has ended.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var watched, released, late counter
		d := newDeadline(time.Second)
		if !d.watch(&released) {
			t.Error("over at once")
		}
		d.release()
		d.watch(&watched)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if watched != 1 || released != 0 || !d.passed() {
			t.Errorf("canceled %d and %d times", watched, released)
		}
		if d.watch(&late) {
			t.Error("not over")
		}
		d.stop()

		var ended counter
		d = newDeadline(time.Second)
		d.watch(&ended)
		d.stop()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if ended != 0 || d.passed() {
			t.Errorf("it struck after stop")
		}
	})
	var none *deadline
	if !none.watch(nil) || none.passed() {
		t.Error("a nil deadline strikes")
	}
	none.release()
	none.stop()
}
