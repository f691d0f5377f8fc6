package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"edgerouter/app"
	"edgerouter/bus"
	"edgerouter/discovery/stream"
)

// listedApp is an application in ls --json.
type listedApp struct {
	ID         string          `json:"id"`
	Version    int64           `json:"version"`
	Frontends  int             `json:"frontends"`
	Backend    string          `json:"backend"`
	Definition app.Application `json:"definition"` // secrets redacted
}

func discoveryLs() *cobra.Command {
	var l logFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the applications of the event log",
		Long: `Lists the applications of the stream with the version that each was last changed at. Definitions
that changed nothing because they are invalid are told on standard error. Secrets are redacted;
cat shows a definition as it is.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return l.withLog(cmd, func(ctx context.Context, log bus.Log) error {
				s, at, err := l.current(ctx, log)
				if err != nil {
					return err
				}
				for _, p := range s.Problems() {
					fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", p.Error())
				}
				if asJSON {
					apps := []listedApp{}
					for _, a := range s.Apps() {
						apps = append(apps, listedApp{a.ID, a.Version, len(a.Frontends), a.Backend.Describe(), app.Redact(a.Application)})
					}
					return printJSON(cmd, struct {
						Stream  string      `json:"stream"`
						Version int64       `json:"version"`
						Apps    []listedApp `json:"apps"`
					}{at.Stream, at.Version, apps})
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "ID\tVERSION\tWHAT IT IS")
				for _, a := range s.Apps() {
					_, what, _ := strings.Cut(app.Describe(a.Application), ": ")
					fmt.Fprintf(w, "%s\t%d\t%s\n", a.ID, a.Version, what)
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "%s in %s at version %d\n", count(len(s.Apps()), "application"), at.Stream, at.Version)
				return w.Flush()
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the applications as JSON")
	l.addFlags(cmd)
	return cmd
}

func discoveryCat() *cobra.Command {
	var l logFlags
	var secrets bool
	cmd := &cobra.Command{
		Use:   "cat ID",
		Short: "Print the definition of an application",
		Long: `Prints the definition as it is in the event log. In the place of a secret stand *** and the first four
characters of its SHA-256, unless it is a reference (file: or env:). With --secrets it is printed as it is,
so that it can be edited and put back: put takes no secret that is shown like that.

Standard error says at which version it was last changed: with put --if-version, a change that somebody
made in between is not lost.`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return l.withLog(cmd, func(ctx context.Context, log bus.Log) error {
				s, _, err := l.current(ctx, log)
				if err != nil {
					return err
				}
				a, ok := s.App(args[0])
				if !ok {
					return unknownApp(s, args[0])
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "last changed at version %d\n", a.Version)
				if shown := app.Redact(a.Application); !secrets && !app.Equal(shown, a.Application) {
					return printJSON(cmd, shown)
				}
				var out bytes.Buffer
				if err := json.Indent(&out, a.Raw, "", "  "); err != nil {
					return fmt.Errorf("the definition of %q: %w", a.ID, err)
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), out.String())
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&secrets, "secrets", false, "print secrets as they are")
	l.addFlags(cmd)
	return cmd
}

// historyRow is one change in history --json.
type historyRow struct {
	Version int64      `json:"version"`
	At      time.Time  `json:"at"` // by the writer's clock
	User    string     `json:"user,omitempty"`
	Change  app.Change `json:"change"`
	Invalid bool       `json:"invalid,omitempty"` // it changed nothing
}

func discoveryHistory() *cobra.Command {
	var l logFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "history [ID]",
		Short: "List the changes of all applications, or of one",
		Long: `Lists what each entry of the event log changed, oldest first. An application that was set to what it
was is not listed. rollback takes the versions that this prints.`,
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return l.withLog(cmd, func(ctx context.Context, log bus.Log) error {
				all, err := entries(ctx, log, stream.Path(l.tenant))
				if err != nil {
					return err
				}
				id := ""
				if len(args) == 1 {
					id = args[0]
				}
				rows := history(all, id)
				if len(rows) == 0 && id != "" {
					return fmt.Errorf("there is no change of an application %q in %s", id, stream.Path(l.tenant))
				}
				if asJSON {
					return printJSON(cmd, rows)
				}
				for _, r := range rows {
					note := ""
					if r.Invalid {
						note = " (invalid, changed nothing)"
					}
					fmt.Fprintf(cmd.OutOrStdout(), "%d  %s  %s%s\n", r.Version, r.At.Format(time.RFC3339), r.Change.String(), note)
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the changes as a JSON list")
	l.addFlags(cmd)
	return cmd
}

// history tells what each entry changed.
func history(all []bus.Entry, id string) []historyRow {
	rows := []historyRow{}
	s := &stream.State{}
	for _, e := range all {
		for _, line := range e.Events {
			event, err := bus.ParseEvent(line)
			if err != nil {
				s.Apply(bus.Entry{Cursor: e.Cursor, Events: []string{line}})
				continue
			}
			touched := stream.Touches(line)
			before, was := s.App(touched)
			s.Apply(bus.Entry{Cursor: e.Cursor, Events: []string{line}})
			after, is := s.App(touched)
			if touched == "" || id != "" && id != touched {
				continue
			}
			var old, new []app.Application
			if was {
				old = append(old, before.Application)
			}
			if is {
				new = append(new, after.Application)
			}
			row := historyRow{Version: e.Version, At: event.Time, User: event.User}
			switch changes := app.Diff(old, new); {
			case len(changes) > 0:
				row.Change = changes[0]
			case event.Type == stream.TypeUpdated && (!is || after.Version != e.Version):
				row.Change, row.Invalid = app.Change{ID: touched, Kind: app.Changed}, true
			default:
				continue
			}
			rows = append(rows, row)
		}
	}
	return rows
}
