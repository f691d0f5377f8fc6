package gateway

import (
	"slices"

	"edgerouter/app"
)

// news is what a source says about its applications, when it is not what it
// said last time.
type news struct {
	changed  bool
	problems map[string][]app.Problem
	kept     map[string]bool
	before   map[string]bool // ids that it said something about last time
}

func newsOf(before runningSet, set SourceSet) news {
	n := news{
		changed:  !equalProblems(before.problems, set.Problems) || !slices.Equal(before.kept, set.Kept),
		problems: map[string][]app.Problem{}, kept: map[string]bool{}, before: map[string]bool{},
	}
	for _, p := range set.Problems {
		if p.App != "" {
			n.problems[p.App] = append(n.problems[p.App], p)
		}
	}
	for _, id := range set.Kept {
		n.kept[id] = true
	}
	for _, p := range before.problems {
		n.before[p.App] = true
	}
	for _, id := range before.kept {
		n.before[id] = true
	}
	return n
}

// about says whether there may be something new about an application.
func (n *news) about(id string) bool {
	return n.changed && (n.before[id] || n.kept[id] || len(n.problems[id]) > 0)
}
