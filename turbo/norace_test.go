//go:build !race

package turbo

const raceEnabled = false
