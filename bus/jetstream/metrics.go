package jetstream

import (
	"errors"
	"time"

	vm "github.com/VictoriaMetrics/metrics"

	"edgerouter/bus"
	"edgerouter/metrics"
)

// appendMetrics count what this process appends.
type appendMetrics struct {
	ok, conflicts, failed *vm.Counter
	seconds               *metrics.Histogram
}

func (m *appendMetrics) register(set *metrics.Set) {
	set.Help("er_bus_appends_total", "Appends of this process by how they ended.")
	result := func(r string) *vm.Counter {
		return set.Counter(metrics.Name("er_bus_appends_total", "result", r))
	}
	m.ok, m.conflicts, m.failed = result("ok"), result("conflict"), result("failed")
	set.Help("er_bus_append_seconds", "Time from an append to its acknowledgement.")
	m.seconds = set.Histogram("er_bus_append_seconds", []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10})
}

func (m *appendMetrics) observe(took time.Duration, err error) {
	switch {
	case err == nil:
		m.ok.Inc()
		m.seconds.Observe(took.Seconds())
	case errors.Is(err, bus.ErrConflict):
		m.conflicts.Inc()
	default:
		m.failed.Inc()
	}
}
