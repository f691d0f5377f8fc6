package upstream

import "golang.org/x/sys/unix"

// unseen tells whether the n bytes that were written last are known not to have
// been acted on by the peer, whose connection has ended without an answer: its
// kernel has acknowledged none of them.
//
// The end of a connection acknowledges what came before it. If it does not
// acknowledge the request, it was sent before the request came, and a server acts
// on nothing that comes after it has closed (RFC 9112 section 9.6). A reset in
// place of the end means that something had come and was not read.
//
// False where that cannot be known: TLS, whose records are not counted here, and
// whatever takes bytes in the name of the peer, such as another proxy.
func (pc *peerConn) unseen(n int64) bool {
	if pc.raw == nil || pc.Conn != pc.socket || n <= 0 {
		return false
	}
	unseen := false
	err := pc.raw.Control(func(fd uintptr) {
		p := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		if ready, err := unix.Poll(p[:], 0); err != nil || ready == 0 {
			return // it has not ended
		}
		waiting, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
		unseen = err == nil && int64(waiting) == n
	})
	return err == nil && unseen
}
