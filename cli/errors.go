package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// The exit codes of every command; scripts depend on them.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// usageError is wrong usage: a flag, an argument or a setting that cannot be
// taken as it was given. The process ends with code 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// usagef makes a usageError.
func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// errTold ends a command with code 1 when it has said why already.
var errTold = errors.New("the problems have been told")

// arguments makes what cobra says about the number of arguments wrong usage.
func arguments(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usagef("%w; usage: %s", err, cmd.UseLine())
		}
		return nil
	}
}
