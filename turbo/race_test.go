//go:build race

package turbo

const raceEnabled = true
