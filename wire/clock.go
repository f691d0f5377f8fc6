package wire

import "time"

// The clock of the hot path: one monotonic reading costs half of time.Now, and
// a jump of the system's clock moves no deadline.
var (
	clockBase = time.Now()
	clockUnix = clockBase.UnixNano()
)

// Now returns unix nanoseconds as they go on from the start of the process,
// whatever happens to the system's clock meanwhile.
func Now() int64 { return clockUnix + int64(time.Since(clockBase)) }

// At turns a reading of Now, or a time before or after it, into a time.Time
// that deadlines can be set to.
func At(now int64) time.Time { return clockBase.Add(time.Duration(now - clockUnix)) }
