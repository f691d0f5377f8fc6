//go:build !linux

package upstream

// unseen is known on Linux only.
func (pc *peerConn) unseen(int64) bool { return false }
