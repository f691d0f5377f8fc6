package gateway

// PeerDrainer is a Backend whose peers an operator can take out of balancing.
type PeerDrainer interface {
	// DrainPeer drains the peer at addr or ends that, and tells whether there is
	// such a peer.
	DrainPeer(addr string, drain bool) bool
}

// DrainPeer has the backend drain a peer, or end that, and tells whether it has
// such a peer. It is for this process alone, and ends when the backend is built
// anew: when options other than addrs and weights change.
func (a *App) DrainPeer(addr string, drain bool) bool {
	d, ok := a.backend.(PeerDrainer)
	return ok && d.DrainPeer(addr, drain)
}

// DrainPeer is that of the inner backend.
func (g *guarded) DrainPeer(addr string, drain bool) bool {
	d, ok := g.inner.(PeerDrainer)
	return ok && d.DrainPeer(addr, drain)
}
