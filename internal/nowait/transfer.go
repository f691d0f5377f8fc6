//go:build linux && !race

package nowait

import (
	"syscall"
	"unsafe"
)

// Read is read(2); EAGAIN: there is nothing to read now.
func Read(fd int, p []byte) (int, error) { return transfer(syscall.SYS_READ, fd, p) }

// Write is write(2); EAGAIN: there is no room now.
func Write(fd int, p []byte) (int, error) { return transfer(syscall.SYS_WRITE, fd, p) }

func transfer(call uintptr, fd int, p []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}
