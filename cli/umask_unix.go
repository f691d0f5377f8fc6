//go:build unix

package cli

import "syscall"

// maskFiles has files and folders that are made from now on be the user's own.
func maskFiles() { syscall.Umask(0o077) }
