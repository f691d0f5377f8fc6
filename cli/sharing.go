package cli

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"sync"

	"github.com/rs/zerolog"

	"edgerouter/metrics"
	"edgerouter/middleware/share"
)

// newSharing lets this node's limits count together with those of the other nodes
// of the event bus; nil when there are none, or the bus is none that carries
// messages between nodes. Nodes that have the key of sessions in common do so.
func (e *edgeBus) newSharing(sessions []byte, m *metrics.Set, log zerolog.Logger) *share.Exchange {
	if e == nil || e.streams == nil || e.streams.Alone() {
		return nil
	}
	h := hmac.New(sha256.New, sessions)
	h.Write([]byte("edgerouter limits of tenant " + e.settings.tenant))
	e.sharing = share.New(share.Options{
		Key: share.NewKey([16]byte(h.Sum(nil)[:16])), Publish: e.streams.Tell, Metrics: m, Logger: log,
	})
	e.streams.Listen(e.sharing.Receive)
	return e.sharing
}

// runSharing runs the exchange until ctx ends.
func (e *edgeBus) runSharing(ctx context.Context, running *sync.WaitGroup) {
	if e.sharing != nil {
		running.Go(func() { e.sharing.Run(ctx) })
	}
}
