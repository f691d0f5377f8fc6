package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"edgerouter/app"
	"edgerouter/bus"
	"edgerouter/discovery/stream"
)

// edit is a change that a command makes: from the state of the applications it
// makes the lines to append; none means that there is nothing to do.
type edit func(s *stream.State) (lines []string, touched []string, err error)

// apply appends what the edit makes after the version it was made from. When
// somebody else has appended in between, it is made again from what is there now,
// unless that changed the same applications: then it is a conflict.
func (l *logFlags) apply(ctx context.Context, log bus.Log, e edit) (bus.Cursor, error) {
	var seen map[string]int64 // versions of what is touched, when it was first looked at
	for {
		s, at, err := l.current(ctx, log)
		if err != nil {
			return bus.Cursor{}, err
		}
		lines, touched, err := e(s)
		if err != nil || len(lines) == 0 {
			return at, err
		}
		now := make(map[string]int64, len(touched))
		for _, id := range touched {
			now[id] = -1
			if a, ok := s.App(id); ok {
				now[id] = a.Version
			}
			if before, known := seen[id]; known && before != now[id] {
				return bus.Cursor{}, fmt.Errorf("application %q was changed by somebody else at version %d in the meantime, so nothing was written: look at it with edgerouter discovery cat %s and try again", id, now[id], id)
			}
		}
		if seen == nil {
			seen = now
		}
		next, err := appendAll(ctx, log, at, lines)
		if !errors.Is(err, bus.ErrConflict) {
			return next, err
		}
	}
}

// appendAll appends lines as one entry, or as several when they are too many for
// one; the first one decides whether the stream had moved.
func appendAll(ctx context.Context, log bus.Log, at bus.Cursor, lines []string) (bus.Cursor, error) {
	for first := true; len(lines) > 0; first = false {
		n, size := 0, 0
		for n < len(lines) && (n == 0 || size+len(lines[n]) <= bus.MaxEntry) {
			size += len(lines[n])
			n++
		}
		next, err := log.AppendAfter(ctx, at, lines[:n]...)
		if err != nil && !first {
			return at, fmt.Errorf("%d of the events were appended up to version %d, and then: %s", n, at.Version, err.Error())
		}
		if err != nil {
			return at, err
		}
		at, lines = next, lines[n:]
	}
	return at, nil
}

func discoveryPut() *cobra.Command {
	var l definitions
	var onlyNew, dryRun bool
	var ifVersion int64
	cmd := &cobra.Command{
		Use:   "put FILE|-",
		Short: "Add or change applications",
		Long: `Reads one application, or a file {"apps": [...]}, checks it as serve would, and appends it to the event
log. Applications that are already so are left alone. Prints the generation, which is the version that
the change has: edgerouter discovery wait --generation N waits until every node has it in service.

With --to they are written into a file or folder of applications (file:PATH), or into a bucket that nodes
discover applications in (s3://REGION/BUCKET).

When somebody else changes other applications at the same time, both changes are made. When it is the
same application, nothing is written and the command fails.`,
		Example: `  edgerouter discovery put blog.json --new
  edgerouter discovery cat blog --secrets > blog.json; edit blog.json; edgerouter discovery put blog.json --dry-run`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			raws, apps, err := readDefinitions(cmd, args[0])
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("if-version") && len(apps) != 1 {
				return usagef("--if-version is about one application, and there are %d in %s", len(apps), args[0])
			}
			if l.to != "" {
				if cmd.Flags().Changed("if-version") {
					return usagef("--if-version is about the event log, and --to %s has no versions", l.to)
				}
				return l.putTo(cmd, apps, onlyNew, dryRun)
			}
			return l.withLog(cmd, func(ctx context.Context, log bus.Log) error {
				put := func(s *stream.State) (lines, touched []string, err error) {
					for i, a := range apps {
						old, there := s.App(a.ID)
						switch {
						case there && onlyNew:
							return nil, nil, fmt.Errorf("there is an application %q already, last changed at version %d (--new)", a.ID, old.Version)
						case cmd.Flags().Changed("if-version") && (!there || old.Version != ifVersion):
							if !there {
								old.Version = -1
							}
							return nil, nil, fmt.Errorf("application %q was last changed at version %d and not %d (--if-version), so nothing was written", a.ID, old.Version, ifVersion)
						case there && app.Equal(old.Application, a):
							continue
						}
						line, err := stream.Updated(time.Now(), raws[i])
						if err != nil {
							return nil, nil, err
						}
						lines, touched = append(lines, line), append(touched, a.ID)
					}
					return lines, touched, nil
				}
				if dryRun {
					return l.dryRun(ctx, cmd, log, put)
				}
				return l.report(ctx, cmd, log, put)
			})
		},
	}
	cmd.Flags().BoolVar(&onlyNew, "new", false, "refuse to change an application that is there")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print what would change, and write nothing")
	cmd.Flags().Int64Var(&ifVersion, "if-version", 0, "refuse unless the application was last changed at version `N`, as cat and ls say")
	l.addFlags(cmd)
	return cmd
}

