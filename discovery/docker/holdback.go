package docker

import (
	"fmt"
	"slices"

	"edgerouter/app"
	"edgerouter/discovery/docker/labels"
)

// project is what a group belongs to with others: a Compose project or a Swarm
// stack; "" when it stands alone.
func (g *group) project() string {
	of := func(l map[string]string) string {
		if p := l[composeProject]; p != "" {
			return "project " + p
		}
		if p := l[stackNamespace]; p != "" {
			return "stack " + p
		}
		return ""
	}
	if g.read != nil {
		return of(g.read.labels)
	}
	for _, m := range g.members {
		if m.container != nil {
			return of(m.container.labels)
		}
	}
	return ""
}

// holdBack takes out of the set what takes the same requests as another
// application of its project without that one's guards: which of the two came
// first would decide whether they hold.
func (b *builder) holdBack(seen map[string]*group, out *set) {
	byProject := map[string][]*app.Application{}
	for i := range out.apps {
		a := &out.apps[i]
		if g := seen[a.ID]; g != nil {
			if p := g.project(); p != "" {
				byProject[p] = append(byProject[p], a)
			}
		}
	}
	back := map[string]app.Problem{}
	for _, apps := range byProject {
		for i, a := range apps {
			for _, o := range apps[:i] {
				if seen[a.ID] == seen[o.ID] {
					continue // labels of one container have been compared
				}
				if rule, ok := contested(a, o); ok {
					hold(back, a, o, rule, seen)
					hold(back, o, a, rule, seen)
				}
			}
		}
	}
	if len(back) == 0 {
		return
	}
	out.apps = slices.DeleteFunc(out.apps, func(a app.Application) bool {
		p, held := back[a.ID]
		if held {
			// A problem with the application's id would keep in service what it was.
			out.problems = append(out.problems, p)
			b.records[a.ID].served = false
		}
		return held
	})
	for i := range out.details {
		if p, held := back[out.details[i].ID]; held {
			out.details[i].Served, out.details[i].Kept = false, false
			out.details[i].Problems = append(out.details[i].Problems, p)
		}
	}
}

func hold(back map[string]app.Problem, a, by *app.Application, rule string, seen map[string]*group) {
	has := labels.Guards(*a)
	if !slices.ContainsFunc(labels.Guards(*by), func(g string) bool { return !slices.Contains(has, g) }) {
		return
	}
	g := seen[a.ID]
	back[a.ID] = app.Problem{
		File: g.kind.noun() + " " + g.name, Field: "frontends", Value: rule,
		Message:    fmt.Sprintf("application %q takes the same requests and is behind guards that %q is not behind, which is therefore not served", by.ID, a.ID),
		Suggestion: "give both the same guards, or different rules",
	}
}

// contested returns what two applications both claim.
func contested(a, b *app.Application) (rule string, ok bool) {
	for i := range a.Frontends {
		for j := range b.Frontends {
			if f := &a.Frontends[i]; labels.Contested(f, &b.Frontends[j]) {
				return f.Rule + f.HostnameRegexp, true
			}
		}
	}
	return "", false
}
