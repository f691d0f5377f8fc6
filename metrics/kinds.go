package metrics

import (
	"sync"

	vm "github.com/VictoriaMetrics/metrics"
)

// metric is what a series shows. A metric that has nothing to show appends
// nothing.
type metric interface {
	append(b []byte, family, labels string) []byte
}

type counter struct{ *vm.Counter }

func (c counter) append(b []byte, family, labels string) []byte {
	return appendUint(b, family, labels, c.Get())
}

type counterFunc struct {
	mu sync.Mutex
	f  func() uint64
}

func (c *counterFunc) set(f func() uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.f = f
}

func (c *counterFunc) append(b []byte, family, labels string) []byte {
	c.mu.Lock()
	f := c.f
	c.mu.Unlock()
	if f == nil {
		return b
	}
	return appendUint(b, family, labels, f())
}

type gauge struct {
	mu   sync.Mutex
	g    *vm.Gauge
	free bool // there to be set
}

// set returns the gauge that shows from now on. One that is there to be set
// stays when it is asked for again.
func (g *gauge) set(f func() float64) *vm.Gauge {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f != nil || !g.free {
		// A gauge with a function can only come from a set.
		g.g, g.free = vm.NewSet().NewGauge("gauge", f), f == nil
	}
	return g.g
}

func (g *gauge) append(b []byte, family, labels string) []byte {
	g.mu.Lock()
	v := g.g
	g.mu.Unlock()
	if v == nil {
		return b // between registration and set
	}
	return appendFloat(b, family, labels, v.Get())
}
