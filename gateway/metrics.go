package gateway

import "time"

// exportMetrics registers the gauges of the running set.
func (g *Gateway) exportMetrics() {
	gauge := func(name, help string, f func(*Snapshot) float64) {
		g.opts.Metrics.Help(name, help)
		g.opts.Metrics.Gauge(name, func() float64 { return f(g.current.Load()) })
	}
	gauge("er_config_generation", "Changes of the configuration that were applied since the start.",
		func(s *Snapshot) float64 { return float64(s.Generation) })
	gauge("er_config_age_seconds", "Time since the configuration last changed.",
		func(s *Snapshot) float64 { return time.Since(s.AppliedAt).Seconds() })
	gauge("er_apps", "Applications that are declared.",
		func(s *Snapshot) float64 { return float64(s.Apps.Len()) })
	gauge("er_conflicts", "Frontends that are not served because another one claims the same, or give way to one of a higher source.",
		func(s *Snapshot) float64 { return float64(len(s.Conflicts)) })
	gauge("er_app_problems", "Problems of applications and of the files and labels that declare them.",
		func(s *Snapshot) float64 { return float64(s.problems) })
}
