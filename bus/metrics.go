package bus

import (
	vm "github.com/VictoriaMetrics/metrics"

	"edgerouter/metrics"
)

// followerMetrics are the er_bus_* series of one stream.
type followerMetrics struct {
	applied, duplicates, errors, snapshotErrors *vm.Counter
}

func (m *followerMetrics) register(set *metrics.Set, stream string, status func() FollowerStatus) {
	name := func(family string) string { return metrics.Name(family, "stream", stream) }
	set.Help("er_bus_applied_total", "Entries of the event log that were applied by this process.")
	m.applied = set.Counter(name("er_bus_applied_total"))
	set.Help("er_bus_duplicates_total", "Entries that were delivered again and passed over.")
	m.duplicates = set.Counter(name("er_bus_duplicates_total"))
	set.Help("er_bus_errors_total", "Times that the event log could not be followed.")
	m.errors = set.Counter(name("er_bus_errors_total"))
	set.Help("er_bus_snapshot_errors_total", "Snapshots that could not be written, or were set aside.")
	m.snapshotErrors = set.Counter(name("er_bus_snapshot_errors_total"))

	gauge := func(family, help string, value func(FollowerStatus) float64) {
		set.Help(family, help)
		set.Gauge(name(family), func() float64 { return value(status()) })
	}
	gauge("er_bus_up", "1 while the event log is followed.", func(s FollowerStatus) float64 {
		if s.State == Following {
			return 1
		}
		return 0
	})
	gauge("er_bus_version", "Version of the last entry that was applied; -1 before the first.", func(s FollowerStatus) float64 { return float64(s.Version) })
	gauge("er_bus_lag_entries", "Entries that the log is known to have and that are not applied.", func(s FollowerStatus) float64 { return float64(s.Lag()) })
	gauge("er_bus_snapshot_version", "Version of the snapshot on disk; -1: there is none.", func(s FollowerStatus) float64 { return float64(s.SnapshotVersion) })
	gauge("er_bus_last_contact_timestamp_seconds", "When the event log last answered, in Unix time; 0: not yet.", func(s FollowerStatus) float64 {
		if s.ReachedAt == nil {
			return 0
		}
		return float64(s.ReachedAt.UnixMilli()) / 1000
	})
}
