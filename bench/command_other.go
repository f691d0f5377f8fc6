//go:build !linux

package bench

import (
	"errors"

	"github.com/spf13/cobra"
)

// Command is `edgerouter bench`, of which only report works here: measuring needs
// Linux (epoll, CPU clocks of other processes, core affinity).
func Command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Load generator, and side-by-side runs against other proxies (Linux)",
		RunE: func(*cobra.Command, []string) error {
			return errors.New("bench: measuring needs Linux; bench report works everywhere")
		},
	}
	cmd.AddCommand(reportCommand())
	return cmd
}
