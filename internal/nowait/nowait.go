// Package nowait makes the system calls of non-blocking sockets without telling
// the Go scheduler of them. It would prepare for each call to wait: when the kernel
// works for more than 20 microseconds, as it does now and then for a write over
// loopback, another thread takes over, competes for the same core and has to give
// it back, and a watching thread wakes up thousands of times a second to see to it.
// None of these calls ever waits, so nothing is lost but that.
//
// In go descriptors in non-blocking mode, or the syscall.RawConn of one; out comes
// what the system call says, or a net.Conn's Read and Write. Errors are
// syscall.Errno, and *net.OpError from Conn.
package nowait
