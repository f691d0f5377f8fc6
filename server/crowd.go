package server

import "runtime/debug"

// A crowd of connections that falls silent leaves stacks and buffers behind that
// the runtime would keep for minutes, as nothing happens that would make it
// collect. crowdSize is from how many newly parked connections on they are given
// back to the system at once, and crowdTicks for how many looks of the sweeper
// their number must have stopped growing.
const (
	crowdSize  = 1000
	crowdTicks = 3
)

// crowd watches the number of parked connections.
type crowd struct {
	dealt, last, steady int
}

// silent tells whether a crowd has fallen silent since it last told so.
func (c *crowd) silent(parked int) bool {
	c.dealt = min(c.dealt, parked)
	if parked > c.last || parked-c.dealt < crowdSize {
		c.last, c.steady = parked, 0
		return false
	}
	c.last = parked
	if c.steady++; c.steady < crowdTicks {
		return false
	}
	c.dealt, c.steady = parked, 0
	return true
}

// giveBack returns memory to the system. It takes some milliseconds of a core,
// and the collection it begins with halves the stacks of idle goroutines.
func giveBack() { debug.FreeOSMemory() }
