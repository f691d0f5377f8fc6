// Package pace lets requests through while long work goes on: reading a large
// file, applying ten thousand applications, building a table.
package pace

import "time"

const (
	// slice is how long work goes on before it makes room.
	slice = 50 * time.Microsecond
	// share is how much longer than the work the room for others is. Going to the
	// back of the queue (runtime.Gosched) would not do: with one processor the
	// network is looked at only when nothing else can run, and requests would wait
	// for the whole of the work. Room that is shorter than it takes to answer what
	// has come meanwhile would not do either: each further slice would add to the
	// wait of the same requests.
	share = 4
	// briskShare is share where the work is waited for as well.
	briskShare = 2
	// longest is the longest room. It is also about what the shortest sleep takes
	// where there is nothing else to do. Slices grow with the time that is lost in
	// this way: with many short ones, work of 10 ms would take 200 ms and more.
	longest = time.Millisecond
	// look is after how many steps the clock is looked at; a step is below a
	// microsecond.
	look = 64
)

// Pacer divides work into slices. The zero Pacer makes no room: before anything
// is in service there is nothing to make it for. It is for one goroutine.
type Pacer struct {
	since time.Time
	slice time.Duration
	share time.Duration
	steps uint
}

// New returns a Pacer for work that begins now.
func New() Pacer { return Pacer{since: time.Now(), slice: slice, share: share} }

// Brisk is New for work of some tenths of a second that others wait for as well:
// it makes half as much room.
func Brisk() Pacer { return Pacer{since: time.Now(), slice: slice, share: briskShare} }

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
	if p.since.IsZero() {
		return
	}
	now := time.Now()
	worked := now.Sub(p.since)
	if worked < p.slice {
		return
	}
	room := min(p.share*worked, longest)
	time.Sleep(room)
	p.since = time.Now()
	p.rested(p.since.Sub(now) - room)
}

// rested makes slices longer after a sleep that took so much longer than the room
// that was to be made.
func (p *Pacer) rested(lost time.Duration) {
	p.slice = max(p.slice, min(lost, longest)/p.share)
}
