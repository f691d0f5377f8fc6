//go:build !linux

package server

// boundUnsent bounds what the kernel keeps for a slow reader, on Linux.
func (c *conn) boundUnsent() { c.bounded = true }
