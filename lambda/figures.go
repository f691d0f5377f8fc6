package lambda

import (
	"sync/atomic"
	"time"

	vm "github.com/VictoriaMetrics/metrics"

	"edgerouter/metrics"
)

// figures are the metrics of one application's function.
type figures struct {
	users    int
	inFlight atomic.Int64

	invocations, coldStarts, throttles, functionErrors, retries, canceled, broken *vm.Counter

	duration *metrics.Histogram
	names    []string
}

// durationBounds are seconds: a function answers within a millisecond when it is
// warm and near, and takes at most 15 minutes.
var durationBounds = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900}

// register registers what belongs to no application.
func (s *Service) register() {
	m := s.deps.Metrics
	for name, text := range map[string]string{
		"er_lambda_invocations_total":     "Requests that were sent to the Invoke API, further attempts included.",
		"er_lambda_cold_starts_total":     "Invocations whose log tells of an initialization.",
		"er_lambda_throttles_total":       "Invocations that the API refused because of too many.",
		"er_lambda_function_errors_total": "Invocations that ended with an error of the function, or a payload that is not of the format.",
		"er_lambda_retries_total":         "Invocations that were tried again.",
		"er_lambda_canceled_total":        "Invocations whose client went away.",
		"er_lambda_broken_streams_total":  "Streamed responses that broke off after their head.",
		"er_lambda_in_flight":             "Invocations that are running.",
		"er_lambda_waiting":               "Requests that wait for a place of max_concurrency.",
		"er_lambda_duration_seconds":      "Time from the call of the API to the end of its answer.",
		"er_lambda_memory_bytes":          "Memory in use for events and payloads.",
		"er_lambda_memory_limit_bytes":    "The limit of er_lambda_memory_bytes.",
	} {
		m.Help(name, text)
	}
	m.Gauge("er_lambda_memory_bytes", func() float64 { return float64(s.memory.Used()) })
	m.Gauge("er_lambda_memory_limit_bytes", func() float64 { return float64(s.memory.limit) })
}

// count returns the figures of an application; uncount must follow. A function
// that takes the place of another goes on counting where that stopped.
func (s *Service) count(id string, f *Function) *figures {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.deps.Metrics
	fig := s.figures[id]
	if fig == nil {
		fig = &figures{}
		s.figures[id] = fig
		counter := func(family string) *vm.Counter {
			name := metrics.Name(family, "app", id)
			fig.names = append(fig.names, name)
			return m.Counter(name)
		}
		fig.invocations = counter("er_lambda_invocations_total")
		fig.coldStarts = counter("er_lambda_cold_starts_total")
		fig.throttles = counter("er_lambda_throttles_total")
		fig.functionErrors = counter("er_lambda_function_errors_total")
		fig.retries = counter("er_lambda_retries_total")
		fig.canceled = counter("er_lambda_canceled_total")
		fig.broken = counter("er_lambda_broken_streams_total")
		duration := metrics.Name("er_lambda_duration_seconds", "app", id)
		fig.duration = m.Histogram(duration, durationBounds)
		inFlight := metrics.Name("er_lambda_in_flight", "app", id)
		m.Gauge(inFlight, func() float64 { return float64(fig.inFlight.Load()) })
		fig.names = append(fig.names, duration, inFlight, metrics.Name("er_lambda_waiting", "app", id))
	}
	fig.users++
	gate := f.gate
	m.Gauge(metrics.Name("er_lambda_waiting", "app", id), func() float64 { return float64(gate.waiting()) })
	return fig
}

func (s *Service) uncount(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fig := s.figures[id]
	if fig == nil {
		return
	}
	if fig.users--; fig.users > 0 {
		return
	}
	delete(s.figures, id)
	for _, name := range fig.names {
		s.deps.Metrics.Unregister(name)
	}
}

func (f *figures) took(ns int64) { f.duration.Observe(time.Duration(ns).Seconds()) }
