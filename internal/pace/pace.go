// Package pace lets requests through while long work goes on: reading a large
// file, applying ten thousand applications, building a table.
package pace

import "time"

const (
	// slice is how long work goes on before it makes room, and room how long it
	// stays away. Going to the back of the queue (runtime.Gosched) would not do:
	// with one processor the network is looked at only when nothing else can run,
	// and requests would wait for the whole of the work.
	slice = 50 * time.Microsecond
	room  = 100 * time.Microsecond
	// look is after how many steps the clock is looked at; a step is below a
	// microsecond.
	look = 64
)

// Pacer divides work into slices. The zero Pacer makes no room: before anything
// is in service there is nothing to make it for. It is for one goroutine.
type Pacer struct {
	since time.Time
	slice time.Duration
	steps uint
}

// New returns a Pacer for work that begins now.
func New() Pacer { return NewSlices(slice) }

// NewSlices is New with slices of another length, for so much work that it would
// take too long: with little else to do a sleep takes a millisecond.
func NewSlices(length time.Duration) Pacer { return Pacer{since: time.Now(), slice: length} }

// Step is called between small steps of the work; it may sleep.
func (p *Pacer) Step() {
	if p.since.IsZero() {
		return
	}
	if p.steps++; p.steps%look == 0 {
		p.Block()
	}
}

// Block is Step after a larger piece of work, such as a block of a file.
func (p *Pacer) Block() {
	if p.since.IsZero() || time.Since(p.since) < p.slice {
		return
	}
	time.Sleep(room)
	p.since = time.Now()
}
