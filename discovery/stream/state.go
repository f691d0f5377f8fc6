package stream

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"edgerouter/app"
	"edgerouter/bus"
)

// App is an application of the stream.
type App struct {
	app.Application
	// Version is that of the entry that declared it.
	Version int64
	// Raw is the definition as it stands in the event.
	Raw json.RawMessage
}

// State is what the entries of the stream add up to. It implements bus.State. Its
// zero value is the state before the first entry.
type State struct {
	at   bus.Cursor
	apps parts
	raw  map[string]stored
	// rejected are the last definitions that changed nothing, by id; the next good
	// event of the id takes them off.
	rejected map[string]stored
	problems map[string][]app.Problem
	nameless []app.Problem // broken events that name no application, the last few

	// rules are the IP rules, checked by checkRules if there is one; empty: none.
	rules      string
	checkRules func(text string) error

	unknown, invalid uint64 // counted since the process started
}

// stored is a definition as the snapshot keeps it.
type stored struct {
	Version    int64           `json:"version"`
	Definition json.RawMessage `json:"definition"`
}

// maxNameless bounds the problems that no application will ever take off.
const maxNameless = 20

// Apply implements bus.State.
func (s *State) Apply(e bus.Entry) {
	s.at = e.Cursor
	for _, line := range e.Events {
		c, kind := read(e.Cursor, line)
		switch {
		case kind == kindUnknown:
			if event, err := bus.ParseEvent(line); err != nil || !event.Bookkeeping() {
				s.unknown++
			}
		case kind == kindBroken:
			s.broken(c.problems)
		case kind == kindIPRules:
			if c.rules != "" && s.checkRules != nil {
				if err := s.checkRules(c.rules); err != nil {
					s.broken([]app.Problem{{File: place(e.Cursor), Field: TypeIPRulesUpdated, Message: err.Error(), Suggestion: "the rules that were in service stay"}})
					continue
				}
			}
			s.rules = c.rules
		default:
			s.change(e.Version, c)
		}
	}
}

// broken notes the problems of an event that is of no application.
func (s *State) broken(problems []app.Problem) {
	s.invalid++
	s.nameless = append(s.nameless, problems...)
	if len(s.nameless) > maxNameless {
		s.nameless = s.nameless[len(s.nameless)-maxNameless:]
	}
}

// IPRules are the rules of client addresses, as they stand in their event; empty:
// there are none.
func (s *State) IPRules() string { return s.rules }

func (s *State) change(version int64, c change) {
	if len(c.problems) > 0 {
		s.invalid++
		if c.id == "" {
			s.nameless = append(s.nameless, c.problems...)
			return
		}
		s.reject(c.id, stored{version, c.raw}, c.problems)
		return
	}
	delete(s.rejected, c.id)
	delete(s.problems, c.id)
	if c.deleted {
		delete(s.raw, c.id)
		s.apps.remove(c.id)
		return
	}
	if s.raw == nil {
		s.raw = map[string]stored{}
	}
	s.raw[c.id] = stored{version, c.raw}
	s.apps.put(c.app)
}

func (s *State) reject(id string, d stored, problems []app.Problem) {
	if s.rejected == nil {
		s.rejected, s.problems = map[string]stored{}, map[string][]app.Problem{}
	}
	s.rejected[id], s.problems[id] = d, problems
}

// Parts are the applications in pieces, by id; see discovery.Update.Parts.
func (s *State) Parts() [][]app.Application { return s.apps.list() }

// Problems are those of definitions and events that changed nothing. One names
// its application only while the stream declares an earlier version of it, which
// then stays; what was never there, or was deleted before, is not to be kept.
func (s *State) Problems() []app.Problem {
	var out []app.Problem
	for _, id := range sortedKeys(s.problems) {
		_, there := s.raw[id]
		for _, p := range s.problems[id] {
			if !there {
				p.App, p.Message = "", fmt.Sprintf("of application %q: %s", id, p.Message)
			}
			out = append(out, p)
		}
	}
	return append(out, s.nameless...)
}

// App finds an application.
func (s *State) App(id string) (App, bool) {
	d, ok := s.raw[id]
	if !ok {
		return App{}, false
	}
	a, _ := s.apps.get(id)
	return App{Application: a, Version: d.Version, Raw: d.Definition}, true
}

// Apps are all applications, by id.
func (s *State) Apps() []App {
	var out []App
	for _, part := range s.apps.list() {
		for _, a := range part {
			d := s.raw[a.ID]
			out = append(out, App{Application: a, Version: d.Version, Raw: d.Definition})
		}
	}
	return out
}

// At is the position of the last entry that was applied.
func (s *State) At() bus.Cursor { return s.at }

// snapshot is the state as it is written.
type snapshot struct {
	At       bus.Cursor `json:"at"`
	Apps     []stored   `json:"apps"`
	Rejected []stored   `json:"rejected,omitempty"`
	IPRules  string     `json:"ip_rules,omitempty"`
}

// Snapshot implements bus.State.
func (s *State) Snapshot() ([]byte, error) {
	out := snapshot{At: s.at, IPRules: s.rules, Apps: make([]stored, 0, len(s.raw))}
	for _, id := range sortedKeys(s.raw) {
		out.Apps = append(out.Apps, s.raw[id])
	}
	for _, id := range sortedKeys(s.rejected) {
		out.Rejected = append(out.Rejected, s.rejected[id])
	}
	return json.Marshal(out)
}

// Restore implements bus.State. Definitions are checked again, so that a version
// that knows more or less than the one that wrote them comes to the same as by
// reading the log: what it does not take is a problem, and of two definitions of
// one id the later one counts.
func (s *State) Restore(data []byte) error {
	*s = State{unknown: s.unknown, invalid: s.invalid, checkRules: s.checkRules}
	if len(data) == 0 {
		return nil
	}
	var in snapshot
	if err := json.Unmarshal(data, &in); err != nil {
		return fmt.Errorf("the state of the applications' stream: %w", err)
	}
	all := slices.Concat(in.Apps, in.Rejected)
	slices.SortStableFunc(all, func(a, b stored) int { return cmp.Compare(a.Version, b.Version) })
	for _, d := range all {
		s.change(d.Version, definition(bus.Cursor{Stream: in.At.Stream, Version: d.Version}, d.Definition))
	}
	s.rules = in.IPRules
	s.at = in.At
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
