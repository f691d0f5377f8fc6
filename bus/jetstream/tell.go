package jetstream

import (
	"fmt"

	"github.com/nats-io/nats.go"

	"edgerouter/bus"
)

// Tell sends a message about limits to all nodes, this one among them, and waits
// for nobody: who is not connected does not get it. An error is that this node
// itself is not connected; it is not tried again.
func (b *Bus) Tell(message []byte) error {
	s := b.current.Load()
	if s == nil {
		return bus.ErrUnavailable
	}
	if err := s.nc.Publish(limitSubjects+b.opts.Node, message); err != nil {
		return fmt.Errorf("%w: %w", bus.ErrUnavailable, err)
	}
	return nil
}

// Listen has receive called with what nodes Tell, one message after another. A
// message is only good during the call. There is one listener, the last.
func (b *Bus) Listen(receive func(message []byte)) { b.listener.Store(&receive) }

func (b *Bus) receiveLimits(m *nats.Msg) {
	if receive := b.listener.Load(); receive != nil {
		(*receive)(m.Data)
	}
}

// Alone says that there are no other nodes and will be none.
func (b *Bus) Alone() bool { return !b.opts.external() && !b.opts.clustered() }
