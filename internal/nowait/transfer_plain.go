//go:build !linux || race

package nowait

import "syscall"

// The race detector learns from the calls of package syscall that what was before
// a write came before what is after the read of it.

// Read is read(2); EAGAIN: there is nothing to read now.
func Read(fd int, p []byte) (int, error) { return transfer(syscall.Read, fd, p) }

// Write is write(2); EAGAIN: there is no room now.
func Write(fd int, p []byte) (int, error) { return transfer(syscall.Write, fd, p) }

func transfer(call func(int, []byte) (int, error), fd int, p []byte) (int, error) {
	for {
		n, err := call(fd, p)
		if err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}
