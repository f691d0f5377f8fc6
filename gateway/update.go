package gateway

import (
	"edgerouter/app"
	"edgerouter/upstream"
)

// Updater is a Backend that can take other options while it runs, so that what
// it holds (connections, health, counters, sticky clients) outlives the change.
type Updater interface {
	// Updatable says whether Update leads from one definition to the other; the
	// backend runs with the first. It changes nothing.
	Updatable(from, to app.Backend) bool
	// Update makes to the backend's definition at once. After an error, which
	// names the field, it is what it was.
	Update(to app.Backend) error
}

// updatable says whether what runs can take the definition that has come.
func updatable(before service, to app.Backend) bool {
	u, ok := before.backend.(Updater)
	return ok && u.Updatable(before.definition.Backend, to)
}

// update is the last step of assembling a service whose backend is kept although
// it has other options now: nothing may fail after it.
func update(b Backend, to app.Backend) error {
	if err := b.(Updater).Update(to); err != nil {
		return inField("backend", err)
	}
	return nil
}

// Updatable makes a peer set keep what it has when its peers or their weights
// change. Everything else needs a new one.
func (peerSet) Updatable(from, to app.Backend) bool {
	return from.Kind == to.Kind && from.PeerSet != nil && to.PeerSet != nil && upstream.Updatable(*from.PeerSet, *to.PeerSet)
}

// Update takes addrs and weights.
func (p peerSet) Update(to app.Backend) error {
	if err := p.Set.Update(to.PeerSet.Addrs, to.PeerSet.Weights); err != nil {
		return inField("backend.peer_set_opts", err)
	}
	return nil
}
