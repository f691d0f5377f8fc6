package bench

import (
	"context"
	"os/signal"
	"syscall"
)

// signalContext ends with parent, on Ctrl-C and on SIGTERM: everything that was
// started is then stopped in order.
func signalContext(parent context.Context) (context.Context, context.CancelFunc) {
	if parent == nil {
		parent = context.Background()
	}
	return signal.NotifyContext(parent, syscall.SIGINT, syscall.SIGTERM)
}
