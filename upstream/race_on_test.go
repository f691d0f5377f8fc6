//go:build race

package upstream

// raceEnabled: the detector's own allocations make AllocsPerRun meaningless.
const raceEnabled = true
