package bus_test

import (
	"testing"

	"edgerouter/bus"
	"edgerouter/bus/bustest"
)

// handle is one of several Logs on the same memory.
type handle struct{ *bus.Memory }

func TestMemoryContract(t *testing.T) {
	var open *bus.Memory
	bustest.Run(t, bustest.Bed{Open: func(t *testing.T) bus.Log {
		// The logs of one subtest share a Memory, and the last one closes it.
		if t.Name() == "TestMemoryContract/closed" {
			return &bus.Memory{}
		}
		if open == nil {
			open = &bus.Memory{}
		}
		return handle{open}
	}})
}

func (handle) Close() error { return nil }
