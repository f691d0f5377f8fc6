package jetstream

import (
	"bytes"
	"errors"
	"sync"
	"testing"

	"edgerouter/bus"
	"edgerouter/internal/testkit"
)

// Messages about limits reach all who listen, over a connection of their own and
// within the process, and are not kept for who comes later.
func TestTell(t *testing.T) {
	addr := testkit.FreeAddr(t)
	own, _ := start(t, Options{Embedded: Embedded{Folder: t.TempDir(), Client: addr, Secret: testSecret}})
	other, _ := start(t, Options{Node: "other", URLs: []string{"nats://" + secretUser + ":" + testSecret + "@" + addr}})
	if !own.Alone() || other.Alone() {
		t.Errorf("alone: %v and %v", own.Alone(), other.Alone())
	}
	var mu sync.Mutex
	heard := map[string][]byte{}
	listen := func(name string, b *Bus) {
		b.Listen(func(m []byte) {
			mu.Lock()
			defer mu.Unlock()
			heard[name] = bytes.Clone(m)
		})
	}
	listen("own", own)
	listen("other", other)
	for from, b := range map[string]*Bus{"own": own, "other": other} {
		message := []byte{1, 0, from[0]}
		until(t, "both hear "+from, func() bool {
			// A connection may still be on its way.
			if err := b.Tell(message); err != nil && !errors.Is(err, bus.ErrUnavailable) {
				t.Fatal(err)
			}
			mu.Lock()
			defer mu.Unlock()
			return bytes.Equal(heard["own"], message) && bytes.Equal(heard["other"], message)
		})
	}
	other.Close()
	if err := other.Tell([]byte("x")); !errors.Is(err, bus.ErrUnavailable) {
		t.Errorf("after Close: %v", err)
	}
}
