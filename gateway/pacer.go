package gateway

import "time"

const (
	// slice is how long Apply goes on before it makes room for requests, and room
	// how long it stays away. Going to the back of the queue (runtime.Gosched)
	// would not do: with one processor the network is looked at only when
	// nothing else can run, and requests would wait for the whole of Apply.
	slice = 50 * time.Microsecond
	room  = 100 * time.Microsecond
)

// pacer lets requests through while an Apply goes on. The zero pacer does not:
// before the first snapshot there are none.
type pacer struct {
	since time.Time
	steps uint
}

// breathe is called between small steps of the work.
func (p *pacer) breathe() {
	if p.since.IsZero() {
		return
	}
	if p.steps++; p.steps%64 != 0 || time.Since(p.since) < slice {
		return
	}
	time.Sleep(room)
	p.since = time.Now()
}
