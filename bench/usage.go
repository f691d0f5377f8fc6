package bench

import "errors"

// ErrUsage is wrapped by errors about flags and arguments.
var ErrUsage = errors.New("wrong usage")
