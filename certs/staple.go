package certs

import "crypto/tls"

// Stapled is what an OCSP source needs of a certificate.
type Stapled struct {
	Fingerprint string
	Title       string
	Chain       *tls.Certificate
}

// Staplable lists the certificates that name an OCSP responder and come with
// their issuer, without which nothing can be asked.
func (s *Store) Staplable() (out []Stapled) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, src := range s.sources {
		for _, h := range src.certs {
			if len(h.TLS.Leaf.OCSPServer) > 0 && len(h.TLS.Certificate) > 1 {
				out = append(out, Stapled{h.Fingerprint(), h.Title(), h.TLS})
			}
		}
	}
	return out
}

// Staple serves the certificates of a fingerprint with an OCSP response from now
// on; nil takes it away. Nothing is checked here.
func (s *Store) Staple(fingerprint string, response []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if response == nil {
		delete(s.staples, fingerprint)
	} else {
		s.staples[fingerprint] = response
	}
	var without, with []*held
	for _, src := range s.sources {
		for i, h := range src.certs {
			if len(h.TLS.Leaf.OCSPServer) == 0 || h.Fingerprint() != fingerprint {
				continue
			}
			fresh := *h
			with, without = append(with, s.staple(&fresh)), append(without, h)
			src.certs[i] = &fresh
		}
	}
	if len(with) > 0 {
		s.table.Store(s.table.Load().change(without, with))
	}
}

// staple gives a certificate the response that is known for it; s.mu is held.
func (s *Store) staple(h *held) *held {
	h.serve = h.TLS
	if len(h.TLS.Leaf.OCSPServer) == 0 || len(s.staples) == 0 {
		return h
	}
	if response := s.staples[h.Fingerprint()]; response != nil {
		stapled := *h.TLS
		stapled.OCSPStaple = response
		h.serve = &stapled
	}
	return h
}
