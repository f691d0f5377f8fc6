package gateway

import (
	"slices"
	"time"

	"edgerouter/app"
)

// maxLogged bounds the log lines, and the changes in a line, of one Apply: at
// the start everything is new.
const maxLogged = 20

// tell logs a change and hands it to subscribers.
func (g *Gateway) tell(previous, next *Snapshot, c *change, took time.Duration) {
	for _, p := range firstOf(c.problems) {
		g.opts.Log.Warn().Str("app", p.App).Str("field", p.Field).Msg(p.Error())
	}
	if more := len(c.problems) - maxLogged; more > 0 {
		g.opts.Log.Warn().Int("more", more).Msg("further applications have problems; /api/v1/apps lists them all")
	}
	conflicts := newConflicts(previous.Conflicts, next.Conflicts)
	for _, x := range firstOf(conflicts) {
		event := g.opts.Log.Warn().Str("app", x.App).Str("source", x.Source).Int("frontend", x.Frontend).Str("claim", x.Claim)
		if x.Winner != "" {
			event = event.Str("winner", x.Winner).Str("winner_source", x.WinnerSource)
		}
		text := "frontend is not served: conflict"
		if x.Partial {
			text = "frontend gives way to one of a higher source: conflict"
		}
		event.Str("reason", x.Reason).Msg(text)
	}
	if more := len(conflicts) - maxLogged; more > 0 {
		g.opts.Log.Warn().Int("more", more).Msg("further conflicts; /api/v1/conflicts lists them all")
	}

	slices.SortFunc(c.old, byID)
	slices.SortFunc(c.new, byID)
	c.pace.Block()
	changes := c.changes()
	line := g.opts.Log.Info().Uint64("generation", next.Generation).Int("apps", next.Apps.Len()).
		Int("changed", len(changes)).Dur("took", took)
	if len(changes) > 0 {
		text := make([]string, 0, min(len(changes), maxLogged))
		for _, d := range firstOf(changes) {
			text = append(text, d.String())
		}
		line = line.Strs("changes", text)
	}
	line.Msg("configuration applied")

	g.events.send(Event{
		Generation: next.Generation, At: next.AppliedAt,
		Changes: changes, Conflicts: conflicts, Problems: c.problems,
	})
}

// changes are what is served differently, by id.
func (c *change) changes() []AppChange {
	diff := app.Diff(c.old, c.new)
	out := make([]AppChange, 0, len(diff))
	for _, d := range diff {
		out = append(out, AppChange{d, c.sources[d.ID]})
	}
	return out
}

func firstOf[T any](list []T) []T { return list[:min(len(list), maxLogged)] }

func byID(a, b app.Application) int {
	switch {
	case a.ID < b.ID:
		return -1
	case a.ID > b.ID:
		return 1
	}
	return 0
}

func newConflicts(before, after []Conflict) []Conflict {
	if len(after) == 0 || sameSlice(before, after) {
		return nil
	}
	known := make(map[Conflict]bool, len(before))
	for _, c := range before {
		known[c] = true
	}
	var out []Conflict
	for _, c := range after {
		if !known[c] {
			out = append(out, c)
		}
	}
	return out
}
