package upstream

import "sync/atomic"

// Stats counts what happens beside the answers.
type Stats struct {
	Retries, RetriesDenied, Stale, ConnectErrors, Canceled, Tunnels atomic.Uint64
}
