package upstream

import "time"

// PeerChange is an ejection by passive health, or the return from one.
type PeerChange struct {
	App    string `json:"app"`
	Peer   string `json:"peer"`
	State  string `json:"state" enum:"ejected,up"`
	Reason string `json:"reason,omitempty"`
	// For is how long an ejection lasts, such as "5s".
	For string `json:"for,omitempty"`
}

// tellEjections has ejections and returns logged and handed on.
func (s *Set) tellEjections(changed func(PeerChange)) {
	e := s.balancer.ejector
	if e == nil {
		return
	}
	if changed == nil {
		changed = func(PeerChange) {}
	}
	e.onEject = func(p *peer, d time.Duration, reason string) {
		s.log.Warn().Str("peer", p.addr.Raw).Str("for", d.String()).Str("reason", reason).Msg("peer ejected (passive_health)")
		changed(PeerChange{App: s.id, Peer: p.addr.Raw, State: stateEjected, Reason: reason, For: d.String()})
	}
	e.onReturn = func(p *peer) {
		s.log.Info().Str("peer", p.addr.Raw).Msg("peer is back from its ejection (passive_health)")
		changed(PeerChange{App: s.id, Peer: p.addr.Raw, State: stateUp})
	}
}
