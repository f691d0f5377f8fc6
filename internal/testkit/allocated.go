package testkit

import "runtime"

// Allocated is how many bytes the process allocates while f runs, on the heap and
// in all, also what is free again.
func Allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
