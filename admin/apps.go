package admin

import (
	"cmp"
	"slices"

	"edgerouter/app"
	"edgerouter/discovery"
	"edgerouter/gateway"
)

// App is one application in /api/v1/apps.
type App struct {
	ID     string        `json:"id"`
	Source string        `json:"source"`
	State  gateway.State `json:"state"`
	// Frontends are what it claims, such as "example.com/api".
	Frontends []string      `json:"frontends"`
	Backend   string        `json:"backend"` // in a line
	Problems  []app.Problem `json:"problems"`
	// Origin says what it was made from, when its source knows.
	Origin *discovery.Origin `json:"origin,omitempty"`
}

// describe is an application of a snapshot.
func (a *Admin) describe(one *gateway.App) App {
	d := &one.Definition
	out := App{
		ID: d.ID, Source: one.Source, State: one.State, Backend: d.Backend.Describe(),
		Frontends: make([]string, 0, len(d.Frontends)), Problems: list(one.Problems),
		Origin: a.origin(one.Source, d.ID),
	}
	for _, f := range d.Frontends {
		out.Frontends = append(out.Frontends, claim(f))
	}
	return out
}

func (a *Admin) origin(source, id string) *discovery.Origin {
	if a.deps.Origin == nil {
		return nil
	}
	if o, known := a.deps.Origin(source, id); known {
		return &o
	}
	return nil
}

// unserved are the applications that sources have problems with and that are in
// no snapshot, since no version of them was ever good. They are ordered as their
// sources are, then by id.
func (a *Admin) unserved(s *gateway.Snapshot, sources []discovery.Status) []App {
	var out []App
	var there map[string]bool
	for _, source := range sources {
		first := len(out)
		index := map[string]int{}
		for _, p := range source.Problems {
			if p.App == "" {
				continue
			}
			if there == nil {
				there = make(map[string]bool, s.Apps.Len())
				for one := range s.Apps.All() {
					there[one.ID()] = true
				}
			}
			at, known := index[p.App]
			switch {
			case there[p.App]:
				continue
			case !known:
				at = len(out)
				index[p.App] = at
				out = append(out, App{
					ID: p.App, Source: source.Name, State: gateway.StateBroken, Frontends: []string{},
					Origin: a.origin(source.Name, p.App),
				})
			}
			out[at].Problems = append(out[at].Problems, p)
		}
		slices.SortFunc(out[first:], func(x, y App) int { return cmp.Compare(x.ID, y.ID) })
	}
	return out
}
