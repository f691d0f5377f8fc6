package gateway

import "edgerouter/upstream"

// What a Backend may be able to do besides answering requests. An application is
// asked for it and looks behind what stands before the backend that can.
type (
	// PeerLister has peers to show.
	PeerLister interface {
		Peers() []upstream.PeerStatus
	}
	// PeerDrainer has peers that an operator can take out of balancing.
	PeerDrainer interface {
		// DrainPeer drains the peer at addr or ends that, and tells whether there is
		// such a peer.
		DrainPeer(addr string, drain bool) bool
	}
	// Purger stores answers and can forget them.
	Purger interface {
		// Purge drops what is stored for a host ("": any) and the targets that begin
		// with prefix, and says how many answers that were.
		Purge(host, prefix string) int
	}
	// Outer stands before another Backend.
	Outer interface {
		Inside() Backend
	}
)

// inside finds the outermost backend that is a T, from b inwards.
func inside[T any](b Backend) (found T, ok bool) {
	for b != nil {
		if found, ok = b.(T); ok {
			return found, true
		}
		outer, more := b.(Outer)
		if !more {
			break
		}
		b = outer.Inside()
	}
	return found, false
}

// Peers are the peers of its backend as they are now; nil when it has none.
func (a *App) Peers() []upstream.PeerStatus {
	if l, ok := inside[PeerLister](a.backend); ok {
		return l.Peers()
	}
	return nil
}

// DrainPeer has the backend drain a peer, or end that, and tells whether it has
// such a peer. It is for this process alone, and ends when the backend is built
// anew: when options other than addrs and weights change.
func (a *App) DrainPeer(addr string, drain bool) bool {
	d, ok := inside[PeerDrainer](a.backend)
	return ok && d.DrainPeer(addr, drain)
}

// Purge drops what the application's cache has stored; false: it has none.
func (a *App) Purge(host, prefix string) (n int, ok bool) {
	p, ok := inside[Purger](a.backend)
	if !ok {
		return 0, false
	}
	return p.Purge(host, prefix), true
}

// Caches tells whether there is a cache that Purge empties.
func (a *App) Caches() bool {
	_, ok := inside[Purger](a.backend)
	return ok
}
