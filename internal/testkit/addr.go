package testkit

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// FreeAddr is a loopback address that a server of the test may listen on, also
// when it is started again later. Its port is none of those that the kernel gives
// to connections (ip_local_port_range begins at 32768), one of which could have it
// by then.
func FreeAddr(t testing.TB) string {
	t.Helper()
	var err error
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 15_000+rand.IntN(17_000))
		var ln net.Listener
		if ln, err = net.Listen("tcp", addr); err == nil {
			ln.Close()
			return addr
		}
	}
	t.Fatalf("no port is free: %v", err)
	return ""
}
