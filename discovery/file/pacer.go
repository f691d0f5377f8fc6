package file

import "time"

const (
	// slice is how long work on a large file goes on before it makes room, and
	// room how long it stays away. Going to the back of the queue (runtime.Gosched)
	// would not do: with one processor the network is looked at only when
	// nothing else can run, and requests would wait for the whole of the work.
	slice = 50 * time.Microsecond
	room  = 100 * time.Microsecond
)

// pacer lets requests through while work goes on. The zero pacer does not.
type pacer struct{ since time.Time }

func newPacer() pacer { return pacer{time.Now()} }

// breathe is called between small steps of the work.
func (p *pacer) breathe() {
	if p.since.IsZero() || time.Since(p.since) < slice {
		return
	}
	time.Sleep(room)
	p.since = time.Now()
}
