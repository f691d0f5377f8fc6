package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"edgerouter/app"
	"edgerouter/discovery/file"
	"edgerouter/gateway"
)

func validateCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "validate PATH",
		Short: "Check application files as serve would",
		Long: `Reads a file of applications, or all *.json files of a folder, and tells every problem
with its file, application and field, one in a line. Two frontends that claim the same
are a problem, too: only one of them would be served. What is in the folder and would
not be read is named on standard error.

Backends and middlewares that this version cannot serve yet are valid; they are told
on standard error and do not count. Files and variables that secrets refer to are not
read, because they need not be on the machine where files are checked.

Ends with code 1 when there is a problem.`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := loadApplications(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			running := offlineSnapshot(found.Apps)
			for _, name := range file.Unread(args[0]) {
				fmt.Fprintf(cmd.ErrOrStderr(), "note: %s is not read: of a folder only files named *.json are, and no folders inside it\n", name)
			}
			problems := append(found.Problems, conflictProblems(args[0], running)...)
			for a := range running.Apps.All() {
				for _, p := range a.Problems {
					if a.State == gateway.StateUnavailable {
						fmt.Fprintf(cmd.ErrOrStderr(), "note: %s\n", p.Error())
					} else {
						problems = append(problems, p)
					}
				}
			}
			if err := tellProblems(cmd, problems, asJSON); err != nil {
				return err
			}
			if len(problems) > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s in %s\n", count(len(problems), "problem"), args[0])
				return errTold
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s in %s, no problems\n", count(len(found.Apps), "application"), args[0])
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the problems as a JSON list")
	return cmd
}

func tellProblems(cmd *cobra.Command, problems []app.Problem, asJSON bool) error {
	if asJSON {
		if problems == nil {
			problems = []app.Problem{}
		}
		return printJSON(cmd, problems)
	}
	for _, p := range problems {
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), p.Error()); err != nil {
			return err
		}
	}
	return nil
}

func printJSON(cmd *cobra.Command, v any) error {
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// conflictProblems tells the conflicts of a set as problems of the files at path.
func conflictProblems(path string, s *gateway.Snapshot) []app.Problem {
	var out []app.Problem
	for _, c := range s.Conflicts {
		p := app.Problem{
			File: path, App: c.App, Field: fmt.Sprintf("frontends[%d]", c.Frontend), Value: c.Claim, Message: c.Reason,
		}
		if c.Winner != "" && c.Reason == "" {
			p.Message = fmt.Sprintf("frontends[%d] of application %q claims the same and comes first", c.WinnerFrontend, c.Winner)
			p.Suggestion = "this one would not be served"
		}
		out = append(out, p)
	}
	return out
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprint(n, " ", noun, "s")
}
