package discovery

import (
	"slices"
	"sync/atomic"
	"time"

	vm "github.com/VictoriaMetrics/metrics"

	"edgerouter/app"
	"edgerouter/metrics"
)

// sourceState is what is known of one source. Everything but the metrics is
// guarded by Merge.mu.
type sourceState struct {
	source Source
	name   string
	set    sourceSet

	settled     bool // was heard of, or was given up on
	updatedAt   time.Time
	failing     bool
	lastError   string
	lastErrorAt time.Time
	restarts    int
	duplicates  []app.Problem // applications that an earlier source declares as well

	errors  *vm.Counter
	apps    atomic.Int64 // what the gauges read, without the lock
	updated atomic.Int64 // unix milliseconds; 0 never
}

// sourceSet is the last good set of a source; the value is never changed, only replaced.
type sourceSet struct {
	name     string
	parts    [][]app.Application
	index    map[string]place
	problems []app.Problem
	kept     []string // ids whose previous version stands in for a broken one
	// generation is the source's own count; see Update.Generation.
	generation int64
}

// place is where an application stands in the parts of a set.
type place struct{ part, index int32 }

func (s *sourceSet) at(p place) *app.Application { return &s.parts[p.part][p.index] }

func (s *sourceSet) len() int {
	n := 0
	for _, part := range s.parts {
		n += len(part)
	}
	return n
}

func newSourceState(source Source, ms *metrics.Set) *sourceState {
	name := source.Name()
	s := &sourceState{source: source, name: name, set: sourceSet{name: name}}
	ms.Help("er_source_errors_total", "Failures of a source of applications.")
	ms.Help("er_source_apps", "Applications that a source declares.")
	ms.Help("er_source_last_update_timestamp_seconds", "When a source last delivered its applications, in Unix time.")
	s.errors = ms.Counter(metrics.Name("er_source_errors_total", "source", name))
	ms.Gauge(metrics.Name("er_source_apps", "source", name), func() float64 {
		return float64(s.apps.Load())
	})
	ms.Gauge(metrics.Name("er_source_last_update_timestamp_seconds", "source", name), func() float64 {
		return float64(s.updated.Load()) / 1000
	})
	return s
}

// take stores an update and says whether there is something to apply.
func (s *sourceState) take(u Update, now time.Time) bool {
	s.settled = true
	if u.Err != nil {
		s.failed(u.Err, now)
		if u.Problems == nil || slices.Equal(u.Problems, s.set.problems) {
			return false
		}
		s.set.problems = u.Problems
		return true
	}
	s.failing = false
	s.updatedAt = now
	s.set = s.set.next(u)
	s.apps.Store(int64(s.set.len()))
	s.updated.Store(now.UnixMilli())
	return true
}

func (s *sourceState) failed(err error, now time.Time) {
	s.settled, s.failing = true, true
	s.lastError, s.lastErrorAt = err.Error(), now
}

func (s *sourceState) status(now time.Time) Status {
	st := Status{
		Name:      s.name,
		State:     StateStarting,
		Apps:      s.set.len(),
		LastError: s.lastError,
		Restarts:  s.restarts,
		Problems:  slices.Concat(s.set.problems, s.duplicates),
	}
	if !s.updatedAt.IsZero() {
		st.State = StateOK
		at := s.updatedAt
		st.UpdatedAt, st.AgeSeconds = &at, now.Sub(at).Seconds()
	}
	if s.failing {
		st.State = StateFailing
	}
	if !s.lastErrorAt.IsZero() {
		at := s.lastErrorAt
		st.LastErrorAt = &at
	}
	return st
}

// next is the set after an update: applications that a problem names and that
// are missing keep their previous version, and of two with one id the first stays.
func (s sourceSet) next(u Update) sourceSet {
	n := sourceSet{name: s.name, parts: u.Parts, problems: u.Problems, generation: u.Generation}
	if u.Parts == nil && len(u.Apps) > 0 {
		n.parts = [][]app.Application{u.Apps}
	}
	if s.index != nil && sameIDs(s.parts, n.parts) {
		n.index = s.index
		return n
	}
	n.index = make(map[string]place, n.len())
	var twice []place
	for i, part := range n.parts {
		for j := range part {
			at := place{int32(i), int32(j)}
			if _, taken := n.index[part[j].ID]; taken {
				twice = append(twice, at)
				continue
			}
			n.index[part[j].ID] = at
		}
	}
	if len(twice) > 0 {
		n = n.without(twice)
	}
	return n.keepBroken(s, u.Problems)
}

