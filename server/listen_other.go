//go:build !linux

package server

import "net"

// Listen opens a TCP listener for Serve; addr is as net.Listen takes it.
func Listen(addr string) (net.Listener, error) { return net.Listen("tcp", addr) }
