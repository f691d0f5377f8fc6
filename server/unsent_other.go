//go:build !linux

package server

// boundUnsent bounds what the kernel keeps for a slow reader, on Linux.
func (c *conn) boundUnsent() { c.bounded = true }

// unacknowledged returns how many bytes the kernel holds for the client, on Linux.
func (c *conn) unacknowledged() int { return 0 }
