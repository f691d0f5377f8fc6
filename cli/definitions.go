package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"edgerouter/app"
	"edgerouter/bus"
	"edgerouter/discovery/destination"
	"edgerouter/discovery/stream"
)

// definitions is where a command writes definitions: into the event log, or into
// a file or bucket that --to names.
type definitions struct {
	logFlags
	to string
}

func (d *definitions) addFlags(cmd *cobra.Command) {
	d.logFlags.addFlags(cmd)
	cmd.Flags().StringVar(&d.to, "to", "", "where the definition is written instead of the event log: `file:PATH` or s3://REGION/BUCKET")
}

// open opens the place that the flags name.
func (d *definitions) open(cmd *cobra.Command) (destination.Destination, error) {
	if d.to == "" {
		if err := d.resolve(cmd); err != nil {
			return nil, err
		}
		return &inLog{flags: &d.logFlags, cmd: cmd, seen: map[string]int64{}}, nil
	}
	to, err := destination.Open(cmd.Context(), d.to, openBucket)
	if err != nil {
		return nil, usagef("--to %w", err)
	}
	return to, nil
}

// inLog is the event log as a destination. It is opened for each operation alone,
// so that a long deploy between two of them holds up nobody. The generation that
// a change has is told on standard error.
type inLog struct {
	flags *logFlags
	cmd   *cobra.Command
	// seen are the versions of the applications that List has told of; what was
	// changed since then is not overwritten.
	seen map[string]int64
}

// String is part of Destination.
func (l *inLog) String() string { return "the stream " + stream.Path(l.flags.tenant) }

// List is part of Destination.
func (l *inLog) List(context.Context) (apps []app.Application, err error) {
	err = l.with(func(ctx context.Context, log bus.Log) error {
		s, _, err := l.flags.current(ctx, log)
		if err != nil {
			return err
		}
		for _, a := range s.Apps() {
			l.seen[a.ID] = a.Version
			apps = append(apps, a.Application)
		}
		return nil
	})
	return apps, err
}

// with runs f with the log.
func (l *inLog) with(f func(ctx context.Context, log bus.Log) error) error {
	err := l.flags.withLog(l.cmd, f)
	if err != nil {
		err = fmt.Errorf("%w (--to file:PATH and --to s3://REGION/BUCKET write elsewhere)", err)
	}
	return err
}

// Put is part of Destination.
func (l *inLog) Put(_ context.Context, a app.Application) error {
	raw, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return l.change(func(s *stream.State) ([]string, []string, error) {
		old, there := s.App(a.ID)
		if err := l.unchanged(a.ID, old, there); err != nil {
			return nil, nil, err
		}
		if there && app.Equal(old.Application, a) {
			return nil, nil, nil
		}
		line, err := stream.Updated(time.Now(), raw)
		return []string{line}, []string{a.ID}, err
	})
}

// unchanged is an error when an application that was looked at before was changed
// by somebody else since.
func (l *inLog) unchanged(id string, now stream.App, there bool) error {
	if before, known := l.seen[id]; known && (!there || now.Version != before) {
		return fmt.Errorf("application %q was changed by somebody else since it was read at version %d, so nothing was written: look at it with edgerouter discovery cat %s and try again", id, before, id)
	}
	return nil
}

// Remove is part of Destination.
func (l *inLog) Remove(_ context.Context, id string) error {
	return l.change(func(s *stream.State) ([]string, []string, error) {
		if _, ok := s.App(id); !ok {
			return nil, nil, fmt.Errorf("%s in %s: %w", id, l, destination.ErrNotFound)
		}
		line, err := stream.Deleted(time.Now(), id)
		return []string{line}, []string{id}, err
	})
}

func (l *inLog) change(e edit) error {
	return l.with(func(ctx context.Context, log bus.Log) error {
		at, err := l.flags.apply(ctx, log, e)
		if err == nil {
			_, err = fmt.Fprintf(l.cmd.ErrOrStderr(), "generation %d of %s\n", at.Version, stream.Path(l.flags.tenant))
		}
		return err
	})
}

// put writes a definition, in the place of one with the same id.
func (d *definitions) put(cmd *cobra.Command, a app.Application) error {
	to, err := d.open(cmd)
	if err != nil {
		return err
	}
	if err := to.Put(cmd.Context(), a); err != nil {
		return fmt.Errorf("nothing was written to %s: %w", to, err)
	}
	_, err = fmt.Fprintf(cmd.ErrOrStderr(), "%s is written to %s\n", a.ID, to)
	return err
}

// putTo is discovery put with --to.
func (d *definitions) putTo(cmd *cobra.Command, apps []app.Application, onlyNew, dryRun bool) error {
	return d.edit(cmd, dryRun, func(to destination.Destination, before []app.Application) (after, put []app.Application, err error) {
		after = slices.Clone(before)
		for _, a := range apps {
			i := slices.IndexFunc(after, func(b app.Application) bool { return b.ID == a.ID })
			switch {
			case i >= 0 && onlyNew:
				return nil, nil, fmt.Errorf("%s in %s: %w (--new)", a.ID, to, destination.ErrExists)
			case i < 0:
				after = append(after, a)
			case app.Equal(after[i], a):
				continue
			default:
				after[i] = a
			}
			put = append(put, a)
		}
		return after, put, nil
	}, func(to destination.Destination, a app.Application) error { return to.Put(cmd.Context(), a) })
}

// removeFrom is discovery rm with --to.
func (d *definitions) removeFrom(cmd *cobra.Command, id string, dryRun bool) error {
	return d.edit(cmd, dryRun, func(to destination.Destination, before []app.Application) (after, gone []app.Application, err error) {
		i := slices.IndexFunc(before, func(a app.Application) bool { return a.ID == id })
		if i < 0 {
			return nil, nil, fmt.Errorf("%s in %s: %w", id, to, destination.ErrNotFound)
		}
		return slices.Delete(slices.Clone(before), i, i+1), before[i : i+1], nil
	}, func(to destination.Destination, a app.Application) error { return to.Remove(cmd.Context(), a.ID) })
}

// edit changes what --to names, or prints what would change. plan says what is
// there afterwards and which applications are to be written.
func (d *definitions) edit(cmd *cobra.Command, dryRun bool,
	plan func(to destination.Destination, before []app.Application) (after, touched []app.Application, err error),
	write func(to destination.Destination, a app.Application) error,
) error {
	to, err := d.open(cmd)
	if err != nil {
		return err
	}
	before, err := to.List(cmd.Context())
	if err != nil {
		return fmt.Errorf("--to %s: nothing was written: %w", d.to, err)
	}
	after, touched, err := plan(to, before)
	if err != nil {
		return err
	}
	if len(touched) == 0 {
		_, err = fmt.Fprintln(cmd.ErrOrStderr(), "nothing to do: it is so already")
		return err
	}
	if dryRun {
		printChanges(cmd.OutOrStdout(), d.to, before, after)
		return nil
	}
	for _, a := range touched {
		if err := write(to, a); err != nil {
			return fmt.Errorf("--to %s: %w", d.to, err)
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s is changed\n", to, a.ID)
	}
	return nil
}

// printChanges tells what a change does, and which frontends lose to others by
// it. name is where the definitions are, for problems.
func printChanges(w io.Writer, name string, before, after []app.Application) {
	for _, c := range app.Diff(before, after) {
		fmt.Fprintln(w, c.String())
	}
	was := conflictProblems(name, offlineSnapshot(before))
	for _, p := range conflictProblems(name, offlineSnapshot(after)) {
		if !slices.Contains(was, p) {
			fmt.Fprintf(w, "conflict: %s\n", p.Error())
		}
	}
}
