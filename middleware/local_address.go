package middleware

import (
	"fmt"
	"net/netip"
	"syscall"

	"edgerouter/app"
)

// refuseLocalAddress is a net.Dialer.Control. It sees the address that a name was
// resolved to, so that no name leads to the edge itself.
func refuseLocalAddress(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err == nil && !app.LocalAddress(at.Addr()) {
		return nil
	}
	return fmt.Errorf("%s is an address of the edge itself, which refuse_local keeps it from", address)
}
