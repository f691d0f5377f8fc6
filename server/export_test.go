package server

// Parked is the number of connections that wait without buffers.
func (s *Server) Parked() int { return s.conns.parked() }

// Watched is the number of connections whose hang-up the kernel reports.
func (s *Server) Watched() int {
	s.conns.mu.Lock()
	defer s.conns.mu.Unlock()
	return len(s.conns.watched)
}
