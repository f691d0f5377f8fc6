package upstream

import (
	"sync"
	"time"

	"edgerouter/wire"
)

// deadline ends a request when its time (timeouts.request) is over: it cancels
// what the request waits for just then, and tells so afterwards. A nil deadline
// never strikes.
type deadline struct {
	timer *time.Timer

	mu     sync.Mutex
	target wire.Canceler
	struck bool
}

func newDeadline(after time.Duration) *deadline {
	d := &deadline{}
	d.timer = time.AfterFunc(after, d.strike)
	return d
}

func (d *deadline) strike() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.struck = true
	if d.target != nil {
		d.target.Cancel()
	}
}

// watch says what to cancel from now on. It tells false when the time is over
// already.
func (d *deadline) watch(c wire.Canceler) bool {
	if d == nil {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.target = c
	return !d.struck
}

// release takes back what watch said; nothing is canceled after it.
func (d *deadline) release() {
	if d == nil {
		return
	}
	d.mu.Lock()
	d.target = nil
	d.mu.Unlock()
}

// passed tells whether the time is over.
func (d *deadline) passed() bool {
	if d == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.struck
}

// stop ends the deadline with its request.
func (d *deadline) stop() {
	if d != nil {
		d.timer.Stop()
		d.release()
	}
}

// stopReading is what ends the wait for a client's body.
type stopReading struct{ client wire.Client }

// Cancel makes it a wire.Canceler.
func (s stopReading) Cancel() { s.client.StopReading() }

// leaving is what ends a wait in a queue: done is closed when the client has
// gone or the request's time is over.
type leaving struct {
	once     sync.Once
	done     chan struct{}
	canceler wire.Canceler // itself, at an address that lasts
}

func newLeaving() *leaving {
	l := &leaving{done: make(chan struct{})}
	l.canceler = l
	return l
}

// Cancel makes it a wire.Canceler.
func (l *leaving) Cancel() { l.once.Do(func() { close(l.done) }) }