// without leaves out the applications at some places, whose ids come before.
func (s sourceSet) without(twice []place) sourceSet {
	n := sourceSet{name: s.name, index: make(map[string]place, len(s.index)), problems: slices.Clone(s.problems), generation: s.generation}
	for _, at := range twice {
		id := s.at(at).ID
		n.problems = append(n.problems, app.Problem{
			App: id, Field: "id", Value: id,
			Message:    "source " + s.name + " declares this id twice; the first one is used",
			Suggestion: "give one of the two another id",
		})
	}
	var unique []app.Application
	for _, part := range s.parts {
		for i := range part {
			if _, taken := n.index[part[i].ID]; !taken {
				n.index[part[i].ID] = place{0, int32(len(unique))}
				unique = append(unique, part[i])
			}
		}
	}
	n.parts = [][]app.Application{unique}
	return n
}

// keepBroken adds the previous version of what a problem names and n lacks.
func (s sourceSet) keepBroken(previous sourceSet, problems []app.Problem) sourceSet {
	var kept []app.Application
	for _, p := range problems {
		if p.App == "" {
			continue
		}
		if _, there := s.index[p.App]; there {
			continue
		}
		at, was := previous.index[p.App]
		if !was {
			continue
		}
		s.kept = append(s.kept, p.App)
		s.index[p.App] = place{int32(len(s.parts)), int32(len(kept))}
		kept = append(kept, *previous.at(at))
	}
	if len(kept) > 0 {
		s.parts = append(s.parts[:len(s.parts):len(s.parts)], kept)
	}
	return s
}

// sameIDs says whether two sets declare the same ids in the same places. It is
// the usual case, and saves the index.
func sameIDs(a, b [][]app.Application) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if len(a[i]) != len(b[i]) {
			return false
		}
		if len(a[i]) == 0 || &a[i][0] == &b[i][0] {
			continue
		}
		for j := range a[i] {
			if a[i][j].ID != b[i][j].ID {
				return false
			}
		}
	}
	return true
}

// merged takes out of each set what an earlier one declares, and says so: one
// list of problems for each set.
func merged(current []sourceSet) ([]Set, [][]app.Problem) {
	sets := make([]Set, len(current))
	duplicates := make([][]app.Problem, len(current))
	for i, c := range current {
		sets[i] = Set{Source: c.name, Parts: c.parts, Problems: c.problems, Kept: c.kept, Generation: c.generation}
		taken := overlap(current[:i], c)
		if len(taken) == 0 {
			continue
		}
		var left []app.Application
		for _, part := range c.parts {
			for j := range part {
				id := part[j].ID
				by, is := taken[id]
				if !is {
					left = append(left, part[j])
					continue
				}
				duplicates[i] = append(duplicates[i], app.Problem{
					App: id, Field: "id", Value: id,
					Message:    "source " + by + " declares this id as well and comes first; the one of source " + c.name + " is not served",
					Suggestion: "give one of the two another id",
				})
			}
		}
		sets[i].Parts = [][]app.Application{left}
		sets[i].Problems = slices.Concat(c.problems, duplicates[i])
	}
	return sets, duplicates
}

// overlap finds the ids of a set that an earlier one declares, and which.
func overlap(earlier []sourceSet, set sourceSet) map[string]string {
	var taken map[string]string
	for _, e := range earlier {
		few, many := e.index, set.index // look for the few among the many
		if len(few) > len(many) {
			few, many = many, few
		}
		for id := range few {
			if _, both := many[id]; !both {
				continue
			}
			if taken == nil {
				taken = map[string]string{}
			}
			if _, already := taken[id]; !already {
				taken[id] = e.name
			}
		}
	}
	return taken
}
