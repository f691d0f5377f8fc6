//go:build !linux

package nowait

import "golang.org/x/sys/unix"

// Read is read(2); EAGAIN: there is nothing to read now.
func Read(fd int, p []byte) (int, error) { return transfer(unix.Read, fd, p) }

// Write is write(2); EAGAIN: there is no room now.
func Write(fd int, p []byte) (int, error) { return transfer(unix.Write, fd, p) }

func transfer(call func(int, []byte) (int, error), fd int, p []byte) (int, error) {
	for {
		n, err := call(fd, p)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}
