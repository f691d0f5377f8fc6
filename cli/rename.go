package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"edgerouter/bus/jetstream"
)

func nodeCommand() *cobra.Command {
	return group("node", "This node of the event bus", nodeRename())
}

func nodeRename() *cobra.Command {
	var l logFlags
	cmd := &cobra.Command{
		Use:   "rename NAME",
		Short: "Give a stopped node another name",
		Long: `A data folder belongs to the node that used it first, and serve refuses to use it under another name.
This gives the folder to a node of another name, which serve then needs as --node.

The name of a member of a cluster stays: the others know it by its name.`,
		Example: "  edgerouter node rename edge-1 --data /var/lib/edgerouter",
		Args:    arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := l.resolve(cmd); err != nil {
				return err
			}
			folder := busFolder(l.data)
			if _, err := os.Stat(folder); errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("there is no event log in %s (--data): name the data folder of a node", l.data)
			}
			old, err := jetstream.RecordedNode(folder)
			if err != nil {
				return err
			}
			if err := jetstream.Rename(folder, args[0]); err != nil {
				if errors.Is(err, jetstream.ErrLocked) {
					return fmt.Errorf("%w; stop the node first", err)
				}
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: the node %s is now %s\n", l.data, old, args[0])
			return nil
		},
	}
	l.addFlags(cmd)
	return cmd
}
