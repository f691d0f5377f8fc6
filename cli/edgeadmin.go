package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"edgerouter/admin"
	"edgerouter/app"
	"edgerouter/bus"
	"edgerouter/discovery/stream"
)

// maxHistory bounds what the admin page lists of one application.
const maxHistory = 100

// tellHistory lets the admin interface read and roll back what is in the event log.
func (e *edgeBus) tellHistory(d *admin.Deps) {
	if e == nil {
		return
	}
	d.History, d.Rollback = e.history, e.rollback
}

// history are the last changes of an application, newest first, and what going
// back to each of them would change now.
func (e *edgeBus) history(ctx context.Context, id string) ([]admin.HistoryRow, error) {
	all, err := entries(ctx, e.log, e.path())
	if err != nil {
		return nil, err
	}
	rows := history(all, id)
	if id == "" || len(rows) == 0 {
		return nil, fmt.Errorf("%w: application %q in %s", admin.ErrUnknown, id, e.path())
	}
	rows = rows[max(0, len(rows)-maxHistory):]
	versions := definedAfter(all, id, rows)
	var now []app.Application
	if a, ok := state(all).App(id); ok {
		now = append(now, a.Application)
	}
	out := make([]admin.HistoryRow, 0, len(rows))
	for i, r := range rows {
		row := admin.HistoryRow{Version: r.Version, At: r.At, User: r.User, Change: r.Change, Invalid: r.Invalid}
		if then := versions[i]; then != nil && !r.Invalid {
			for _, c := range app.Diff(now, []app.Application{*then}) {
				row.Back = append(row.Back, c.Details...)
				row.Rollback = true
			}
		}
		out = append(out, row)
	}
	slices.Reverse(out)
	return out, nil
}

// definedAfter is the application as it was after each row; nil: it was not there.
func definedAfter(all []bus.Entry, id string, rows []historyRow) []*app.Application {
	out := make([]*app.Application, len(rows))
	s, next := &stream.State{}, 0
	for _, entry := range all {
		s.Apply(entry)
		for ; next < len(rows) && rows[next].Version == entry.Version; next++ {
			if a, ok := s.App(id); ok {
				out[next] = &a.Application
			}
		}
	}
	return out
}

func (e *edgeBus) rollback(ctx context.Context, id string, version int64) (int64, error) {
	l := &logFlags{busSettings: e.settings}
	all, err := entries(ctx, e.log, e.path())
	if err != nil {
		return 0, err
	}
	back, err := rollbackTo(all, e.path(), id, version)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", admin.ErrUnknown, err)
	}
	at, err := l.apply(ctx, e.log, back)
	return at.Version, err
}

// rollbackTo is the edit that sets an application to what it was after a version.
func rollbackTo(all []bus.Entry, path, id string, version int64) (edit, error) {
	n := int64(len(all))
	if version < 0 || version >= n {
		return nil, fmt.Errorf("%s ends with version %d; there is no version %d", path, n-1, version)
	}
	then, ok := state(all[:version+1]).App(id)
	if !ok {
		return nil, fmt.Errorf("there was no application %q at version %d; edgerouter discovery history %s lists its changes, and rm takes it away", id, version, id)
	}
	return func(s *stream.State) ([]string, []string, error) {
		if now, ok := s.App(id); ok && app.Equal(now.Application, then.Application) {
			return nil, nil, nil
		}
		line, err := stream.Updated(time.Now(), then.Raw)
		return []string{line}, []string{id}, err
	}, nil
}
