//go:build race

package middleware

// raceEnabled: the detector's own allocations make AllocsPerRun meaningless.
const raceEnabled = true
