//go:build !race

package load

import (
	"runtime"
	"testing"
	"time"
)

// TestNoAllocationPerRequest: load and origin share a core with each other and
// must leave it alone; a garbage collector's work would show in latencies.
func TestNoAllocationPerRequest(t *testing.T) {
	l, o := newOrigin(t)
	var from, to runtime.MemStats
	res := run(t, l, Config{
		Target: o.Addrs()[0], Requests: get("/b/128"), Length: 128, Connections: 16, Warmup: 50 * time.Millisecond, Duration: 200 * time.Millisecond,
		OnStart: func() { runtime.ReadMemStats(&from) }, OnEnd: func() { runtime.ReadMemStats(&to) },
	})
	per := float64(to.Mallocs-from.Mallocs) / float64(res.Requests)
	if res.Requests < 1000 || per > 0.05 {
		t.Errorf("%.3f allocations per request over %d requests, want none", per, res.Requests)
	}
}