// report applies an edit and prints the generation.
func (l *logFlags) report(ctx context.Context, cmd *cobra.Command, log bus.Log, e edit) error {
	wrote := false
	at, err := l.apply(ctx, log, func(s *stream.State) ([]string, []string, error) {
		lines, touched, err := e(s)
		wrote = len(lines) > 0
		return lines, touched, err
	})
	if err != nil {
		return err
	}
	if !wrote {
		fmt.Fprintln(cmd.ErrOrStderr(), "nothing to do: it is so already")
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), at.Version)
	return err
}

// readDefinitions reads applications and tells their problems.
func readDefinitions(cmd *cobra.Command, path string) ([]json.RawMessage, []app.Application, error) {
	var content []byte
	var err error
	name := path
	if path == "-" {
		name = "standard input"
		content, err = io.ReadAll(cmd.InOrStdin())
	} else {
		content, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, nil, err
	}
	apps, problems := app.Decode(name, content)
	if len(problems) > 0 {
		for _, p := range problems {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s\n", p.Error())
		}
		return nil, nil, fmt.Errorf("%s in %s; nothing was written", count(len(problems), "problem"), name)
	}
	if len(apps) == 0 {
		return nil, nil, fmt.Errorf("there is no application in %s", name)
	}
	var file struct{ Apps []json.RawMessage }
	if err := json.Unmarshal(content, &file); err != nil || len(file.Apps) != len(apps) {
		file.Apps = []json.RawMessage{content}
	}
	if len(file.Apps) != len(apps) {
		return nil, nil, fmt.Errorf("%s cannot be read as one application or {\"apps\": [...]}", name)
	}
	return file.Apps, apps, nil
}

// dryRun prints what an edit would change, and which frontends would lose to
// others.
func (l *logFlags) dryRun(ctx context.Context, cmd *cobra.Command, log bus.Log, e edit) error {
	s, at, err := l.current(ctx, log)
	if err != nil {
		return err
	}
	lines, _, err := e(s)
	if err != nil {
		return err
	}
	before := slices.Concat(s.Parts()...)
	if len(lines) > 0 {
		s.Apply(bus.Entry{Cursor: bus.Cursor{Stream: at.Stream, Version: at.Version + 1}, Events: lines})
	}
	printChanges(cmd.OutOrStdout(), at.Stream, before, slices.Concat(s.Parts()...))
	if len(lines) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "nothing would change")
	}
	return nil
}

func discoveryRm() *cobra.Command {
	var l definitions
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "rm ID",
		Short: "Take an application away",
		Long: `Appends that the application is deleted, and prints the generation. Its history stays, and rollback brings it
back. With --to the definition is taken out of a file, folder or bucket instead.`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if l.to != "" {
				return l.removeFrom(cmd, args[0], dryRun)
			}
			return l.withLog(cmd, func(ctx context.Context, log bus.Log) error {
				remove := func(s *stream.State) ([]string, []string, error) {
					if _, ok := s.App(args[0]); !ok {
						return nil, nil, unknownApp(s, args[0])
					}
					line, err := stream.Deleted(time.Now(), args[0])
					return []string{line}, args, err
				}
				if dryRun {
					return l.dryRun(ctx, cmd, log, remove)
				}
				return l.report(ctx, cmd, log, remove)
			})
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print what would change, and write nothing")
	l.addFlags(cmd)
	return cmd
}

func discoveryRollback() *cobra.Command {
	var l logFlags
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "rollback ID VERSION",
		Short: "Set an application to what it was at a version",
		Long: `Appends the definition that the application had after an earlier version (history lists them) as a new
change, and prints the generation.`,
		Args: arguments(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			version, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil || version < 1 {
				return usagef("VERSION %q: want a number that edgerouter discovery history %s prints", args[1], args[0])
			}
			return l.withLog(cmd, func(ctx context.Context, log bus.Log) error {
				all, err := entries(ctx, log, stream.Path(l.tenant))
				if err != nil {
					return err
				}
				back, err := rollbackTo(all, stream.Path(l.tenant), args[0], version)
				if err != nil {
					return err
				}
				if dryRun {
					return l.dryRun(ctx, cmd, log, back)
				}
				return l.report(ctx, cmd, log, back)
			})
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print what would change, and write nothing")
	l.addFlags(cmd)
	return cmd
}
