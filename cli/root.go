// Package cli is the command line: each command is a thin shell over a package
// below. It is the only package beside main that reads the environment and wires
// packages together.
//
// Data goes to standard output, everything else to standard error, an error as
// one line. Exit codes: 0 done, 1 failed, 2 wrong usage.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"edgerouter/bench"
)

// Execute runs the command that args name (without the program's own name) and
// returns the exit code of the process. ctx ends what runs on, such as serve.
func Execute(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errTold):
		return exitFailed
	}
	fmt.Fprintf(stderr, "edgerouter: %s\n", oneLine(err.Error()))
	var usage usageError
	if errors.As(err, &usage) || errors.Is(err, bench.ErrUsage) {
		return exitUsage
	}
	return exitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "edgerouter",
		Short: "An edge proxy for many hostnames",
		Long: `edgerouter takes HTTP for many hostnames and hands each request to a set of peers.

  edgerouter serve --dev      try it: http://hello.localhost:8080/
  edgerouter validate PATH    check application files before they are served
  edgerouter explain URL      who takes a request, and why`,
		// Both are told by Execute, in one line.
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			text := fmt.Sprintf("unknown command %q", args[0])
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				text += "; did you mean " + strings.Join(near, " or ") + "?"
			}
			return usagef("%s; edgerouter --help lists the commands", text)
		},
		RunE:              help,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w; %s --help lists the flags", err, cmd.CommandPath())
	})
	root.SuggestionsMinimumDistance = 2
	root.AddCommand(
		serveCommand(), validateCommand(), explainCommand(), discoveryCommand(), nodeCommand(), ipRulesCommand(), dockerCommand(), certCommand(),
		turbochargerCommand(), s3Command(), lambdaCommand(), bench.Command(), healthcheckCommand(), versionCommand(),
	)
	return root
}

// help is what a command that only has commands below it does.
func help(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// group makes a command that only has commands below it. Cobra would take an
// unknown one for an argument and print the help as if all were well.
func group(use, short string, below ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, RunE: help,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q; %s --help lists the commands", args[0], cmd.CommandPath())
			}
			return nil
		},
	}
	cmd.AddCommand(below...)
	return cmd
}

// oneLine keeps an error to one line, whatever it wraps.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
